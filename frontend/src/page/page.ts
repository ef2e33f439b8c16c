/** The page around the map: it asks the source, and tells the renderer what to show. */

import { Gestures, type Tool } from "../renderer/gestures";
import { MapRenderer } from "../renderer/renderer";
import { NONE, type ClusterFacts, type Colouring, type DataSource, type Hit, type MapFacts, type PictureFacts, type Points } from "../source";
import { get, make, nameOf } from "./dom";
import { Legend } from "./legend";
import { paint } from "./palette";
import { Panel, shown } from "./panel";

const HITS = 200;
const ALIKE = 24;
const DWELL_MS = 70;

export class Page {
  readonly map: MapRenderer;
  private readonly gestures: Gestures;
  private readonly panel: Panel;
  private readonly legend: Legend;
  private readonly stage = get("stage");
  private readonly card = get("card");
  private readonly kept = new Map<number, Promise<PictureFacts>>();
  private readonly colourings = new Map<string, Colouring>();
  private colouring: Colouring;
  /** Rows that are lit up, or null for all. */
  private focus: Uint8Array | null = null;
  private theme: "auto" | "light" | "dark" = "auto";
  private hoverRow = -1;
  private hoverTimer = 0;
  private turn = 0;
  private said = 0;

  constructor(private readonly source: DataSource, facts: MapFacts, points: Points) {
    this.map = new MapRenderer(get<HTMLCanvasElement>("points"), get<HTMLCanvasElement>("overlay"), points, (rows, tile) => source.sheet(rows, tile));
    const finest = facts.clustering.levels.length - 1;
    const cluster = `clusters-${finest}`;
    this.colouring = {
      name: cluster, title: facts.colourings.find(({ name }) => name === cluster)?.title ?? "Points", kind: "clusters",
      legend: (facts.clustering.levels[finest] ?? []).map(({ name, size }) => ({ label: name, count: size })),
      codes: points.cluster,
    };
    this.colourings.set(cluster, this.colouring);
    this.panel = new Panel(source, {
      closed: () => this.clear(),
      visit: (hit) => this.visit(hit),
      point: (row) => this.point(row),
      search: (query) => void this.search(query),
      done: (line) => this.say(line),
    });
    this.legend = new Legend(facts, cluster, {
      chosen: (name) => void this.colourBy(name),
      isolated: (code) => this.isolate(code),
      cut: (clusters) => void this.cut(clusters),
    });
    this.gestures = new Gestures(this.stage, this.map, {
      hover: (x, y, kind) => kind === "mouse" && this.hover(x, y),
      leave: () => this.leave(),
      tap: (x, y) => this.tap(x, y),
      hold: (x, y) => this.hover(x, y, 24),
      outlined: (outline) => void this.select(this.map.within(outline)),
    });
    this.map.onLost = (lost) => this.say(lost ? "The graphics device was lost; waiting for it …" : "");
    this.map.onRest = () => this.map.problem && this.say(`Pictures: ${this.map.problem}`);
    document.title = `${facts.title} · lookalike`;
    get("title").textContent = facts.title;
    this.map.setNames(namesOf(facts.clustering.levels));
    this.followTheme();
    this.followMotion();
    this.wire();
    this.keepClear();
    if (!points.n) this.say("There is nothing on this map yet.");
  }

  // -- colours -----------------------------------------------------------------------------------

  private get dark(): boolean {
    return document.documentElement.dataset["theme"] === "dark";
  }

  private followTheme(): void {
    const system = matchMedia("(prefers-color-scheme: dark)");
    const stored = remembered("theme");
    if (stored === "light" || stored === "dark") this.theme = stored;
    const apply = (): void => {
      const dark = this.theme === "auto" ? system.matches : this.theme === "dark";
      document.documentElement.dataset["theme"] = dark ? "dark" : "light";
      const style = getComputedStyle(document.documentElement);
      const ground = style.getPropertyValue("--ground").trim();
      this.map.setLook({
        ground: [1, 3, 5].map((at) => parseInt(ground.slice(at, at + 2), 16) / 255) as [number, number, number],
        ink: style.getPropertyValue("--ink").trim(),
        halo: ground,
        accent: style.getPropertyValue("--accent").trim(),
        family: style.fontFamily,
      });
      this.repaint();
      this.legend.show(this.colouring, dark);
    };
    system.addEventListener("change", apply);
    get("theme").addEventListener("click", () => {
      this.theme = this.dark ? "light" : "dark";
      remember("theme", this.theme);
      apply();
    });
    apply();
  }

