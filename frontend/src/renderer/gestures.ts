/** Pointers on the map: mouse, pen and fingers become movements, picks and outlines. */

import type { MapRenderer } from "./renderer";

export type Tool = "move" | "box" | "lasso";

export interface Handlers {
  hover(x: number, y: number, kind: string): void;
  leave(): void;
  tap(x: number, y: number): void;
  /** A finger that rests. */
  hold(x: number, y: number): void;
  outlined(outline: number[]): void;
}

const SLACK = 5;
const HOLD_MS = 480;

export class Gestures {
  tool: Tool = "move";
  private readonly pointers = new Map<number, [number, number]>();
  private start: [number, number] = [0, 0];
  private moved = false;
  private drawing: Tool | null = null;
  private held = 0;
  private lastTap = { time: 0, x: 0, y: 0 };

  constructor(
    private readonly surface: HTMLElement,
    private readonly map: MapRenderer,
    private readonly handlers: Handlers,
  ) {
    surface.addEventListener("pointerdown", (event) => this.down(event));
    surface.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"] as const) surface.addEventListener(name, (event) => this.up(event));
    surface.addEventListener("pointerleave", () => !this.pointers.size && handlers.leave());
    surface.addEventListener("contextmenu", (event) => event.preventDefault());
    surface.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  private at(event: MouseEvent): [number, number] {
    const box = this.surface.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    const [x, y] = this.at(event);
    const unit = event.deltaMode === 1 ? 18 : event.deltaMode === 2 ? 300 : 1;
    const amount = Math.max(-240, Math.min(240, event.deltaY * unit));
    this.map.zoomAt(x, y, Math.exp(-amount * (event.ctrlKey ? 0.01 : 0.0022)));
  }

  private down(event: PointerEvent): void {
    const at = this.at(event);
    this.surface.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, at);
    if (this.pointers.size > 1) {
      this.stopDrawing();
      this.moved = true;
      window.clearTimeout(this.held);
      return;
    }
    this.start = at;
    this.moved = false;
    if (event.pointerType === "mouse" && event.button !== 0) return;
    const tool = event.shiftKey && this.tool === "move" ? "box" : this.tool;
    if (tool !== "move") {
      this.drawing = tool;
      this.map.outline = [...at];
    } else if (event.pointerType !== "mouse") {
      this.held = window.setTimeout(() => {
        if (this.moved || this.pointers.size !== 1) return;
        this.moved = true;
        this.handlers.hold(...at);
      }, HOLD_MS);
    }
  }

  private move(event: PointerEvent): void {
    const at = this.at(event);
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      this.handlers.hover(at[0], at[1], event.pointerType);
      return;
    }
    if (!this.moved && Math.hypot(at[0] - this.start[0], at[1] - this.start[1]) < SLACK) return;
    this.moved = true;
    window.clearTimeout(this.held);
    if (this.pointers.size >= 2) this.pinch(event.pointerId, before, at);
    else if (this.drawing) this.draw(at);
    else this.drag(event, before, at);
    this.pointers.set(event.pointerId, at);
  }

  private drag(event: PointerEvent, before: [number, number], at: [number, number]): void {
    const [dx, dy] = [at[0] - before[0], at[1] - before[1]];
    const sideways = event.ctrlKey || event.metaKey || (event.buttons & 2) !== 0 || (event.buttons & 4) !== 0;
    if (this.map.camera.dims === 3 && !sideways) this.map.orbit(dx, dy);
    else this.map.pan(dx, dy);
    this.handlers.leave();
  }

  private pinch(id: number, before: [number, number], at: [number, number]): void {
    const [other] = [...this.pointers].filter(([one]) => one !== id).map(([, place]) => place);
    const [was, is] = [Math.hypot(before[0] - other[0], before[1] - other[1]), Math.hypot(at[0] - other[0], at[1] - other[1])];
    this.map.pan((at[0] - before[0]) / 2, (at[1] - before[1]) / 2);
    if (was > 4 && is > 4) this.map.zoomAt((at[0] + other[0]) / 2, (at[1] + other[1]) / 2, is / was);
  }

  private draw(at: [number, number]): void {
    const [x, y] = this.start;
    if (this.drawing === "box") this.map.outline = [x, y, at[0], y, at[0], at[1], x, at[1]];
    else this.map.outline.push(...at);
    this.map.redraw();
  }

  private stopDrawing(): number[] {
    const { outline } = this.map;
    this.drawing = null;
    this.map.outline = [];
    this.map.redraw();
    return outline;
  }

  private up(event: PointerEvent): void {
    const at = this.at(event);
    if (!this.pointers.delete(event.pointerId)) return;
    window.clearTimeout(this.held);
    if (this.pointers.size) return;
    if (this.drawing) {
      const outline = this.stopDrawing();
      if (this.moved && outline.length >= 6) {
        this.handlers.outlined(outline);
        return;
      }
    }
    if (this.moved || event.type === "pointercancel" || event.button === 2) return;
    const now = performance.now();
    const twice = now - this.lastTap.time < 320 && Math.hypot(at[0] - this.lastTap.x, at[1] - this.lastTap.y) < 24;
    this.lastTap = { time: twice ? 0 : now, x: at[0], y: at[1] };
    if (twice) this.map.zoomAt(at[0], at[1], 2);
    else this.handlers.tap(...at);
  }
}
