import { expect, test } from "vitest";

import type { BrowserRecord } from "./probe_hook";
import { scaleEnd, waterfall } from "./waterfall";

const BROWSER = { video_jitter_buffer_ms: 8, decode_ms: 2 } as BrowserRecord;
const STAGES = [
  { name: "receive", p50_ms: 2, p95_ms: 4 },
  { name: "render", p50_ms: 16, p95_ms: 30 },
  { name: "new_stage", p50_ms: 1, p95_ms: 1 },
  { name: "total", p50_ms: 19, p95_ms: 33 },
];

test("each bar begins where the one before ends, and the whole trip is explained", () => {
  const rows = waterfall(40, STAGES, BROWSER, { last: 120, p50: 110, p95: 140, count: 3 });
  expect(rows.map(({ id, start_ms, p50_ms }) => [id, start_ms, p50_ms])).toEqual([
    ["lookahead", 0, 40],
    ["receive", 40, 2],
    ["render", 42, 16],
    ["new_stage", 58, 1],
    ["buffer", 59, 8],
    ["decode", 67, 2],
    ["rest", 69, 41],
  ]);
  expect(rows.find(({ id }) => id === "new_stage")?.label).toBe("new stage");
});

test("no rest is invented before a trip was measured", () => {
  expect(waterfall(40, STAGES, null, null).map(({ id }) => id)).toEqual([
    "lookahead",
    "receive",
    "render",
    "new_stage",
  ]);
});

test("the scale holds every bar with its 95 % end, and does not jump at small values", () => {
  expect(scaleEnd(waterfall(0, [], null, null))).toBe(100);
  expect(scaleEnd(waterfall(140, [{ name: "render", p50_ms: 5, p95_ms: 20 }], null, null))).toBe(200);
});
