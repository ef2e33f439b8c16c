// Builds src/lookalike/web/static (or the folder that is named): one script, one style, one page.
import { build } from "esbuild";
import { copyFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const target = process.argv[2] ?? join(here, "..", "src", "lookalike", "web", "static");
await mkdir(target, { recursive: true });
const common = { bundle: true, minify: true, charset: "utf8", legalComments: "none", logLevel: "warning" };
await build({
  ...common,
  entryPoints: [join(here, "src", "main.ts")],
  outfile: join(target, "map.js"),
  format: "iife",
  target: ["chrome100", "firefox100", "safari15.4"],
});
await build({
  ...common,
  entryPoints: [join(here, "src", "map.css")],
  outfile: join(target, "map.css"),
  target: ["chrome100", "firefox100", "safari15.4"],
});
await copyFile(join(here, "src", "map.html"), join(target, "map.html"));
