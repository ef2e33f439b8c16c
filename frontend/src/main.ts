/** Opens the map: the document's own if it has one, else the server's. */

import { EmbeddedSource } from "./embedded";
import { make } from "./page/dom";
import { Page } from "./page/page";
import { ServerSource } from "./server";
import type { DataSource, MapFacts, Points } from "./source";

declare global {
  interface Window {
    /** For tests and the curious: the page once it is there. */
    lookalikeMap?: Page;
  }
}

async function start(): Promise<void> {
  const asked = new URLSearchParams(location.search);
  // Numbers are under way while the graphics device starts.
  const loading = load(asked.get("map"));
  loading.catch(() => {});
  if (!document.createElement("canvas").getContext("webgl2")) {
    refuse("This browser shows no WebGL2", "The map is drawn by WebGL2. Turn on hardware acceleration, or open the map in a current Chrome, Firefox, Edge or Safari.");
    return;
  }
  const page = new Page(...(await loading));
  window.lookalikeMap = page;
  const query = asked.get("q");
  if (query) void page.search(query);
}

async function load(map: string | null): Promise<[DataSource, MapFacts, Points]> {
  const source = EmbeddedSource.open() ?? (await ServerSource.open(map));
  return [source, ...(await Promise.all([source.facts(), source.points()]))];
}

function refuse(title: string, line: string): void {
  document.body.append(make("div", { class: "message", role: "alert" }, make("h1", {}, title), make("p", {}, line)));
}

start().catch((error: Error) => refuse("The map could not be opened", error.message));
