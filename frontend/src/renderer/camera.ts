/** Where the map is looked at from. Pixels are CSS pixels; the world lies within -1..1. */

export interface Projected {
  x: number;
  y: number;
  /** Greater is farther; 0 in the plane. */
  depth: number;
  /** How large things are there, against the middle of the view. */
  scale: number;
}

export interface CameraState {
  target: [number, number, number];
  zoom: number;
  yaw: number;
  pitch: number;
}

export interface Camera {
  readonly dims: 2 | 3;
  width: number;
  height: number;
  state: CameraState;
  /** Pixels of a unit of the world in the middle of the view. */
  readonly pixels: number;
  /** World to clip space, column by column. */
  matrix(): Float32Array;
  project(x: number, y: number, z: number, out: Projected): Projected;
  /** Moves what is seen by so many pixels. */
  pan(dx: number, dy: number): void;
  /** Zooms so that what lies at a pixel stays there. */
  zoomAt(x: number, y: number, factor: number): void;
  orbit(dx: number, dy: number): void;
}

const MARGIN = 0.92;
const HIGHEST = 3000;
const LOWEST = 0.4;

export function home(): CameraState {
  return { target: [0, 0, 0], zoom: 1, yaw: 0.6, pitch: 0.35 };
}

function bounded(zoom: number): number {
  return Math.min(HIGHEST, Math.max(LOWEST, zoom));
}

export class PlaneCamera implements Camera {
  readonly dims = 2;
  width = 1;
  height = 1;
  state = home();
  private readonly out = new Float32Array(16);

  get pixels(): number {
    return (Math.min(this.width, this.height) / 2) * MARGIN * this.state.zoom;
  }

  matrix(): Float32Array {
    const { out, pixels } = this;
    const [x, y] = this.state.target;
    const across = (2 * pixels) / this.width;
    const up = (2 * pixels) / this.height;
    out.fill(0);
    out[0] = across;
    out[5] = up;
    out[12] = -x * across;
    out[13] = -y * up;
    out[15] = 1;
    return out;
  }

  project(x: number, y: number, _z: number, out: Projected): Projected {
    const { pixels } = this;
    out.x = this.width / 2 + (x - this.state.target[0]) * pixels;
    out.y = this.height / 2 - (y - this.state.target[1]) * pixels;
    out.depth = 0;
    out.scale = 1;
    return out;
  }

  /** The place of the world at a pixel. */
  at(x: number, y: number): [number, number] {
    const { pixels } = this;
    const [cx, cy] = this.state.target;
    return [cx + (x - this.width / 2) / pixels, cy - (y - this.height / 2) / pixels];
  }

  pan(dx: number, dy: number): void {
    const { pixels } = this;
    const [x, y] = this.state.target;
    this.state.target = [clamp(x - dx / pixels), clamp(y + dy / pixels), 0];
  }

  zoomAt(x: number, y: number, factor: number): void {
    const before = this.at(x, y);
    this.state.zoom = bounded(this.state.zoom * factor);
    const after = this.at(x, y);
    const [cx, cy] = this.state.target;
    this.state.target = [clamp(cx + before[0] - after[0]), clamp(cy + before[1] - after[1]), 0];
  }

  orbit(): void {
    // a plane is always looked at from above
  }
}

const LENS = 1 / Math.tan(((40 / 180) * Math.PI) / 2);
const FAR = 2.9;

export class OrbitCamera implements Camera {
  readonly dims = 3;
  width = 1;
  height = 1;
  state = home();
  private readonly out = new Float32Array(16);

  private get distance(): number {
    return FAR / this.state.zoom;
  }

  get pixels(): number {
    return (LENS * (Math.min(this.width, this.height) / 2)) / this.distance;
  }

  /** The directions right, up and towards the eye. */
  private axes(): [number[], number[], number[]] {
    const { yaw, pitch } = this.state;
    const [sy, cy, sp, cp] = [Math.sin(yaw), Math.cos(yaw), Math.sin(pitch), Math.cos(pitch)];
    return [
      [cy, 0, -sy],
      [-sy * sp, cp, -cy * sp],
      [sy * cp, sp, cy * cp],
    ];
  }

  matrix(): Float32Array {
    const [right, up, back] = this.axes();
    const { out, distance } = this;
    const t = this.state.target;
    const side = Math.min(this.width, this.height);
    const fx = LENS * (side / this.width);
    const fy = LENS * (side / this.height);
    const near = distance * 0.02;
    const far = distance + 4;
    const dot = (a: number[]): number => a[0] * t[0] + a[1] * t[1] + a[2] * t[2];
    const [tx, ty, tz] = [dot(right), dot(up), dot(back) + distance];
    const a = -(far + near) / (far - near);
    const b = (-2 * far * near) / (far - near);
    for (let i = 0; i < 3; i++) {
      out[4 * i] = fx * right[i];
      out[4 * i + 1] = fy * up[i];
      out[4 * i + 2] = a * back[i];
      out[4 * i + 3] = -back[i];
    }
    out[12] = -fx * tx;
    out[13] = -fy * ty;
    out[14] = -a * tz + b;
    out[15] = tz;
    return out;
  }

  project(x: number, y: number, z: number, out: Projected): Projected {
    const m = this.matrix();
    return projected(m, this.width, this.height, this.distance, x, y, z, out);
  }

  pan(dx: number, dy: number): void {
    const [right, up] = this.axes();
    const { pixels } = this;
    this.state.target = this.state.target.map((value, i) =>
      clamp(value - (dx / pixels) * right[i] + (dy / pixels) * up[i]),
    ) as [number, number, number];
  }

  zoomAt(x: number, y: number, factor: number): void {
    const before = this.state.zoom;
    this.state.zoom = Math.min(200, bounded(before * factor));
    const share = 1 - before / this.state.zoom;
    this.pan(-(x - this.width / 2) * share, -(y - this.height / 2) * share);
  }

  orbit(dx: number, dy: number): void {
    this.state.yaw -= dx * 0.006;
    this.state.pitch = Math.max(-1.5, Math.min(1.5, this.state.pitch + dy * 0.006));
  }
}

/** A place through a perspective matrix that was made before. */
export function projected(
  m: Float32Array, width: number, height: number, distance: number,
  x: number, y: number, z: number, out: Projected,
): Projected {
  const w = m[3] * x + m[7] * y + m[11] * z + m[15];
  if (w <= 1e-6) {
    out.depth = -1;
    out.x = out.y = -1e6;
    out.scale = 0;
    return out;
  }
  out.x = ((m[0] * x + m[4] * y + m[8] * z + m[12]) / w + 1) * 0.5 * width;
  out.y = (1 - (m[1] * x + m[5] * y + m[9] * z + m[13]) / w) * 0.5 * height;
  out.depth = w;
  out.scale = distance / w;
  return out;
}

export function distanceOf(camera: Camera): number {
  return camera.dims === 3 ? FAR / camera.state.zoom : 1;
}

function clamp(value: number): number {
  return Math.min(1.5, Math.max(-1.5, value));
}
