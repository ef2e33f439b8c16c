/**
 * All points, drawn into a picture of their own that is kept while nothing changes.
 *
 * Rows are in groups drawn at random, a small one first, each ordered by cells of a grid: a view
 * draws only the cells that it shows, and, where drawing is slow, the small group while it moves and
 * the others one after the other once it rests.
 */

import { distanceOf, type Camera } from "./camera";
import { buffer, program, uniforms } from "./gl";
import { Grid, rank } from "./grid";

const SAMPLE = 40_000;
const GROUP = 160_000;
const CELLS = 64;
const SLICE_MS = 60;

const VERTEX = `
layout(location = 0) in vec3 at;
layout(location = 1) in vec4 colour;
uniform mat4 matrix;
uniform float size, distance, alpha;
out vec4 shade;
flat out float diameter;
void main() {
  gl_Position = matrix * vec4(at, 1.0);
  float near = distance > 0.0 ? distance / max(gl_Position.w, 1e-4) : 1.0;
  diameter = clamp(size * near, 1.0, 64.0);
  gl_PointSize = diameter;
  float fade = distance > 0.0 ? clamp(1.35 - 0.5 * gl_Position.w / distance, 0.25, 1.0) : 1.0;
  shade = vec4(colour.rgb, colour.a * alpha * fade);
}`;

const FRAGMENT = `
in vec4 shade;
flat in float diameter;
out vec4 paint;
void main() {
  float a = shade.a;
  if (diameter > 2.2) {
    float r = length(gl_PointCoord - 0.5) * diameter;
    a *= clamp(0.5 * diameter - r, 0.0, 1.0);
  }
  if (a < 0.004) discard;
  paint = vec4(shade.rgb * a, a);
}`;

const COPY_VERTEX = `
out vec2 at;
void main() {
  at = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  gl_Position = vec4(at * 2.0 - 1.0, 0.0, 1.0);
}`;

const COPY_FRAGMENT = `
in vec2 at;
uniform sampler2D picture;
uniform float alpha;
out vec4 paint;
void main() { paint = texture(picture, at) * alpha; }`;

interface Device {
  points: WebGLProgram;
  own: Record<"matrix" | "size" | "distance" | "alpha", WebGLUniformLocation | null>;
  copy: WebGLProgram;
  copied: Record<"picture" | "alpha", WebGLUniformLocation | null>;
  array: WebGLVertexArrayObject;
  empty: WebGLVertexArrayObject;
  colours: WebGLBuffer;
  frame: WebGLFramebuffer;
  picture: WebGLTexture;
  depth: WebGLRenderbuffer;
}

export class PointLayer {
  /** Rows as they lie on the device, group by group. */
  private order = new Int32Array(0);
  private groups: { grid: Grid; start: number }[] = [];
  private device: Device | null = null;
  private size: [number, number] = [0, 0];
  private colours = new Uint8Array(0);
  private stale = true;
  /** The picture has the first group alone, since the view moves. */
  private partial = false;
  /** Ranges of the order that are still to be drawn into the picture. */
  private left: [number, number][] = [];
  private perMs = 0;
  visible = 0;

  constructor(
    private readonly positions: Float32Array,
    private readonly dims: 2 | 3,
    readonly n: number,
  ) {
    const sample = n > SAMPLE ? SAMPLE / n : 1;
    const further = Math.max(0, Math.ceil((n - SAMPLE) / GROUP));
    const groupOf = (row: number): number => {
      const at = rank(row) / 2 ** 32;
      return at < sample ? 0 : 1 + Math.min(further - 1, Math.floor(((at - sample) / (1 - sample)) * further));
    };
    const sizes = new Int32Array(1 + further);
    const groups = new Uint16Array(n);
    for (let row = 0; row < n; row++) sizes[(groups[row] = groupOf(row))]++;
    const subsets = [...sizes].map((count) => new Int32Array(count));
    sizes.fill(0);
    for (let row = 0; row < n; row++) {
      const group = groups[row];
      subsets[group][sizes[group]++] = row;
    }
    this.order = new Int32Array(n);
    let start = 0;
    for (const subset of subsets) {
      const grid = new Grid(positions, dims, subset, CELLS);
      this.order.set(grid.rows, start);
      this.groups.push({ grid, start });
      start += grid.rows.length;
    }
  }