  private followMotion(): void {
    const less = matchMedia("(prefers-reduced-motion: reduce)");
    const apply = (): void => {
      this.map.still = less.matches;
    };
    less.addEventListener("change", apply);
    apply();
  }

  /** Names keep clear of what stands over the map. */
  private keepClear(): void {
    const over = ["search", "title", "tools", "legend"].map((id) => get(id));
    const measure = (): void => {
      this.map.obstacles = over.map((one) => {
        const { left, top, right, bottom } = one.getBoundingClientRect();
        return { text: one.id, left, top, right, bottom };
      });
      this.map.redraw();
    };
    const watch = new ResizeObserver(measure);
    for (const one of [...over, this.stage]) watch.observe(one);
    measure();
  }

  private repaint(): void {
    this.map.setColours(paint(this.colouring, this.dark, this.focus));
  }

  async colourBy(name: string): Promise<void> {
    try {
      let colouring = this.colourings.get(name);
      if (!colouring) {
        this.say("Colouring …");
        colouring = await this.source.colouring(name);
        this.colourings.set(name, colouring);
        this.say("");
      }
      this.use(colouring);
    } catch (error) {
      this.say((error as Error).message);
    }
  }

  private use(colouring: Colouring): void {
    this.colouring = colouring;
    this.legend.show(colouring, this.dark);
    this.repaint();
  }

  private async cut(clusters: number): Promise<void> {
    try {
      const { level, colouring } = await this.source.cut(clusters);
      this.map.setNames(namesOf([level]));
      this.use(colouring);
    } catch (error) {
      this.say((error as Error).message);
    }
  }

  /** Lights up rows, or all. */
  private light(rows: ArrayLike<number> | null): void {
    this.map.namesStrength = rows === null ? 1 : 0.5;
    if (rows === null) this.focus = null;
    else {
      this.focus = new Uint8Array(this.map.points.n);
      for (let i = 0; i < rows.length; i++) if (rows[i] >= 0) this.focus[rows[i]] = 1;
    }
    this.map.setFocus(this.focus);
    this.repaint();
  }

  private isolate(code: number | null): void {
    this.forget();
    if (code === null) {
      this.panel.close();
      this.light(null);
      return;
    }
    const { codes } = this.colouring;
    let n = 0;
    for (const one of codes) if (one === code) n++;
    const rows = new Int32Array(n);
    for (let row = 0, at = 0; row < codes.length; row++) if (codes[row] === code) rows[at++] = row;
    void this.select(rows, code === NONE ? null : code);
  }

  // -- pictures ----------------------------------------------------------------------------------

  private factsOf(row: number): Promise<PictureFacts> {
    let facts = this.kept.get(row);
    if (!facts) {
      facts = this.source.picture(row);
      facts.catch(() => this.kept.delete(row));
      this.kept.set(row, facts);
      if (this.kept.size > 400) this.kept.delete(this.kept.keys().next().value!);
    }
    return facts;
  }

  private hover(x: number, y: number, within = 12): void {
    const row = this.map.pick(x, y, within);
    this.stage.classList.toggle("over", row >= 0 && this.gestures.tool === "move");
    if (row === this.hoverRow) return;
    this.leave();
    this.hoverRow = row;
    if (row < 0) return;
    this.point(row);
    this.hoverTimer = window.setTimeout(() => void this.showCard(row), DWELL_MS);
  }

  private leave(): void {
    window.clearTimeout(this.hoverTimer);
    this.hoverRow = -1;
    this.card.hidden = true;
    this.stage.classList.remove("over");
    this.point(-1);
  }

  private point(row: number): void {
    if (this.map.marks.hover === row) return;
    this.map.marks.hover = row;
    this.map.redraw();
  }

