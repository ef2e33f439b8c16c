/** A server as the source of a map. */

import {
  toColouring, toPoints, toSheet, unpack,
  type ClusterFacts, type Colouring, type Cut, type DataSource, type ExportForm, type MapFacts,
  type PictureFacts, type Points, type SearchAnswer, type SelectionFacts, type Sheet,
} from "./source";

export class ServerSource implements DataSource {
  readonly can = { search: true, alike: true, label: true, cut: true };

  private constructor(private readonly base: string) {}

  /** The map that the address names (`#NAME`, `?map=NAME`), or the first. */
  static async open(wanted: string | null): Promise<ServerSource> {
    const maps = (await answer(await fetch("/api/map"))) as { name: string }[];
    const chosen = maps.find(({ name }) => name === wanted) ?? maps[0];
    return new ServerSource(`/api/map/${encodeURIComponent(chosen.name)}`);
  }

  async facts(): Promise<MapFacts> {
    return (await this.json("")) as MapFacts;
  }

  async points(): Promise<Points> {
    return toPoints(unpack(await this.bytes("/points")));
  }

  async colouring(name: string): Promise<Colouring> {
    return toColouring(unpack(await this.bytes(`/colourings/${encodeURIComponent(name)}`)));
  }

  async sheet(rows: number[], tile: number): Promise<Sheet[]> {
    const response = await this.post(`/sheet?tile=${tile}`, Int32Array.from(rows));
    return [await toSheet(unpack(await response.arrayBuffer()))];
  }

  async picture(row: number): Promise<PictureFacts> {
    return (await this.json(`/pictures/${row}`)) as PictureFacts;
  }

  async thumbnail(_row: number, id: string): Promise<string> {
    return `/thumb/${id}`;
  }

  async alike(row: number, k: number): Promise<SearchAnswer> {
    return (await this.json(`/pictures/${row}/alike?k=${k}`)) as SearchAnswer;
  }

  async search(query: string, k: number): Promise<SearchAnswer> {
    return (await this.json(`/search?k=${k}&q=${encodeURIComponent(query)}`)) as SearchAnswer;
  }

  async selection(rows: Int32Array): Promise<SelectionFacts> {
    return (await answer(await this.post("/selection", rows))) as SelectionFacts;
  }

  async save(rows: Int32Array, form: ExportForm): Promise<void> {
    const response = await this.post(`/export?form=${form}`, rows);
    keep(await response.blob(), `selection.${form === "paths" ? "txt" : form}`);
  }

  async label(rows: Int32Array, name: string): Promise<{ count: number; condition: string; sql: string }> {
    const response = await this.post(`/label?name=${encodeURIComponent(name)}`, rows);
    return (await answer(response)) as { count: number; condition: string; sql: string };
  }

  async cut(count: number): Promise<Cut> {
    const packet = unpack(await this.bytes(`/cut?count=${count}`));
    return { level: packet.head["level"] as ClusterFacts[], colouring: toColouring(packet) };
  }

  private async json(path: string): Promise<unknown> {
    return answer(await fetch(this.base + path));
  }

  private async bytes(path: string): Promise<ArrayBuffer> {
    return (await checked(await fetch(this.base + path))).arrayBuffer();
  }

  private async post(path: string, rows: Int32Array): Promise<Response> {
    const headers = { "Content-Type": "application/octet-stream" };
    const body = rows.slice().buffer as ArrayBuffer;
    return checked(await fetch(this.base + path, { method: "POST", headers, body }));
  }
}

async function checked(response: Response): Promise<Response> {
  if (response.ok) return response;
  let line = `${response.status} ${response.statusText}`;
  try {
    line = ((await response.json()) as { error: string }).error;
  } catch {
    // not from this server's own code: the status has to do
  }
  throw new Error(line);
}

async function answer(response: Response): Promise<unknown> {
  return (await checked(response)).json();
}

/** Hands a file to the user. */
export function keep(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
