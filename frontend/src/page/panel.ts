/** What stands beside the map: a picture and its look-alikes, hits of a search, a selection. */

import type { DataSource, ExportForm, Hit, PictureFacts, SearchAnswer, SelectionFacts } from "../source";
import { count, cross, folderOf, get, make, nameOf } from "./dom";

export interface PanelHandlers {
  closed(): void;
  /** A hit to fly to. */
  visit(hit: Hit): void;
  point(row: number): void;
  search(query: string): void;
  done(line: string): void;
}

export class Panel {
  private readonly root = get("panel");
  private turn = 0;

  constructor(private readonly source: DataSource, private readonly handlers: PanelHandlers) {}

  get open(): boolean {
    return !this.root.hidden;
  }

  close(): void {
    this.turn++;
    this.root.hidden = true;
    this.root.replaceChildren();
    document.body.classList.remove("with-panel");
  }

  private start(title: string): number {
    this.root.hidden = false;
    this.root.scrollTop = 0;
    document.body.classList.add("with-panel");
    const close = make("button", { type: "button", class: "close", "aria-label": "Close", click: () => this.handlers.closed() }, cross());
    this.root.replaceChildren(make("header", {}, make("h2", {}, title), close));
    return ++this.turn;
  }

  private add(turn: number, ...children: (Node | string)[]): void {
    if (turn === this.turn) this.root.append(...children);
  }

  /** One picture, and room for what is like it. */
  async picture(facts: PictureFacts): Promise<void> {
    const turn = this.start(nameOf(facts.paths[0] ?? facts.id));
    const image = make("img", { class: "hero", alt: "" });
    image.src = await this.source.thumbnail(facts.row, facts.id);
    this.add(turn, image, factList(facts));
    if (this.source.can.alike) this.add(turn, make("h3", {}, "Look-alikes"), make("p", { class: "note", id: "waiting" }, "Searching …"));
  }

  /** Hits below what is there. */
  async hits(answer: SearchAnswer, from: PictureFacts | null): Promise<void> {
    const { turn } = this;
    document.getElementById("waiting")?.remove();
    if (answer.note) this.add(turn, make("p", { class: "note" }, answer.note));
    const list = make("ul", { class: "hits" });
    this.add(turn, list);
    list.append(...(await Promise.all(answer.hits.slice(0, 120).map((hit) => this.hit(hit)))));
    if (from) {
      const search = make("button", { type: "button", class: "plain", click: () => this.handlers.search(`id:${from.id}`) }, "Search with this picture");
      this.add(turn, make("p", { class: "row" }), search);
    }
  }

  private async hit(hit: Hit): Promise<HTMLLIElement> {
    const image = make("img", { alt: "", loading: "lazy", decoding: "async" });
    image.src = await this.source.thumbnail(hit.row, hit.id);
    const told = hit.score === null ? (hit.label ?? nameOf(hit.path)) : `${hit.score.toFixed(3)}${hit.likeness ? ` · ${hit.likeness}` : ""}`;
    const button = make(
      "button",
      {
        type: "button", title: `${hit.path}${hit.row < 0 ? " (not on this map)" : ""}`, "aria-label": `Fly to ${nameOf(hit.path)}`,
        click: (event) => {
          for (const one of this.root.querySelectorAll("[aria-current]")) one.removeAttribute("aria-current");
          (event.currentTarget as HTMLElement).setAttribute("aria-current", "true");
          this.handlers.visit(hit);
        },
        mouseenter: () => this.handlers.point(hit.row),
        mouseleave: () => this.handlers.point(-1),
      },
      image, make("span", {}, told),
    );
    return make("li", {}, button);
  }

  /** What a search found. */
  async search(query: string, answer: SearchAnswer): Promise<void> {
    const turn = this.start(count(answer.hits.length, "hit"));
    const understood = answer.understood.length ? `${query}: ${answer.understood.join(", ")}` : query;
    this.add(turn, make("p", { class: "note" }, understood));
    this.add(turn, make("h3", {}, "Most alike first"));
    await this.hits(answer, null);
  }

  waiting(title: string): void {
    this.add(this.start(title), make("p", { class: "note", id: "waiting" }, "Searching …"));
  }

  failed(title: string, line: string): void {
    this.add(this.start(title), make("p", { class: "note problem", role: "alert" }, line));
  }