  private async showCard(row: number): Promise<void> {
    let facts: PictureFacts;
    try {
      facts = await this.factsOf(row);
    } catch (error) {
      this.say((error as Error).message);
      return;
    }
    if (this.hoverRow !== row) return;
    const image = make("img", { alt: "" });
    image.src = await this.source.thumbnail(row, facts.id);
    if (this.hoverRow !== row) return;
    const size = facts.width && facts.height ? `${facts.width} × ${facts.height}` : null;
    const told = [size, facts.taken?.slice(0, 10) ?? null, shown(facts) || facts.caption || null, this.groupOf(row)];
    this.card.replaceChildren(
      image, make("strong", {}, nameOf(facts.paths[0] ?? facts.id)),
      make("p", {}, told.filter(Boolean).join(" · ")),
    );
    this.card.dataset["row"] = String(row);
    this.card.hidden = false;
    this.putCard(row);
  }

  private putCard(row: number): void {
    const at = this.map.place(row);
    const { offsetWidth: width, offsetHeight: height } = this.card;
    const right = at.x + 20 + width > this.map.camera.width - 8;
    const left = right ? at.x - 20 - width : at.x + 20;
    const top = Math.min(Math.max(8, at.y - height / 2), this.map.camera.height - height - 8);
    this.card.style.transform = `translate(${Math.max(8, Math.round(left))}px, ${Math.round(top)}px)`;
  }

  private groupOf(row: number): string | null {
    const code = this.colouring.codes[row];
    return code === NONE ? null : (this.colouring.legend[code]?.label ?? null);
  }

  private tap(x: number, y: number): void {
    const row = this.map.pick(x, y, 12);
    if (row >= 0) void this.openPicture(row);
    else this.leave();
  }

  /** A picture and what is like it, beside the map and on it. */
  async openPicture(row: number): Promise<void> {
    const turn = ++this.turn;
    this.leave();
    this.legend.mark(null);
    this.map.marks = { source: row, hits: [], hover: -1 };
    this.map.redraw();
    try {
      const facts = await this.factsOf(row);
      if (turn !== this.turn) return;
      await this.panel.picture(facts);
      if (!this.source.can.alike || turn !== this.turn) return;
      const answer = await this.source.alike(row, ALIKE);
      if (turn !== this.turn) return;
      this.lightHits(row, answer.hits);
      await this.panel.hits(answer, facts);
    } catch (error) {
      if (turn === this.turn) this.panel.failed("Look-alikes", (error as Error).message);
    }
  }

  private lightHits(source: number, hits: Hit[]): void {
    const rows = hits.map(({ row }) => row).filter((row) => row >= 0);
    this.map.marks = { source, hits: rows, hover: -1 };
    const all = source >= 0 ? [source, ...rows] : rows;
    this.map.setEmphasis(all);
    this.light(all);
  }

  private visit(hit: Hit): void {
    if (hit.row < 0) this.say("This picture is not on the map.");
    else this.map.flyTo(hit.row);
  }

  /** What a query finds lights up. */
  async search(query: string): Promise<void> {
    const turn = ++this.turn;
    get<HTMLInputElement>("query").value = query;
    this.forget();
    if (!query.trim()) {
      this.clear();
      return;
    }
    this.panel.waiting(query);
    try {
      const answer = await this.source.search(query, HITS);
      if (turn !== this.turn) return;
      this.lightHits(-1, answer.hits);
      await this.panel.search(query, answer);
      address(query);
    } catch (error) {
      if (turn === this.turn) this.panel.failed("No search", (error as Error).message);
    }
  }

  // -- selections --------------------------------------------------------------------------------

  /** Rows that were chosen: lit up, and told of beside the map. */
  async select(rows: Int32Array, code: number | null = null): Promise<void> {
    this.turn++;
    this.forget();
    this.legend.mark(code);
    if (!rows.length) {
      this.clear();
      this.say("No picture lies in there.");
      return;
    }
    this.light(rows);
    if (rows.length <= 50_000) this.map.setEmphasis(rows);
    await this.panel.selection(rows, () => this.source.selection(rows));
  }

  private forget(): void {
    this.map.marks = { source: -1, hits: [], hover: -1 };
    this.map.setEmphasis([]);
  }

  /** Everything as it was at first, but the view. */
  clear(): void {
    this.turn++;
    this.forget();
    this.leave();
    this.panel.close();
    this.legend.mark(null);
    this.light(null);
    address(null);
  }

