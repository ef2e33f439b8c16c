/**
 * A map of points and pictures on a canvas, by WebGL2.
 *
 * It draws what it is given and answers what lies where; of pages, searches and servers it knows
 * nothing. All its state lies here, so a device that was lost is filled anew.
 */

import type { Points, Sheet } from "../source";
import { Atlas, type Placed } from "./atlas";
import { distanceOf, home, OrbitCamera, PlaneCamera, projected, type Camera, type CameraState, type Projected } from "./camera";
import { Grid, inside, rank } from "./grid";
import { NameLayer, type Box, type Name } from "./names";
import { PointLayer } from "./points";

export interface Look {
  ground: [number, number, number];
  ink: string;
  halo: string;
  accent: string;
  family: string;
}

export interface Marks {
  /** The row that others are like, or -1. */
  source: number;
  hits: number[];
  hover: number;
}

export interface Stats {
  frames: number;
  /** Milliseconds of the last frame's own work. */
  lastMs: number;
  requests: number;
  bytes: number;
  mostInFlight: number;
  thumbnails: number;
  visible: number;
  /** When the first whole picture was there, in milliseconds since the page began. */
  firstPicture: number;
}

const CELL = 44;
const PER_CELL = 36;
const REST_MS = 110;

export class MapRenderer {
  readonly camera: Camera;
  readonly stats: Stats = {
    frames: 0, lastMs: 0, requests: 0, bytes: 0, mostInFlight: 0, thumbnails: 0, visible: 0, firstPicture: 0,
  };
  marks: Marks = { source: -1, hits: [], hover: -1 };
  /** A line around what is being chosen, in pixels: x, y, x, y, ... */
  outline: number[] = [];
  /** Called after the view changed, and after a frame that changed nothing more. */
  onView: () => void = () => {};
  onRest: () => void = () => {};
  onLost: (lost: boolean) => void = () => {};
  /** No movement of its own. */
  still = false;
  /** What stands over the map, in pixels: no name is put beneath it. */
  obstacles: Box[] = [];
  /** How strong names are, 0..1. */
  namesStrength = 1;
  /** "auto" shows thumbnails where there is room. */
  pictures: "auto" | "off" = "auto";