  /** Colours by row, four bytes each. */
  setColours(gl: WebGL2RenderingContext | null, colours: Uint8Array): void {
    const words = new Uint32Array(colours.buffer, colours.byteOffset, this.n);
    const ordered = new Uint32Array(this.n);
    for (let i = 0; i < this.n; i++) ordered[i] = words[this.order[i]];
    this.colours = new Uint8Array(ordered.buffer);
    if (gl && this.device) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.device.colours);
      gl.bufferData(gl.ARRAY_BUFFER, this.colours, gl.STATIC_DRAW);
    }
    this.stale = true;
  }

  /** Makes everything on the device, at first or after it was lost. */
  restore(gl: WebGL2RenderingContext): void {
    const points = program(gl, VERTEX, FRAGMENT);
    const copy = program(gl, COPY_VERTEX, COPY_FRAGMENT);
    const array = gl.createVertexArray()!;
    gl.bindVertexArray(array);
    const placed = new Float32Array(this.n * this.dims);
    for (let i = 0; i < this.n; i++) {
      for (let d = 0; d < this.dims; d++) {
        placed[this.dims * i + d] = this.positions[this.dims * this.order[i] + d];
      }
    }
    buffer(gl, placed);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, this.dims, gl.FLOAT, false, 0, 0);
    const colours = buffer(gl, this.colours.length ? this.colours : new Uint8Array(4 * this.n));
    gl.enableVertexAttribArray(1);
    gl.vertexAttribPointer(1, 4, gl.UNSIGNED_BYTE, true, 0, 0);
    gl.bindVertexArray(null);
    this.device = {
      points, copy, array, colours,
      own: uniforms(gl, points, "matrix", "size", "distance", "alpha"),
      copied: uniforms(gl, copy, "picture", "alpha"),
      empty: gl.createVertexArray()!,
      frame: gl.createFramebuffer()!,
      picture: gl.createTexture()!,
      depth: gl.createRenderbuffer()!,
    };
    this.size = [0, 0];
    this.stale = true;
  }

  /** The view or the colours changed. */
  change(): void {
    this.stale = true;
  }

  /** Whether there is something left to draw. */
  get unfinished(): boolean {
    return this.stale || this.partial || this.left.length > 0;
  }

  /** Draws what is due; `moving` lets it leave out what does not fit a frame. */
  draw(gl: WebGL2RenderingContext, camera: Camera, ratio: number, look: { size: number; alpha: number }, moving: boolean): void {
    const device = this.device!;
    this.resize(gl, device, gl.drawingBufferWidth, gl.drawingBufferHeight);
    gl.bindFramebuffer(gl.FRAMEBUFFER, device.frame);
    gl.viewport(0, 0, this.size[0], this.size[1]);
    if (this.partial && !moving) this.stale = true;
    if (this.stale) {
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      this.left = this.ranges(camera);
      this.partial = moving && this.slow;
      if (this.partial) this.left = this.left.filter(([from]) => from < this.groups[0].grid.rows.length);
      this.stale = false;
    }
    if (this.left.length) this.slice(gl, device, camera, ratio, look);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  }

  /** Whether all that is visible takes longer than a frame should. */
  private get slow(): boolean {
    return this.perMs > 0 && this.visible / this.perMs > SLICE_MS;
  }

  private slice(
    gl: WebGL2RenderingContext, device: Device, camera: Camera, ratio: number,
    look: { size: number; alpha: number },
  ): void {
    gl.useProgram(device.points);
    gl.bindVertexArray(device.array);
    gl.uniformMatrix4fv(device.own.matrix, false, camera.matrix());
    const solid = this.dims === 3;
    const scale = this.partial ? Math.min(1.8, Math.max(1, this.visible / SAMPLE) ** 0.25) : 1;
    gl.uniform1f(device.own.size, look.size * ratio * scale);
    gl.uniform1f(device.own.alpha, solid ? 1 : Math.min(1, look.alpha * scale));
    gl.uniform1f(device.own.distance, solid ? distanceOf(camera) : 0);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    if (solid) gl.enable(gl.DEPTH_TEST);
    const most = this.perMs > 0 ? Math.max(20_000, this.perMs * SLICE_MS) : this.n;
    const start = performance.now();
    let drawn = 0;
    while (this.left.length && drawn < most) {
      const [from, to] = this.left[0];
      const count = Math.min(to - from, most - drawn);
      gl.drawArrays(gl.POINTS, from, count);
      drawn += count;
      if (from + count < to) this.left[0][0] = from + count;
      else this.left.shift();
    }
    gl.disable(gl.DEPTH_TEST);
    gl.bindVertexArray(null);
    if (drawn > 8_000 && (this.perMs === 0 || this.slow)) this.measure(gl, drawn, start);
  }

  /** How many points this device draws in a millisecond: waits until they are. */
  private measure(gl: WebGL2RenderingContext, drawn: number, start: number): void {
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
    const rate = drawn / Math.max(0.5, performance.now() - start);
    this.perMs = this.perMs === 0 ? rate : 0.7 * this.perMs + 0.3 * rate;
  }

  /** What a view shows, the sample first. */
  private ranges(camera: Camera): [number, number][] {
    const found: [number, number][] = [];
    this.visible = 0;
    for (const { grid, start } of this.groups) {
      const add = (from: number, to: number): void => {
        if (to === from) return;
        found.push([start + from, start + to]);
        this.visible += to - from;
      };
      if (camera.dims === 3) add(0, grid.rows.length);
      else {
        const [x, y] = camera.state.target;
        const [dx, dy] = [camera.width / 2 / camera.pixels, camera.height / 2 / camera.pixels];
        grid.ranges(x - dx, y - dy, x + dx, y + dy, add);
      }
    }
    return found;
  }

  /** Puts the picture on the screen. */
  show(gl: WebGL2RenderingContext, alpha: number): void {
    const device = this.device!;
    gl.useProgram(device.copy);
    gl.bindVertexArray(device.empty);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, device.picture);
    gl.uniform1i(device.copied.picture, 0);
    gl.uniform1f(device.copied.alpha, alpha);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    gl.bindVertexArray(null);
  }

  private resize(gl: WebGL2RenderingContext, device: Device, width: number, height: number): void {
    if (this.size[0] === width && this.size[1] === height) return;
    this.size = [width, height];
    this.stale = true;
    gl.bindTexture(gl.TEXTURE_2D, device.picture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, width, height, 0, gl.RGBA, gl.UNSIGNED_BYTE, null);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.LINEAR);
    for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
    gl.bindRenderbuffer(gl.RENDERBUFFER, device.depth);
    gl.renderbufferStorage(gl.RENDERBUFFER, gl.DEPTH_COMPONENT16, width, height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, device.frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, device.picture, 0);
    gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.RENDERBUFFER, device.depth);
  }
}
