// src -> dist. No hashes, dates or source maps: the same source gives the same bytes, and CI compares them.
import { copyFile, mkdir, rm } from "node:fs/promises";
import { build, context } from "esbuild";

const options = {
  entryPoints: {
    page: "src/page.ts",
    page_style: "src/page.css",
    visavis: "src/visavis.ts",
    level_worklet: "src/level_worklet.ts",
  },
  outdir: "dist",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "eof",
  logLevel: "warning",
};

await rm("dist", { recursive: true, force: true });
await mkdir("dist", { recursive: true });
for (const file of ["index.html", "favicon.svg"]) await copyFile(`src/${file}`, `dist/${file}`);
if (process.argv.includes("--watch")) await (await context(options)).watch();
else await build(options);
