/** The document itself as the source of a map: README.md has its form. */

import { keep } from "./server";
import {
  toColouring, toPoints, toSheet, unpack,
  type Colouring, type Cut, type DataSource, type ExportForm, type Hit, type MapFacts,
  type PictureFacts, type Points, type SearchAnswer, type SelectionFacts, type Sheet,
} from "./source";

interface Records {
  ids: string[];
  paths: string[];
  captions: string[];
}

const MOST_IDS = 1_000;

export class EmbeddedSource implements DataSource {
  readonly can: DataSource["can"];
  private readonly records: Records;
  private readonly neighbours: { k: number; rows: Int32Array } | null = null;
  private readonly sheets: { packet: string; rows: number[]; sizes: number[]; tile: number; columns: number }[] = [];
  private readonly place = new Map<number, [number, number]>();
  private readonly opened = new Map<number, Promise<Sheet>>();

  private constructor(private readonly own: MapFacts) {
    this.records = JSON.parse(text("records")) as Records;
    if (has("neighbours")) {
      const { head, buffer, start } = unpack(bytes(text("neighbours")));
      this.neighbours = { k: head["k"] as number, rows: new Int32Array(buffer, start) };
    }
    for (let number = 0; has(`sheet-${number}`); number++) {
      const packet = text(`sheet-${number}`);
      const head = headOf(packet) as unknown as Sheet;
      head.rows.forEach((row, at) => this.place.set(row, [number, at]));
      this.sheets.push({ packet, ...head });
    }
    this.can = { search: true, alike: this.neighbours !== null, label: false, cut: false };
  }

  /** The map in this document, or null if there is none. */
  static open(): EmbeddedSource | null {
    return has("facts") ? new EmbeddedSource(JSON.parse(text("facts")) as MapFacts) : null;
  }

  async facts(): Promise<MapFacts> {
    return this.own;
  }

  async points(): Promise<Points> {
    return toPoints(unpack(bytes(text("points"))));
  }

  async colouring(name: string): Promise<Colouring> {
    return toColouring(unpack(bytes(text(`colouring-${name}`))));
  }

  async sheet(rows: number[], _tile: number): Promise<Sheet[]> {
    const wanted = new Map<number, number[]>();
    for (const row of rows) {
      const [sheet] = this.place.get(row) ?? [-1];
      wanted.set(sheet, [...(wanted.get(sheet) ?? []), row]);
    }
    wanted.delete(-1);
    const numbers = [...wanted.keys()].slice(0, 4); // the others with the next view
    return Promise.all(numbers.map((number) => this.open(number)));
  }

  async picture(row: number): Promise<PictureFacts> {
    return {
      row, id: this.records.ids[row], paths: [this.records.paths[row]], width: null, height: null,
      taken: null, camera: null, labels: [], placed: false, caption: this.records.captions[row],
    };
  }

  async thumbnail(row: number): Promise<string> {
    const found = this.place.get(row);
    if (!found) return "";
    const [number, at] = found;
    const { picture, tile, columns, sizes } = await this.open(number);
    const [width, height] = [sizes[2 * at], sizes[2 * at + 1]];
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    const left = (at % columns) * tile + ((tile - width) >> 1);
    const top = Math.floor(at / columns) * tile + ((tile - height) >> 1);
    canvas.getContext("2d")!.drawImage(picture, left, top, width, height, 0, 0, width, height);
    return canvas.toDataURL("image/jpeg", 0.85);
  }

  async alike(row: number, k: number): Promise<SearchAnswer> {
    const { neighbours } = this;
    if (!neighbours) return { hits: [], understood: [], note: "this document holds no neighbours" };
    const rows = [...neighbours.rows.subarray(row * neighbours.k, (row + 1) * neighbours.k)];
    return this.answer(rows.filter((one) => one >= 0).slice(0, k));
  }

  /** Without a server words are looked for in paths and captions. */
  async search(query: string, k: number): Promise<SearchAnswer> {
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    const { ids, paths, captions } = this.records;
    const rows: number[] = [];
    for (let row = 0; row < ids.length && rows.length < k; row++) {
      const own = `${ids[row]} ${paths[row]} ${captions[row] ?? ""}`.toLowerCase();
      if (words.every((word) => own.includes(word.replace(/^id:/, "")))) rows.push(row);
    }
    return this.answer(rows, "found in names and captions");
  }

  async selection(rows: Int32Array): Promise<SelectionFacts> {
    const few = rows.length <= MOST_IDS;
    const ids = few ? [...rows].map((row) => this.records.ids[row]) : [];
    return {
      count: rows.length,
      condition: few ? `id in (${ids.map((id) => `'${id}'`).join(", ")})` : null,
      sql: few ? `id IN (${ids.map((id) => `X'${id.replaceAll("-", "").toUpperCase()}'`).join(", ")})` : null,
      note: few ? null : `More than ${MOST_IDS.toLocaleString("en")} pictures do not fit a condition.`,
      labels: [],
    };
  }

  async save(rows: Int32Array, form: ExportForm): Promise<void> {
    const { ids, paths } = this.records;
    const table = [...rows].map((row) => ({ id: ids[row], path: paths[row] }));
    const quoted = (value: string): string => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
    const texts: Record<ExportForm, () => string> = {
      csv: () => ["id,path", ...table.map(({ id, path }) => `${id},${quoted(path)}`), ""].join("\n"),
      json: () => JSON.stringify(table, null, 1),
      paths: () => table.map(({ path }) => `${path}\n`).join(""),
    };
    keep(new Blob([texts[form]()], { type: "text/plain" }), `selection.${form === "paths" ? "txt" : form}`);
  }

  async label(): Promise<never> {
    throw new Error("a document without a library cannot keep labels");
  }

  async cut(): Promise<Cut> {
    throw new Error("a document cannot cut its clusters anew");
  }

  private answer(rows: number[], note: string | null = null): SearchAnswer {
    const hits = rows.map((row): Hit => ({
      row, id: this.records.ids[row], path: this.records.paths[row], score: null, likeness: null,
      label: this.records.captions[row] || null,
    }));
    return { hits, understood: [], note };
  }

  private open(number: number): Promise<Sheet> {
    let sheet = this.opened.get(number);
    if (!sheet) {
      sheet = toSheet(unpack(bytes(this.sheets[number].packet)));
      this.opened.set(number, sheet);
      if (this.opened.size > 8) this.opened.delete(this.opened.keys().next().value!);
    }
    return sheet;
  }
}

function element(name: string): HTMLElement | null {
  return document.getElementById(`lookalike-${name}`);
}

function has(name: string): boolean {
  return element(name) !== null;
}

function text(name: string): string {
  return element(name)?.textContent ?? "";
}

function bytes(base64: string): ArrayBuffer {
  const raw = atob(base64.trim());
  const out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out.buffer;
}

/** The JSON of a packet, without decoding its payload. */
function headOf(base64: string): Record<string, unknown> {
  const start = base64.trimStart();
  const length = new DataView(bytes(start.slice(0, 8))).getUint32(0, true);
  return unpack(bytes(start.slice(0, Math.ceil((4 + length) / 3) * 4))).head;
}
