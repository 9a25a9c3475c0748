// Builds the front end into the Python package, where it is committed: installing bitwright needs no node.
//
//     npm ci && npm run build
//
// static/sources.txt holds a hash of what the bundle was built from; a test compares it.

import { build, context } from "esbuild";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync, mkdirSync, copyFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.env.OUT ?? join(here, "../src/bitwright/explorer/static");
const chapters = readdirSync(join(here, "src/chapters")).filter((name) => name.endsWith(".tsx"));

const options = {
  entryPoints: [
    join(here, "src/app.tsx"),
    join(here, "src/chat.tsx"),
    join(here, "src/arithmetic/arithmetic.ts"),
    ...chapters.map((name) => join(here, "src/chapters", name)),
  ],
  entryNames: "[name]",
  chunkNames: "shared-[hash]",
  outdir: out,
  absWorkingDir: here,
  bundle: true,
  splitting: true,
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  preserveSymlinks: true, // a linked node_modules gives the same names of chunks
  logLevel: "warning",
};

function* files(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* files(path);
    else yield path;
  }
}

/** The hash of every source, by name: a test computes the same. */
function sources() {
  const hash = createHash("sha256");
  for (const path of [...files(join(here, "src")), ...["build.mjs", "package-lock.json"].map((n) => join(here, n))]) {
    hash.update(relative(here, path).replaceAll("\\", "/") + "\0");
    hash.update(readFileSync(path));
  }
  return hash.digest("hex");
}

/** The licences of what is bundled, which they ask to be kept. */
function licences() {
  const lock = JSON.parse(readFileSync(join(here, "package-lock.json")));
  const parts = [];
  for (const [path, about] of Object.entries(lock.packages).sort()) {
    if (!path || about.dev) continue;
    const folder = join(here, path);
    const text = ["LICENSE", "LICENSE.md", "LICENSE.txt", "license"].map((n) => join(folder, n)).find(existsSync);
    parts.push(`${path.replace(/^.*node_modules\//, "")} ${about.version}\n\n${readFileSync(text, "utf8").trim()}\n`);
  }
  return parts.join(`\n${"-".repeat(80)}\n\n`);
}

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
for (const name of ["index.html", "chat.html", "icon.svg"]) copyFileSync(join(here, "src", name), join(out, name));
// the page of a report is one file, so what shows it is one script
const { splitting, entryNames, chunkNames, ...whole } = options;
await build({ ...whole, entryPoints: [{ in: join(here, "src/report-page.tsx"), out: "report" }], format: "iife" });
if (process.argv.includes("--watch")) await (await context(options)).watch();
else await build(options);
writeFileSync(join(out, "licences.txt"), licences());
writeFileSync(join(out, "sources.txt"), sources() + "\n");
