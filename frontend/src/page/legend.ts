/** The legend: by what the map is coloured, and which group is lit up. */

import { NONE, type Colouring, type MapFacts } from "../source";
import { count, get, make } from "./dom";
import { colourOf, css } from "./palette";

export interface LegendHandlers {
  chosen(name: string): void;
  /** A group to light up, or null for all. */
  isolated(code: number | null): void;
  cut(clusters: number): void;
}

export class Legend {
  private readonly select = get<HTMLSelectElement>("colour-by");
  private readonly list = get<HTMLUListElement>("entries");
  private isolated: number | null = null;
  private waiting = 0;

  constructor(facts: MapFacts, chosen: string, private readonly handlers: LegendHandlers) {
    for (const { name, title } of facts.colourings) this.select.append(make("option", { value: name }, title));
    this.select.value = chosen;
    this.select.addEventListener("change", () => handlers.chosen(this.select.value));
    if (window.innerWidth < 760) get<HTMLDetailsElement>("legend").open = false;
    this.setUpCut(facts);
  }

  private setUpCut(facts: MapFacts): void {
    const { cut, levels } = facts.clustering;
    if (!cut) return;
    const range = get<HTMLInputElement>("count");
    const now = get<HTMLOutputElement>("count-now");
    // Few clusters are told apart finely, many coarsely: the slider is logarithmic.
    const most = Math.min(cut.highest, 500);
    const toCount = (at: number): number => Math.round(cut.lowest * (most / cut.lowest) ** (at / 200));
    const start = levels[levels.length - 1]?.length ?? cut.lowest;
    range.min = "0";
    range.max = "200";
    range.value = String(Math.round((200 * Math.log(start / cut.lowest)) / Math.log(most / cut.lowest)));
    now.value = String(start);
    get("cut").hidden = false;
    range.addEventListener("input", () => {
      now.value = String(toCount(Number(range.value)));
      window.clearTimeout(this.waiting);
      this.waiting = window.setTimeout(() => this.handlers.cut(toCount(Number(range.value))), 160);
    });
  }

  /** Shows a colouring; nothing is lit up by itself then. */
  show(colouring: Colouring, dark: boolean): void {
    this.isolated = null;
    get("legend-title").textContent = colouring.title;
    const order = colouring.legend.map((entry, code) => ({ ...entry, code }));
    if (colouring.kind === "clusters") order.sort((a, b) => b.count - a.count);
    const rows = order.slice(0, 200).map(({ label, count: size, code }) => this.entry(label, size, code, colouring, dark));
    const none = colouring.codes.reduce((sum, code) => sum + (code === NONE ? 1 : 0), 0);
    if (none) rows.push(this.entry(colouring.kind === "clusters" ? "in no cluster" : "unknown", none, NONE, colouring, dark));
    this.list.replaceChildren(...rows);
    const note = get("legend-note");
    note.hidden = order.length <= 200;
    note.textContent = `and ${count(order.length - 200, "smaller one")}`;
  }

  private entry(label: string, size: number, code: number, colouring: Colouring, dark: boolean): HTMLLIElement {
    const dot = make("i");
    dot.style.background = css(colourOf(colouring, code, dark));
    const button = make(
      "button",
      { type: "button", "aria-pressed": "false", title: label, click: () => this.toggle(code) },
      dot, make("span", {}, label), make("b", {}, size.toLocaleString("en")),
    );
    button.dataset["code"] = String(code);
    return make("li", {}, button);
  }

  private toggle(code: number): void {
    this.mark(this.isolated === code ? null : code);
    this.handlers.isolated(this.isolated);
  }

  /** Shows which group is lit up. */
  mark(code: number | null): void {
    this.isolated = code;
    for (const button of this.list.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset["code"] === String(code)));
    }
  }

  /** The cluster slider and others follow what was chosen elsewhere. */
  choose(name: string): void {
    this.select.value = name;
  }
}
