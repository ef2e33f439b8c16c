/** Colours of groups and scales, even in lightness, for a light and a dark ground. */

import { NONE, type Colouring } from "../source";

export type Rgb = [number, number, number];

/** From OKLCH (Ottosson 2020): lightness 0..1, chroma, hue in degrees. */
export function oklch(l: number, c: number, h: number): Rgb {
  const [a, b] = [c * Math.cos((h * Math.PI) / 180), c * Math.sin((h * Math.PI) / 180)];
  const long = (l + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const middle = (l - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const short = (l - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
    -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
    -0.0041960863 * long - 0.7034186147 * middle + 1.707614701 * short,
  ];
  return linear.map((value) => {
    const v = Math.min(1, Math.max(0, value));
    return Math.round(255 * (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055));
  }) as Rgb;
}

/** The nth of colours that differ as much as may be: hues by the golden angle, three lightnesses. */
export function category(n: number, dark: boolean): Rgb {
  const light = [0.6, 0.7, 0.5][n % 3] + (dark ? 0.12 : 0);
  const chroma = [0.16, 0.14, 0.13][n % 3];
  return oklch(light, chroma, (255 + 137.508 * n) % 360);
}

/** A place on a scale, 0..1: blue to yellow, always rising or always falling in lightness. */
export function scale(at: number, dark: boolean): Rgb {
  const t = dark ? at : 1 - at;
  return oklch(dark ? 0.45 + 0.45 * t : 0.34 + 0.46 * t, 0.13, dark ? 280 - 190 * at : 90 + 190 * (1 - at) * 1);
}

export function noise(dark: boolean): Rgb {
  return dark ? [120, 122, 130] : [150, 151, 156];
}

export function colourOf(colouring: Colouring, code: number, dark: boolean): Rgb {
  if (code === NONE) return noise(dark);
  const entry = colouring.legend[code];
  if (entry?.colour) return parsed(entry.colour);
  if (colouring.kind === "ordered") return scale(code / Math.max(1, colouring.legend.length - 1), dark);
  if (colouring.kind === "groups" && entry?.label === "other") return noise(dark);
  return category(code, dark);
}

function parsed(colour: string): Rgb {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)) as Rgb;
}

export function css([r, g, b]: Rgb): string {
  return `rgb(${r} ${g} ${b})`;
}

/** Colours of all rows, four bytes each; what is not in focus is faint. */
export function paint(colouring: Colouring, dark: boolean, focus: Uint8Array | null): Uint8Array {
  const { codes } = colouring;
  const out = new Uint8Array(4 * codes.length);
  const words = new Uint32Array(out.buffer);
  const word = (code: number, alpha: number): number => {
    const [r, g, b] = colourOf(colouring, code, dark);
    return ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;
  };
  const known = new Map<number, [number, number]>();
  for (let row = 0; row < codes.length; row++) {
    const code = codes[row];
    let pair = known.get(code);
    if (!pair) {
      const strong = code === NONE ? 140 : 255;
      pair = [word(code, Math.round(strong * 0.13)), word(code, strong)];
      known.set(code, pair);
    }
    words[row] = pair[focus === null || focus[row] ? 1 : 0];
  }
  return out;
}
