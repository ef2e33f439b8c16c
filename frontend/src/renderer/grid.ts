/** Rows by where they lie in the plane, so that few are looked at for a place or a view. */

/** A number for each row that says nothing of its place: low ones go first. */
export function rank(row: number): number {
  let h = Math.imul(row ^ 0x9e3779b9, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

export class Grid {
  readonly side: number;
  /** Where each cell's rows start in `rows`; one more than there are cells. */
  readonly starts: Int32Array;
  readonly rows: Int32Array;

  constructor(
    private readonly positions: Float32Array,
    private readonly dims: number,
    subset: Int32Array | null,
    side: number,
  ) {
    this.side = side;
    const n = subset ? subset.length : positions.length / dims;
    const cells = new Int32Array(n);
    this.starts = new Int32Array(side * side + 1);
    for (let i = 0; i < n; i++) {
      const row = subset ? subset[i] : i;
      const cell = this.line(positions[dims * row + 1]) * side + this.line(positions[dims * row]);
      cells[i] = cell;
      this.starts[cell + 1]++;
    }
    for (let cell = 0; cell < side * side; cell++) this.starts[cell + 1] += this.starts[cell];
    const next = this.starts.slice(0, side * side);
    this.rows = new Int32Array(n);
    for (let i = 0; i < n; i++) this.rows[next[cells[i]]++] = subset ? subset[i] : i;
  }

  /** The line of cells in which a coordinate lies. */
  line(at: number): number {
    const cell = Math.floor((at + 1) * 0.5 * this.side);
    return cell < 0 ? 0 : cell >= this.side ? this.side - 1 : cell;
  }

  /** Calls with ranges of `rows` that cover a rectangle. */
  ranges(x0: number, y0: number, x1: number, y1: number, call: (start: number, end: number) => void): void {
    const [left, right] = [this.line(x0), this.line(x1)];
    const whole = left === 0 && right === this.side - 1;
    const [bottom, top] = [this.line(y0), this.line(y1)];
    if (whole) {
      call(this.starts[bottom * this.side], this.starts[(top + 1) * this.side]);
      return;
    }
    for (let y = bottom; y <= top; y++) {
      const start = this.starts[y * this.side + left];
      const end = this.starts[y * this.side + right + 1];
      if (end > start) call(start, end);
    }
  }

  /** The row nearest to a place within a distance, or -1. */
  nearest(x: number, y: number, within: number): number {
    let best = within * within;
    let found = -1;
    const { positions, dims, rows } = this;
    this.ranges(x - within, y - within, x + within, y + within, (start, end) => {
      for (let i = start; i < end; i++) {
        const row = rows[i];
        const dx = positions[dims * row] - x;
        const dy = positions[dims * row + 1] - y;
        const apart = dx * dx + dy * dy;
        if (apart < best) {
          best = apart;
          found = row;
        }
      }
    });
    return found;
  }
}

/** Whether a place lies in a polygon of x, y, x, y, ... */
export function inside(polygon: number[], x: number, y: number): boolean {
  let within = false;
  for (let i = 0, j = polygon.length - 2; i < polygon.length; j = i, i += 2) {
    const [xi, yi, xj, yj] = [polygon[i], polygon[i + 1], polygon[j], polygon[j + 1]];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) within = !within;
  }
  return within;
}