  // -- keys and buttons --------------------------------------------------------------------------

  private setTool(tool: Tool): void {
    this.gestures.tool = tool;
    this.stage.dataset["tool"] = tool;
    for (const button of document.querySelectorAll<HTMLElement>("[data-tool]")) {
      if (button !== this.stage) button.setAttribute("aria-pressed", String(button.dataset["tool"] === tool));
    }
  }

  private zoom(factor: number): void {
    this.map.zoomAt(this.map.camera.width / 2, this.map.camera.height / 2, factor);
  }

  private wire(): void {
    for (const button of document.querySelectorAll<HTMLElement>("button[data-tool]")) {
      button.addEventListener("click", () => this.setTool(button.dataset["tool"] as Tool));
    }
    get("closer").addEventListener("click", () => this.zoom(1.6));
    get("farther").addEventListener("click", () => this.zoom(1 / 1.6));
    get("whole").addEventListener("click", () => this.map.home());
    get("keys").addEventListener("click", () => get<HTMLDialogElement>("help").showModal());
    const query = get<HTMLInputElement>("query");
    get("search").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.search(query.value);
    });
    query.addEventListener("search", () => query.value === "" && this.clear());
    if (!this.source.can.search) get("search").hidden = true;
    document.addEventListener("keydown", (event) => this.key(event));
    this.stage.addEventListener("pointerdown", () => this.stage.classList.add("dragging"));
    window.addEventListener("pointerup", () => this.stage.classList.remove("dragging"));
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || get<HTMLDialogElement>("help").open) return;
    const at = event.target as HTMLElement;
    const writing = at.matches("input:not([type=range]), textarea, select");
    if (event.key === "Escape") {
      if (writing) at.blur();
      this.setTool("move");
      this.clear();
      return;
    }
    if (writing) return;
    const act = this.keys()[event.key];
    const own = at === this.stage || at === document.body;
    if (!act || ((event.key === "Enter" || event.key.startsWith("Arrow")) && !own)) return;
    event.preventDefault();
    act();
  }

  private keys(): Record<string, () => void> {
    const step = 80;
    const move = (dx: number, dy: number) => (): void => {
      if (this.map.camera.dims === 3) this.map.orbit(dx / 2, dy / 2);
      else this.map.pan(dx, dy);
    };
    const closer = (): void => this.zoom(1.4);
    return {
      ArrowLeft: move(step, 0), ArrowRight: move(-step, 0), ArrowUp: move(0, step), ArrowDown: move(0, -step),
      "+": closer, "=": closer, "-": () => this.zoom(1 / 1.4), "0": () => this.map.home(),
      "/": () => get<HTMLInputElement>("query").select(),
      "?": () => get<HTMLDialogElement>("help").showModal(),
      m: () => this.setTool("move"), b: () => this.setTool("box"), l: () => this.setTool("lasso"),
      p: () => {
        this.map.pictures = this.map.pictures === "auto" ? "off" : "auto";
        this.map.redraw();
      },
      Enter: () => {
        const { width, height } = this.map.camera;
        const row = this.map.pick(width / 2, height / 2, Math.max(width, height) / 2);
        if (row >= 0) void this.openPicture(row);
      },
    };
  }

  /** One line for everybody, for a while. */
  say(line: string): void {
    window.clearTimeout(this.said);
    get("status").textContent = line;
    this.said = window.setTimeout(() => (get("status").textContent = ""), 5_000);
  }
}

function namesOf(levels: ClusterFacts[][]): { text: string; size: number; centre: number[] }[][] {
  return levels.map((level) => level.map(({ name, size, centre }) => ({ text: name, size, centre })));
}

/** What is asked for stands in the address, so that it can be opened again. */
function address(query: string | null): void {
  try {
    const url = new URL(location.href);
    if (query === null) url.searchParams.delete("q");
    else url.searchParams.set("q", query);
    history.replaceState(null, "", url);
  } catch {
    // a document from a file may not change its address
  }
}

function remembered(name: string): string | null {
  try {
    return localStorage.getItem(`lookalike-${name}`);
  } catch {
    return null;
  }
}

function remember(name: string, value: string): void {
  try {
    localStorage.setItem(`lookalike-${name}`, value);
  } catch {
    // not every document may keep something
  }
}