  private gl: WebGL2RenderingContext;
  private readonly pen: CanvasRenderingContext2D;
  private readonly layer: PointLayer;
  private readonly atlas: Atlas;
  private readonly names = new NameLayer();
  private readonly grid: Grid;
  private focus: Uint8Array | null = null;
  private emphasised: Set<number> = new Set();
  private placed: Placed[] = [];
  private placedFor = "";
  private showing = false;
  private pictureAlpha = 0;
  private scheduled = false;
  private lastChange = -1e9;
  private lastFrame = 0;
  private flight: { from: CameraState; to: CameraState; start: number; ms: number } | null = null;
  private resting = 0;
  private look: Look = { ground: [1, 1, 1], ink: "#111", halo: "#fff", accent: "#06c", family: "sans-serif" };
  private ratio = 1;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly overlay: HTMLCanvasElement,
    readonly points: Points,
    load: (rows: number[], tile: number) => Promise<Sheet[]>,
  ) {
    const gl = canvas.getContext("webgl2", { antialias: false, alpha: false, powerPreference: "high-performance" });
    if (!gl) throw new Error("WebGL2 is not available");
    this.gl = gl;
    this.pen = overlay.getContext("2d")!;
    this.camera = points.dims === 3 ? new OrbitCamera() : new PlaneCamera();
    this.layer = new PointLayer(points.positions, points.dims, points.n);
    const side = Math.max(8, Math.min(1024, Math.round(Math.sqrt(points.n / 4))));
    this.grid = new Grid(points.positions, points.dims, null, side);
    this.atlas = new Atlas(window.devicePixelRatio || 1, load, () => {
      this.placedFor = "";
      this.redraw();
    });
    this.restore();
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      this.onLost(true);
    });
    canvas.addEventListener("webglcontextrestored", () => {
      this.restore();
      this.onLost(false);
      this.redraw();
    });
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
  }

  private restore(): void {
    this.layer.restore(this.gl);
    this.atlas.restore(this.gl);
    this.placedFor = "";
  }

  // -- what is shown -----------------------------------------------------------------------------

  /** Colours by row, four bytes each. */
  setColours(colours: Uint8Array): void {
    this.layer.setColours(this.gl.isContextLost() ? null : this.gl, colours);
    this.redraw();
  }

  /** Rows that are lit up, 1 each, or null for all: pictures of the others are faint. */
  setFocus(focus: Uint8Array | null): void {
    this.focus = focus;
    this.redraw();
  }

  /** Rows whose pictures come first where there is room for few. */
  setEmphasis(rows: Iterable<number>): void {
    this.emphasised = new Set(rows);
    this.placedFor = "";
    this.redraw();
  }

  setNames(levels: Name[][]): void {
    this.names.setLevels(levels);
    this.redraw();
  }

  setLook(look: Look): void {
    this.look = look;
    this.redraw();
  }

  /** Names as they stand now, in pixels. */
  get nameBoxes(): Box[] {
    return this.names.boxes();
  }

  get problem(): string | null {
    return this.atlas.problem;
  }

  /** Rows whose pictures are on the screen. */
  get pictureRows(): number[] {
    return this.showing ? this.placed.filter(({ halfWidth }) => halfWidth > 0).map(({ row }) => row) : [];
  }

  // -- the view ----------------------------------------------------------------------------------

  pan(dx: number, dy: number): void {
    this.flight = null;
    this.camera.pan(dx, dy);
    this.moved();
  }

  orbit(dx: number, dy: number): void {
    this.flight = null;
    this.camera.orbit(dx, dy);
    this.moved();
  }

  zoomAt(x: number, y: number, factor: number): void {
    this.flight = null;
    this.camera.zoomAt(x, y, factor);
    this.moved();
  }

  /** All of the map. */
  home(): void {
    this.fly({ ...home(), yaw: this.camera.state.yaw, pitch: this.camera.state.pitch });
  }

  /** Towards a row, close enough to see it among its neighbours. */
  flyTo(row: number, zoom?: number): void {
    const { positions, dims } = this.points;
    const at = [0, 1, 2].map((d) => (d < dims ? positions[dims * row + d] : 0)) as [number, number, number];
    this.fly({ ...this.camera.state, target: at, zoom: zoom ?? Math.max(this.camera.state.zoom, this.closeUp) });
  }

  /** So that a box of the world fills the view. */
  flyToBox(low: number[], high: number[]): void {
    const target = [0, 1, 2].map((d) => ((low[d] ?? 0) + (high[d] ?? 0)) / 2) as [number, number, number];
    const extent = Math.max(...low.map((value, d) => high[d] - value), 0.004);
    this.fly({ ...this.camera.state, target, zoom: Math.max(1, Math.min(400, 1.7 / extent)) });
  }

  /** A zoom at which neighbours are told apart. */
  private get closeUp(): number {
    const side = Math.min(this.camera.width, this.camera.height);
    return Math.max(2, Math.min(this.camera.dims === 3 ? 12 : 600, (40 * Math.sqrt(this.points.n)) / side));
  }

  fly(to: CameraState): void {
    if (this.still) {
      this.camera.state = { ...to };
      this.moved();
      return;
    }
    const from = { ...this.camera.state };
    this.flight = { from, to, start: performance.now(), ms: 520 };
    this.moved();
  }

  private step(now: number): void {
    if (!this.flight) return;
    const { from, to, start, ms } = this.flight;
    const t = Math.min(1, (now - start) / ms);
    const eased = t < 0.5 ? 4 * t ** 3 : 1 - (-2 * t + 2) ** 3 / 2;
    const mix = (a: number, b: number): number => a + (b - a) * eased;
    const zoom = from.zoom * (to.zoom / from.zoom) ** eased;
    // The target moves as the view widens or narrows, so that a flight looks straight.
    const ratio = to.zoom / from.zoom;
    const share = Math.abs(ratio - 1) < 1e-3 ? eased : (1 - ratio ** -eased) / (1 - 1 / ratio);
    const target = from.target.map((a, d) => a + (to.target[d] - a) * share) as [number, number, number];
    this.camera.state = { target, zoom, yaw: mix(from.yaw, to.yaw), pitch: mix(from.pitch, to.pitch) };
    if (t >= 1) {
      this.camera.state = { ...to };
      this.flight = null;
    }
    this.moved();
  }

  private moved(): void {
    this.lastChange = performance.now();
    this.layer.change();
    this.onView();
    this.redraw();
  }

  private resize(): void {
    const { clientWidth, clientHeight } = this.canvas;
    this.ratio = Math.min(2, window.devicePixelRatio || 1);
    for (const one of [this.canvas, this.overlay]) {
      one.width = Math.max(1, Math.round(clientWidth * this.ratio));
      one.height = Math.max(1, Math.round(clientHeight * this.ratio));
    }
    this.camera.width = Math.max(1, clientWidth);
    this.camera.height = Math.max(1, clientHeight);
    this.moved();
  }

  // -- what lies where ---------------------------------------------------------------------------

  /** Where a row is on the screen. */
  place(row: number, out: Projected = { x: 0, y: 0, depth: 0, scale: 1 }): Projected {
    const { positions, dims } = this.points;
    return this.camera.project(
      positions[dims * row], positions[dims * row + 1], dims === 3 ? positions[dims * row + 2] : 0, out,
    );
  }

  /** The row at a pixel, or -1. */
  pick(x: number, y: number, within = 12): number {
    if (this.showing) {
      for (let i = this.placed.length - 1; i >= 0; i--) {
        const one = this.placed[i];
        if (one.halfWidth && Math.abs(x - one.x) <= one.halfWidth && Math.abs(y - one.y) <= one.halfHeight) return one.row;
      }
    }
    if (this.camera instanceof PlaneCamera) {
      const [wx, wy] = this.camera.at(x, y);
      return this.grid.nearest(wx, wy, within / this.camera.pixels);
    }
    let best = -1;
    let least = Infinity;
    this.each((row, at) => {
      const apart = (at.x - x) ** 2 + (at.y - y) ** 2;
      if (apart > within * within) return;
      const weight = apart / (within * within) + at.depth * 2;
      if (weight < least) [best, least] = [row, weight];
    });
    return best;
  }

  /** Rows within a line of pixels, ascending. */
  within(outline: number[]): Int32Array {
    const found: number[] = [];
    const { positions, dims } = this.points;
    if (this.camera instanceof PlaneCamera) {
      const world: number[] = [];
      for (let i = 0; i < outline.length; i += 2) world.push(...this.camera.at(outline[i], outline[i + 1]));
      const xs = world.filter((_, i) => i % 2 === 0);
      const ys = world.filter((_, i) => i % 2 === 1);
      const box = [least(xs), least(ys), most(xs), most(ys)];
      this.grid.ranges(box[0], box[1], box[2], box[3], (start, end) => {
        for (let i = start; i < end; i++) {
          const row = this.grid.rows[i];
          const [x, y] = [positions[dims * row], positions[dims * row + 1]];
          if (x < box[0] || x > box[2] || y < box[1] || y > box[3]) continue;
          if (inside(world, x, y)) found.push(row);
        }
      });
    } else this.each((row, at) => inside(outline, at.x, at.y) && found.push(row));
    return Int32Array.from(found).sort();
  }

  /** Every row that is in view, with its place; for maps in space. */
  private each(call: (row: number, at: Projected) => void): void {
    const { positions, n } = this.points;
    const { camera } = this;
    const matrix = camera.matrix();
    const distance = distanceOf(camera);
    const at: Projected = { x: 0, y: 0, depth: 0, scale: 1 };
    for (let row = 0; row < n; row++) {
      const i = 3 * row;
      projected(matrix, camera.width, camera.height, distance, positions[i], positions[i + 1], positions[i + 2], at);
      if (at.depth > 0 && at.x >= 0 && at.y >= 0 && at.x <= camera.width && at.y <= camera.height) call(row, at);
    }
  }

  // -- drawing -----------------------------------------------------------------------------------

  redraw(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame((now) => {
      this.scheduled = false;
      this.frame(now);
    });
  }

  private frame(now: number): void {
    const { gl } = this;
    if (gl.isContextLost()) return;
    const start = performance.now();
    this.step(start);
    const moving = start - this.lastChange < REST_MS;
    this.layer.draw(gl, this.camera, this.ratio, this.size(), moving);
    this.choose(moving);
    gl.viewport(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight);
    const [r, g, b] = this.look.ground;
    gl.clearColor(r, g, b, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    this.fade(now);
    this.layer.show(gl, 1 - 0.5 * this.pictureAlpha);
    const shown = this.pictureAlpha > 0.01
      ? this.atlas.draw(gl, this.placed, this.camera.width, this.camera.height, this.ratio, [...this.look.ground, 0.9], this.pictureAlpha, !this.still, this.focus)
      : 0;
    this.annotate();
    this.count(start, shown);
    this.next(moving);
  }

  private count(start: number, shown: number): void {
    const { stats, atlas } = this;
    stats.frames++;
    stats.lastMs = performance.now() - start;
    stats.requests = atlas.requests;
    stats.bytes = atlas.bytes;
    stats.mostInFlight = atlas.mostInFlight;
    stats.thumbnails = shown;
    stats.visible = this.layer.visible;
    if (!stats.firstPicture && !this.layer.unfinished) {
      this.gl.readPixels(0, 0, 1, 1, this.gl.RGBA, this.gl.UNSIGNED_BYTE, new Uint8Array(4));
      stats.firstPicture = performance.now();
    }
  }

  private next(moving: boolean): void {
    window.clearTimeout(this.resting);
    const busy = this.flight !== null || this.atlas.fading || this.names.fading || this.changingAlpha;
    if (busy || (this.layer.unfinished && !moving)) this.redraw();
    else if (moving) this.resting = window.setTimeout(() => this.redraw(), REST_MS + 5);
    else this.onRest();
  }

  /** Size and strength of points: large where there is room, faint where many lie over each other. */
  private size(): { size: number; alpha: number } {
    const side = Math.min(this.camera.width, this.camera.height);
    const apart = (side * 0.8 * this.camera.state.zoom) / Math.sqrt(Math.max(1, this.points.n));
    if (this.camera.dims === 3) return { size: Math.min(7, Math.max(1.6, 0.6 * apart ** 0.8)), alpha: 1 };
    const size = Math.min(7, Math.max(1.35, 0.52 * apart));
    return { size, alpha: Math.min(0.9, Math.max(0.3, 0.55 * (apart / 1.1))) };
  }

  private get changingAlpha(): boolean {
    return this.pictureAlpha !== (this.showing ? 1 : 0);
  }

  private fade(now: number): void {
    const to = this.showing ? 1 : 0;
    const step = this.still ? 1 : Math.min(1, Math.max(0, now - this.lastFrame) / 200);
    this.lastFrame = now;
    if (this.pictureAlpha < to) this.pictureAlpha = Math.min(to, this.pictureAlpha + step);
    else this.pictureAlpha = Math.max(to, this.pictureAlpha - step);
  }

  /** Which pictures stand where. */
  private choose(moving: boolean): void {
    const { camera } = this;
    const room = (camera.width * camera.height) / (56 * 56);
    const few = PER_CELL * room * 0.6;
    // On a large map pictures come while each still stands for many.
    const limit = Math.min(4 * few, Math.max(few, this.points.n / 16)) * (this.showing ? 1.2 : 1);
    if (camera.dims === 3) this.chooseInSpace(moving, limit);
    else {
      this.showing = this.pictures === "auto" && this.inView() <= limit;
      if (this.showing) this.chooseInPlane();
    }
    if (this.showing && !moving) this.atlas.want(this.gl, this.placed.map(({ row }) => row));
  }

  /** How many rows a view of the plane shows, by cells of the fine grid. */
  private inView(): number {
    const camera = this.camera as PlaneCamera;
    const [x0, y1] = camera.at(0, 0);
    const [x1, y0] = camera.at(camera.width, camera.height);
    let n = 0;
    this.grid.ranges(x0, y0, x1, y1, (start, end) => (n += end - start));
    return n;
  }

  private chooseInPlane(): void {
    const camera = this.camera as PlaneCamera;
    const { state, pixels } = camera;
    const side = 2 ** Math.ceil(Math.log2(CELL / pixels));
    const key = `${state.target[0]} ${state.target[1]} ${pixels} ${camera.width} ${camera.height}`;
    if (key === this.placedFor) return;
    this.placedFor = key;
    const [x0, y1] = camera.at(0, 0);
    const [x1, y0] = camera.at(camera.width, camera.height);
    const { positions, dims } = this.points;
    const best = new Map<number, number>();
    this.grid.ranges(x0 - side, y0 - side, x1 + side, y1 + side, (start, end) => {
      for (let i = start; i < end; i++) {
        const row = this.grid.rows[i];
        const [x, y] = [positions[dims * row], positions[dims * row + 1]];
        if (x < x0 - side || x > x1 + side || y < y0 - side || y > y1 + side) continue;
        const cell = Math.floor((y + 2) / side) * 0x100000 + Math.floor((x + 2) / side);
        const known = best.get(cell);
        if (known === undefined || this.before(row, known)) best.set(cell, row);
      }
    });
    const cell = side * pixels;
    const width = cell * 0.84;
    const loose = (cell - width) / 2;
    this.placed = [...best].map(([key, row]) => {
      const middle = [((key % 0x100000) + 0.5) * side - 2, (Math.floor(key / 0x100000) + 0.5) * side - 2];
      const x = camera.width / 2 + (middle[0] - state.target[0]) * pixels;
      const y = camera.height / 2 - (middle[1] - state.target[1]) * pixels;
      const own = this.place(row);
      return {
        row, side: width, halfWidth: 0, halfHeight: 0,
        x: Math.min(x + loose, Math.max(x - loose, own.x)), y: Math.min(y + loose, Math.max(y - loose, own.y)),
      };
    });
  }

  private before(row: number, other: number): boolean {
    if (this.marks.source >= 0 && (row === this.marks.source || other === this.marks.source)) return row === this.marks.source;
    const [a, b] = [this.emphasised.has(row), this.emphasised.has(other)];
    return a === b ? rank(row) < rank(other) : a;
  }

  private chooseInSpace(moving: boolean, limit: number): void {
    const at: Projected = { x: 0, y: 0, depth: 0, scale: 1 };
    if (!moving && this.placedFor !== "space") {
      this.placedFor = "space";
      let count = 0;
      const best = new Map<number, [number, number]>();
      this.each((row, one) => {
        count++;
        const cell = Math.floor(one.y / 60) * 4096 + Math.floor(one.x / 60);
        const known = best.get(cell);
        const depth = this.emphasised.has(row) ? 0 : one.depth;
        if (known === undefined || depth < known[1]) best.set(cell, [row, depth]);
      });
      this.showing = this.pictures === "auto" && count <= limit;
      this.placed = [...best.values()]
        .sort((a, b) => b[1] - a[1])
        .map(([row]) => ({ row, side: 0, x: 0, y: 0, halfWidth: 0, halfHeight: 0 }));
    }
    if (moving) this.placedFor = "";
    for (const one of this.placed) {
      this.place(one.row, at);
      Object.assign(one, { x: at.x, y: at.y, side: 50 * Math.min(1.5, Math.max(0.4, at.scale)) });
    }
  }

  // -- what lies over it -------------------------------------------------------------------------

  private annotate(): void {
    const { pen, look } = this;
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.clearRect(0, 0, this.camera.width, this.camera.height);
    this.drawMarks();
    this.names.draw(pen, this.camera, look.ink, look.halo, look.family, this.still, this.namesStrength, this.obstacles);
    if (this.outline.length > 3) {
      pen.beginPath();
      for (let i = 0; i < this.outline.length; i += 2) pen.lineTo(this.outline[i], this.outline[i + 1]);
      pen.closePath();
      pen.globalAlpha = 0.12;
      pen.fillStyle = look.accent;
      pen.fill();
      pen.globalAlpha = 1;
      pen.strokeStyle = look.accent;
      pen.lineWidth = 1.5;
      pen.stroke();
    }
  }

  private drawMarks(): void {
    const { pen, look, marks } = this;
    const source = marks.source >= 0 ? { ...this.place(marks.source) } : null;
    pen.strokeStyle = look.accent;
    if (source && source.depth >= 0) {
      pen.globalAlpha = 0.45;
      pen.lineWidth = 1;
      pen.beginPath();
      for (const row of marks.hits) {
        const at = this.place(row);
        if (at.depth < 0) continue;
        pen.moveTo(source.x, source.y);
        pen.lineTo(at.x, at.y);
      }
      pen.stroke();
      pen.globalAlpha = 1;
    }
    const many = marks.hits.length > 60;
    for (const row of marks.hits) this.ring(row, many ? 4 : 6, many ? 1.5 : 2);
    if (marks.source >= 0) this.ring(marks.source, 9, 3);
    if (marks.hover >= 0) this.ring(marks.hover, 7, 2);
  }

  private ring(row: number, radius: number, width: number): void {
    const { pen, look } = this;
    const frame = this.showing ? this.placed.find((one) => one.row === row && one.halfWidth > 0) : undefined;
    const at = this.place(row);
    if (at.depth < 0) return;
    for (const [style, line] of [[look.halo, width + 2], [look.accent, width]] as const) {
      pen.strokeStyle = style;
      pen.lineWidth = line;
      pen.beginPath();
      if (frame) {
        const [w, h] = [frame.halfWidth + 1, frame.halfHeight + 1];
        pen.roundRect(frame.x - w, frame.y - h, 2 * w, 2 * h, 5);
      } else pen.arc(at.x, at.y, radius, 0, 7);
      pen.stroke();
    }
  }
}

function least(values: number[]): number {
  return values.reduce((a, b) => Math.min(a, b), Infinity);
}

function most(values: number[]): number {
  return values.reduce((a, b) => Math.max(a, b), -Infinity);
}
