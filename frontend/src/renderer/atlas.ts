/**
 * Thumbnails on the device: one texture of equal tiles, of which those not seen for longest give way.
 *
 * Tiles are asked for a whole view at once, never more than one request at a time.
 */

import type { Sheet } from "../source";
import { program, uniforms } from "./gl";

const FLOATS = 8;

const VERTEX = `
layout(location = 0) in vec4 place;   // middle and half size, pixels
layout(location = 1) in vec4 tile;    // column, row, width, height, in tiles; alpha in the sign
uniform vec2 screen;
uniform float tiles;
out vec2 at;
out vec2 corner;
flat out vec2 half_size;
flat out float alpha;
void main() {
  vec2 unit = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  vec2 pixel = place.xy + (unit * 2.0 - 1.0) * place.zw;
  gl_Position = vec4(pixel.x / screen.x * 2.0 - 1.0, 1.0 - pixel.y / screen.y * 2.0, 0.0, 1.0);
  alpha = fract(tile.x);
  vec2 size = tile.zw;
  at = (floor(tile.xy) + 0.5 + (unit - 0.5) * size) / tiles;
  corner = (unit * 2.0 - 1.0) * place.zw;
  half_size = place.zw;
}`;

const FRAGMENT = `
in vec2 at;
in vec2 corner;
flat in vec2 half_size;
flat in float alpha;
uniform sampler2D picture;
uniform vec4 border;
out vec4 paint;
void main() {
  float radius = min(4.0, 0.12 * min(half_size.x, half_size.y));
  vec2 q = abs(corner) - half_size + radius;
  float d = length(max(q, 0.0)) - radius;
  float cover = clamp(0.5 - d, 0.0, 1.0) * alpha * 1.0101;
  vec3 colour = mix(texture(picture, at).rgb, border.rgb, clamp(d + 1.5, 0.0, 1.0) * border.a);
  paint = vec4(colour * cover, cover);
}`;

interface Slot {
  row: number;
  used: number;
  width: number;
  height: number;
  /** When it came, for fading in. */
  since: number;
}

interface Device {
  program: WebGLProgram;
  own: Record<"screen" | "tiles" | "picture" | "border", WebGLUniformLocation | null>;
  texture: WebGLTexture;
  instances: WebGLBuffer;
  array: WebGLVertexArrayObject;
}

export interface Placed {
  row: number;
  x: number;
  y: number;
  /** Pixels of the longer side. */
  side: number;
  /** Set by drawing: half width and height in pixels, 0 where there is no picture yet. */
  halfWidth: number;
  halfHeight: number;
}

export class Atlas {
  readonly tile: number;
  private readonly columns: number;
  private slots: Slot[] = [];
  private byRow = new Map<number, number>();
  private readonly missing = new Set<number>();
  private device: Device | null = null;
  private clock = 0;
  private data = new Float32Array(0);
  private inFlight = false;
  requests = 0;
  bytes = 0;
  mostInFlight = 0;
  /** The latest problem, until a request goes well. */
  problem: string | null = null;
  fading = false;

  constructor(
    ratio: number,
    private readonly load: (rows: number[], tile: number) => Promise<Sheet[]>,
    private readonly arrived: () => void,
  ) {
    this.tile = ratio > 1.3 ? 128 : 64;
    this.columns = ratio > 1.3 ? 32 : 32;
  }

  get capacity(): number {
    return this.columns * this.columns;
  }

