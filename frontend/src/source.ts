/** What the page asks for, wherever it comes from. A row is the number of a record on the map. */

export interface ClusterFacts {
  size: number;
  name: string;
  words: string[];
  medoid: string;
  exemplars: string[];
  colours: [string, number][];
  centre: number[];
}

export interface MapFacts {
  name: string;
  title: string;
  n: number;
  dims: 2 | 3;
  options: Record<string, string | number | null>;
  parameters: Record<string, string | number>;
  clustering: {
    method: string;
    parameters: Record<string, string | number>;
    /** From few wide to many narrow clusters. */
    levels: ClusterFacts[][];
    /** How many clusters may be asked for, where the method keeps a tree. */
    cut: { lowest: number; highest: number } | null;
  };
  colourings: { name: string; title: string }[];
  placed: number;
}

export interface Points {
  n: number;
  dims: 2 | 3;
  positions: Float32Array;
  cluster: Uint16Array;
}

export const NONE = 0xffff;

export interface LegendEntry {
  label: string;
  count: number;
  colour?: string;
}

export interface Colouring {
  name: string;
  title: string;
  kind: "groups" | "clusters" | "ordered";
  legend: LegendEntry[];
  codes: Uint16Array;
}

export interface Sheet {
  picture: ImageBitmap;
  tile: number;
  columns: number;
  rows: number[];
  /** Width and height of every thumbnail, in the middle of its tile; 0 where there is none. */
  sizes: number[];
  /** As it came; 0 if it was there already. */
  bytes: number;
}

export interface PictureFacts {
  row: number;
  id: string;
  paths: string[];
  width: number | null;
  height: number | null;
  taken: string | null;
  camera: string | null;
  labels: { name: string; confidence: number; source: string | null }[];
  placed: boolean;
  caption?: string;
}

export interface Hit {
  /** -1 where the record is not on the map. */
  row: number;
  id: string;
  path: string;
  score: number | null;
  likeness: string | null;
  label: string | null;
}

export interface SearchAnswer {
  hits: Hit[];
  understood: string[];
  note: string | null;
}

export interface SelectionFacts {
  count: number;
  /** A condition as `lookalike search --where` takes it, or null if it would be too long. */
  condition: string | null;
  sql: string | null;
  /** What to do where they are null. */
  note: string | null;
  labels: { name: string; share: number }[];
}

export interface Cut {
  level: ClusterFacts[];
  colouring: Colouring;
}

export type ExportForm = "csv" | "paths" | "json";

export interface DataSource {
  /** What this source can do beyond showing. */
  readonly can: { search: boolean; alike: boolean; label: boolean; cut: boolean };
  facts(): Promise<MapFacts>;
  points(): Promise<Points>;
  colouring(name: string): Promise<Colouring>;
  /** Thumbnails of rows, in one picture. */
  sheet(rows: number[], tile: number): Promise<Sheet[]>;
  picture(row: number): Promise<PictureFacts>;
  /** The address of a large thumbnail. */
  thumbnail(row: number, id: string): Promise<string>;
  alike(row: number, k: number): Promise<SearchAnswer>;
  search(query: string, k: number): Promise<SearchAnswer>;
  selection(rows: Int32Array): Promise<SelectionFacts>;
  /** Saves rows as a file. */
  save(rows: Int32Array, form: ExportForm): Promise<void>;
  /** Gives rows a label; the condition that finds them by it. */
  label(rows: Int32Array, name: string): Promise<{ count: number; condition: string; sql: string }>;
  /** Cuts the tree of clusters into so many. */
  cut(count: number): Promise<Cut>;
}

export interface Packet {
  head: Record<string, unknown>;
  buffer: ArrayBuffer;
  start: number;
}

/** Takes a packet apart; see README.md. */
export function unpack(buffer: ArrayBuffer): Packet {
  const length = new DataView(buffer).getUint32(0, true);
  const text = new TextDecoder().decode(new Uint8Array(buffer, 4, length));
  return { head: JSON.parse(text) as Record<string, unknown>, buffer, start: 4 + length };
}

export function toPoints({ head, buffer, start }: Packet): Points {
  const n = head["n"] as number;
  const dims = head["dims"] as 2 | 3;
  const positions = new Float32Array(buffer, start, n * dims);
  return { n, dims, positions, cluster: new Uint16Array(buffer, start + 4 * n * dims, n) };
}

export function toColouring({ head, buffer, start }: Packet): Colouring {
  const codes = new Uint16Array(buffer.slice(start, buffer.byteLength - ((buffer.byteLength - start) % 2)));
  const { name, title, kind, legend } = head as unknown as Colouring;
  return { name, title, kind, legend, codes };
}

export async function toSheet({ head, buffer, start }: Packet): Promise<Sheet> {
  const { tile, columns, rows, sizes } = head as unknown as Sheet;
  const blob = new Blob([new Uint8Array(buffer, start)], { type: head["type"] as string });
  const picture = await createImageBitmap(blob);
  return { picture, tile, columns, rows, sizes, bytes: buffer.byteLength };
}