  /** Chosen rows, and what can be done with them. */
  async selection(rows: Int32Array, load: () => Promise<SelectionFacts>): Promise<void> {
    const turn = this.start(`${count(rows.length, "picture")} selected`);
    const list = make("ul", { class: "hits", id: "chosen" });
    this.add(turn, list);
    void this.preview(rows, list, turn);
    let facts: SelectionFacts;
    try {
      facts = await load();
    } catch (error) {
      this.add(turn, make("p", { class: "note problem", role: "alert" }, (error as Error).message));
      return;
    }
    if (facts.labels.length) {
      const told = facts.labels.map(({ name, share }) => `${name} ${Math.round(100 * share)} %`).join(" · ");
      this.add(turn, make("h3", {}, "Labels"), make("p", { class: "note" }, told));
    }
    this.add(turn, make("h3", {}, "As a condition"), this.code("condition", facts.condition, facts.note));
    this.add(turn, make("h3", {}, "In SQL"), this.code("sql", facts.sql, facts.note));
    const forms: [ExportForm, string][] = [["csv", "CSV"], ["json", "JSON"], ["paths", "Paths"]];
    const buttons = forms.map(([form, title]) =>
      make("button", { type: "button", class: "plain", click: () => void this.attempt(() => this.source.save(rows, form), `${title} saved`) }, title),
    );
    this.add(turn, make("h3", {}, "Export"), make("div", { class: "row" }, ...buttons));
    if (this.source.can.label) this.add(turn, make("h3", {}, "Label"), this.labelling(rows));
  }

  private async preview(rows: Int32Array, list: HTMLElement, turn: number): Promise<void> {
    const some = [...Array(Math.min(6, rows.length)).keys()].map((i) => rows[Math.floor((i * rows.length) / Math.min(6, rows.length))]);
    for (const row of some) {
      const facts = await this.source.picture(row);
      if (turn !== this.turn) return;
      const path = facts.paths[0] ?? "";
      list.append(await this.hit({ row, id: facts.id, path, score: null, likeness: null, label: facts.labels[facts.labels.length - 1]?.name ?? null }));
    }
  }

  private code(id: string, text: string | null, note: string | null): HTMLElement {
    if (text === null) return make("p", { class: "note", id }, note ?? "");
    const shown = make("code", { class: "code", id, tabindex: "0" }, text.length > 4_000 ? `${text.slice(0, 4_000)} …` : text);
    const copy = make("button", { type: "button", class: "plain", click: () => void this.attempt(() => copied(text), "Copied") }, "Copy");
    return make("div", {}, shown, copy);
  }

  private labelling(rows: Int32Array): HTMLElement {
    const field = make("input", { class: "field", id: "label-name", "aria-label": "A label for these pictures", placeholder: "A label", maxlength: "100", required: true });
    const told = make("div");
    const form = make(
      "form",
      {
        class: "row",
        submit: (event) => {
          event.preventDefault();
          void this.attempt(async () => {
            const { condition, sql } = await this.source.label(rows, field.value);
            told.replaceChildren(make("h3", {}, "Found again by"), this.code("label-condition", condition, null), this.code("label-sql", sql, null));
          }, `${count(rows.length, "picture")} labelled`);
        },
      },
      field, make("button", { class: "main" }, "Label"),
    );
    return make("div", {}, form, told);
  }

  private async attempt(act: () => Promise<void>, line: string): Promise<void> {
    try {
      await act();
      this.handlers.done(line);
    } catch (error) {
      this.handlers.done((error as Error).message);
    }
  }
}

async function copied(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = make("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy"); // the only way in a document that is opened from a file
  field.remove();
}

export function factList(facts: PictureFacts): HTMLElement {
  const list = make("dl", { class: "facts" });
  const add = (name: string, value: string | null): void => {
    if (value) list.append(make("dt", {}, name), make("dd", {}, value));
  };
  add("Folder", folderOf(facts.paths[0] ?? ""));
  if (facts.paths.length > 1) add("Also at", facts.paths.slice(1, 4).join("\n"));
  add("Size", facts.width && facts.height ? `${facts.width} × ${facts.height}` : null);
  add("Taken", facts.taken?.replace("T", " ") ?? null);
  add("Camera", facts.camera);
  add("Shows", shown(facts) || facts.caption || null);
  add("Place", facts.placed ? "added later, placed by its neighbours" : null);
  return list;
}

export function shown(facts: PictureFacts): string {
  const names = facts.labels.map(({ name, source, confidence }) => (source ? name : `${name} ${Math.round(100 * confidence)} %`));
  return [...new Set(names)].slice(-4).reverse().join(", ");
}
