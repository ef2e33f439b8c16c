/** Names of clusters that never lie over each other: the largest first, faded in and out. */

import type { Camera, Projected } from "./camera";

export interface Name {
  text: string;
  size: number;
  centre: number[];
}

interface Shown {
  name: Name;
  alpha: number;
  wanted: boolean;
  x: number;
  y: number;
  width: number;
  height: number;
  font: number;
}

export interface Box {
  text: string;
  left: number;
  top: number;
  right: number;
  bottom: number;
}

const GAP = 6;
const MOST = 60;
const FADE_MS = 180;

export class NameLayer {
  private levels: Name[][] = [];
  private shown = new Map<Name, Shown>();
  private last = 0;
  private level = -1;
  fading = false;

  /** From few wide to many narrow. */
  setLevels(levels: Name[][]): void {
    this.levels = levels.map((names) => [...names].sort((a, b) => b.size - a.size));
    this.shown.clear();
    this.level = -1;
  }

  /** The level that is shown at a zoom. */
  private levelAt(zoom: number): number {
    const steps = [1.6, 3.4];
    const at = steps.filter((step) => zoom >= step).length;
    if (this.levels.length < 3) return Math.min(this.levels.length - 1, zoom >= 2 ? 1 : 0);
    return Math.min(at, this.levels.length - 1);
  }

  /** What is shown now, for who wants to know. */
  boxes(): Box[] {
    return [...this.shown.values()]
      .filter(({ wanted }) => wanted)
      .map(({ name, x, y, width, height }) => ({
        text: name.text, left: x - width / 2, top: y - height / 2, right: x + width / 2, bottom: y + height / 2,
      }));
  }

  draw(pen: CanvasRenderingContext2D, camera: Camera, ink: string, halo: string, family: string, still: boolean, strength: number, obstacles: Box[]): void {
    const now = performance.now();
    const step = still ? 1 : Math.min(1, (now - this.last) / FADE_MS);
    this.last = now;
    this.place(pen, camera, family, obstacles);
    this.fading = false;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    for (const [name, one] of this.shown) {
      one.alpha = Math.min(1, Math.max(0, one.alpha + (one.wanted ? step : -step)));
      if (one.alpha === 0 && !one.wanted) {
        this.shown.delete(name);
        continue;
      }
      if (one.alpha < 1) this.fading = true;
      pen.font = `600 ${one.font}px ${family}`;
      pen.globalAlpha = one.alpha * 0.88 * strength;
      pen.strokeStyle = halo;
      pen.lineWidth = 4;
      pen.strokeText(name.text, one.x, one.y);
      pen.globalAlpha = one.alpha * strength;
      pen.fillStyle = ink;
      pen.fillText(name.text, one.x, one.y);
    }
    pen.globalAlpha = 1;
  }

  private place(pen: CanvasRenderingContext2D, camera: Camera, family: string, obstacles: Box[]): void {
    const level = this.levelAt(camera.state.zoom);
    const names = this.levels[level] ?? [];
    const fresh = level !== this.level;
    this.level = level;
    for (const one of this.shown.values()) one.wanted = false;
    const taken: Box[] = [...obstacles];
    const at: Projected = { x: 0, y: 0, depth: 0, scale: 1 };
    const largest = names[0]?.size ?? 1;
    let count = 0;
    // What is here already keeps its place before smaller newcomers, so that names do not flicker.
    const order = fresh ? names : [...names].sort((a, b) => this.weight(b) - this.weight(a));
    for (const name of order) {
      if (count >= MOST) break;
      const [x, y, z] = name.centre;
      camera.project(x, y, z ?? 0, at);
      if (at.depth < 0 || at.x < 0 || at.y < 0 || at.x > camera.width || at.y > camera.height) {
        this.follow(name, at);
        continue;
      }
      const font = Math.round(12 + 7 * Math.sqrt(name.size / largest));
      pen.font = `600 ${font}px ${family}`;
      const [width, height] = [pen.measureText(name.text).width, font * 1.2];
      const px = Math.min(Math.max(at.x, width / 2 + 8), camera.width - width / 2 - 8);
      const py = Math.min(Math.max(at.y, height / 2 + 6), camera.height - height / 2 - 6);
      const box = {
        text: name.text, left: px - width / 2 - GAP, right: px + width / 2 + GAP,
        top: py - height / 2 - GAP, bottom: py + height / 2 + GAP,
      };
      if (taken.some((other) => box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom)) {
        this.follow(name, at);
        continue;
      }
      taken.push(box);
      count++;
      const known = this.shown.get(name);
      const own = { name, wanted: true, x: px, y: py, width, height, font };
      if (known) Object.assign(known, own);
      else this.shown.set(name, { ...own, alpha: 0 });
    }
    for (const [name, one] of this.shown) if (!one.wanted && one.alpha > 0) this.hide(name, one, taken);
  }

  private weight(name: Name): number {
    return name.size * (this.shown.get(name)?.wanted === false ? 1.5 : 1);
  }

  private follow(name: Name, at: Projected): void {
    const known = this.shown.get(name);
    if (known) Object.assign(known, { x: at.x, y: at.y });
  }

  /** A name on its way out goes at once where it would lie over another. */
  private hide(name: Name, one: Shown, taken: Box[]): void {
    const over = taken.some(
      (box) => one.x - one.width / 2 < box.right && box.left < one.x + one.width / 2 &&
        one.y - one.height / 2 < box.bottom && box.top < one.y + one.height / 2,
    );
    if (over) this.shown.delete(name);
  }
}