  restore(gl: WebGL2RenderingContext): void {
    const made = program(gl, VERTEX, FRAGMENT);
    const texture = gl.createTexture()!;
    const side = this.columns * this.tile;
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA8, side, side);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.LINEAR);
    const instances = gl.createBuffer()!;
    const array = gl.createVertexArray()!;
    gl.bindVertexArray(array);
    gl.bindBuffer(gl.ARRAY_BUFFER, instances);
    for (const [place, offset] of [[0, 0], [1, 16]] as const) {
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, 4, gl.FLOAT, false, 4 * FLOATS, offset);
      gl.vertexAttribDivisor(place, 1);
    }
    gl.bindVertexArray(null);
    this.device = {
      program: made, texture, instances, array,
      own: uniforms(gl, made, "screen", "tiles", "picture", "border"),
    };
    this.slots = [];
    this.byRow.clear();
  }

  has(row: number): boolean {
    return this.byRow.has(row);
  }

  /** How many thumbnails it has. */
  get held(): number {
    return this.byRow.size;
  }

  /** Asks for those of a view that are not here, unless a request is under way. */
  want(gl: WebGL2RenderingContext, rows: Iterable<number>): void {
    if (this.inFlight) return;
    const lacking: number[] = [];
    for (const row of rows) {
      if (!this.byRow.has(row) && !this.missing.has(row) && lacking.length < this.capacity) lacking.push(row);
    }
    if (!lacking.length) return;
    this.inFlight = true;
    this.requests++;
    this.mostInFlight = Math.max(this.mostInFlight, 1);
    void this.load(lacking, this.tile)
      .then((sheets) => {
        for (const sheet of sheets) {
          this.bytes += sheet.bytes;
          this.take(gl, sheet, lacking);
        }
        if (!sheets.length) for (const row of lacking) this.missing.add(row);
        this.problem = null;
      })
      .catch((error: Error) => {
        for (const row of lacking) this.missing.add(row);
        this.problem = error.message;
        setTimeout(() => {
          for (const row of lacking) this.missing.delete(row);
        }, 4_000);
      })
      .finally(() => {
        this.inFlight = false;
        this.arrived();
      });
  }

  private take(gl: WebGL2RenderingContext, sheet: Sheet, wanted: number[]): void {
    if (!this.device || gl.isContextLost()) return;
    const only = sheet.rows.length > wanted.length ? new Set(wanted) : null;
    const canvas = canvasOf(this.tile, this.tile);
    const pen = sheet.tile === this.tile ? null : canvas.getContext("2d")!;
    gl.bindTexture(gl.TEXTURE_2D, this.device.texture);
    const whole = pen ? null : pixelsOf(sheet.picture);
    sheet.rows.forEach((row, at) => {
      if (only && !only.has(row)) return;
      const [width, height] = [sheet.sizes[2 * at], sheet.sizes[2 * at + 1]];
      if (!width) {
        this.missing.add(row);
        return;
      }
      const slot = this.free();
      const [x, y] = [(slot % this.columns) * this.tile, Math.floor(slot / this.columns) * this.tile];
      const [left, top] = [(at % sheet.columns) * sheet.tile, Math.floor(at / sheet.columns) * sheet.tile];
      if (whole) upload(gl, whole, sheet.picture.width, left, top, x, y, this.tile);
      else {
        pen!.drawImage(sheet.picture, left, top, sheet.tile, sheet.tile, 0, 0, this.tile, this.tile);
        gl.texSubImage2D(gl.TEXTURE_2D, 0, x, y, gl.RGBA, gl.UNSIGNED_BYTE, canvas);
      }
      this.slots[slot] = {
        row, used: this.clock, since: performance.now(),
        width: width / sheet.tile, height: height / sheet.tile,
      };
      this.byRow.set(row, slot);
    });
  }

  /** A slot that is empty, or the one not used for longest. */
  private free(): number {
    if (this.slots.length < this.capacity) {
      this.slots.push({ row: -1, used: 0, width: 0, height: 0, since: 0 });
      return this.slots.length - 1;
    }
    let oldest = 0;
    for (let i = 1; i < this.slots.length; i++) if (this.slots[i].used < this.slots[oldest].used) oldest = i;
    this.byRow.delete(this.slots[oldest].row);
    return oldest;
  }

  /** Draws thumbnails where they are placed, as far as they are here. */
  draw(
    gl: WebGL2RenderingContext, placed: Placed[], width: number, height: number,
    ratio: number, border: number[], alpha: number, fade: boolean, focus: Uint8Array | null,
  ): number {
    const device = this.device!;
    this.clock++;
    const now = performance.now();
    if (this.data.length < placed.length * FLOATS) this.data = new Float32Array(placed.length * FLOATS);
    let count = 0;
    this.fading = false;
    for (const one of placed) {
      const at = this.byRow.get(one.row);
      if (at === undefined) {
        one.halfWidth = one.halfHeight = 0;
        continue;
      }
      const slot = this.slots[at];
      slot.used = this.clock;
      const age = fade ? Math.min(1, (now - slot.since) / 220) : 1;
      if (age < 1) this.fading = true;
      const strength = focus === null || focus[one.row] ? alpha : 0.3 * alpha;
      const longer = Math.max(slot.width, slot.height);
      one.halfWidth = (one.side / 2) * (slot.width / longer);
      one.halfHeight = (one.side / 2) * (slot.height / longer);
      const inset = 1 - 1 / this.tile;
      this.data.set(
        [
          one.x * ratio, one.y * ratio, one.halfWidth * ratio, one.halfHeight * ratio,
          (at % this.columns) + Math.min(0.99, Math.max(0.001, age * strength * 0.99)), Math.floor(at / this.columns),
          slot.width * inset, slot.height * inset,
        ],
        count++ * FLOATS,
      );
    }
    if (!count) return 0;
    gl.useProgram(device.program);
    gl.bindVertexArray(device.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, device.instances);
    gl.bufferData(gl.ARRAY_BUFFER, this.data.subarray(0, count * FLOATS), gl.DYNAMIC_DRAW);
    gl.uniform2f(device.own.screen, width * ratio, height * ratio);
    gl.uniform1f(device.own.tiles, this.columns);
    gl.uniform4fv(device.own.border, border);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, device.texture);
    gl.uniform1i(device.own.picture, 0);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, count);
    gl.bindVertexArray(null);
    return count;
  }
}

function pixelsOf(picture: ImageBitmap): Uint8ClampedArray {
  const canvas = canvasOf(picture.width, picture.height);
  const pen = canvas.getContext("2d", { willReadFrequently: true })!;
  pen.drawImage(picture, 0, 0);
  return pen.getImageData(0, 0, picture.width, picture.height).data;
}

/** One tile of a sheet into the texture. */
function upload(
  gl: WebGL2RenderingContext, pixels: Uint8ClampedArray, width: number,
  left: number, top: number, x: number, y: number, tile: number,
): void {
  gl.pixelStorei(gl.UNPACK_ROW_LENGTH, width);
  gl.pixelStorei(gl.UNPACK_SKIP_PIXELS, left);
  gl.pixelStorei(gl.UNPACK_SKIP_ROWS, top);
  gl.texSubImage2D(gl.TEXTURE_2D, 0, x, y, tile, tile, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
  gl.pixelStorei(gl.UNPACK_ROW_LENGTH, 0);
  gl.pixelStorei(gl.UNPACK_SKIP_PIXELS, 0);
  gl.pixelStorei(gl.UNPACK_SKIP_ROWS, 0);
}

function canvasOf(width: number, height: number): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}
