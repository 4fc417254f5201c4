/** Where the milliseconds between microphone and screen go, as rows of a chart. Pure. */
import type { BrowserRecord, Percentiles } from "./probe_hook";
import type { StageSpan } from "./wire";

export interface WaterfallRow {
  id: string;
  label: string;
  /** What kind of time it is; the colour of the bar. */
  kind: "chosen" | "server" | "browser" | "rest";
  start_ms: number;
  p50_ms: number;
  /** Null where only a mean is known. */
  p95_ms: number | null;
}

const STAGE_LABELS: Readonly<Record<string, string>> = {
  receive: "Receive the sound",
  queue: "Wait for the model",
  features: "Listen",
  render: "Draw the face",
  convert: "Convert colours",
  encode: "Compress",
  hold: "Wait for the voice",
  send: "Send",
};

/**
 * Rows in the order in which a frame passes them, each beginning where the one before ends.
 *
 * @param stages - The server's stages; one named "total" is left out, being their sum.
 * @param trip - Microphone to screen; what the other rows do not explain becomes the last row.
 */
export function waterfall(
  lookaheadMs: number,
  stages: readonly StageSpan[],
  browser: BrowserRecord | null,
  trip: Percentiles | null,
): WaterfallRow[] {
  const rows: WaterfallRow[] = [];
  let end_ms = 0;
  const add = (id: string, label: string, kind: WaterfallRow["kind"], p50_ms: number, p95_ms: number | null): void => {
    rows.push({ id, label, kind, start_ms: end_ms, p50_ms, p95_ms });
    end_ms += p50_ms;
  };
  add("lookahead", "Look ahead", "chosen", lookaheadMs, null);
  for (const { name, p50_ms, p95_ms } of stages) {
    if (name !== "total") add(name, STAGE_LABELS[name] ?? name.replaceAll("_", " "), "server", p50_ms, p95_ms);
  }
  if (browser !== null) {
    add("buffer", "Browser buffer", "browser", browser.video_jitter_buffer_ms, null);
    add("decode", "Decompress", "browser", browser.decode_ms, null);
  }
  if (trip !== null && trip.p50 > end_ms) {
    add("rest", "Mic, network, screen", "rest", trip.p50 - end_ms, null);
  }
  return rows;
}

/** The chart's right edge: a round number of milliseconds beyond every bar. */
export function scaleEnd(rows: readonly WaterfallRow[]): number {
  const ends = rows.map((row) => row.start_ms + Math.max(row.p50_ms, row.p95_ms ?? 0));
  return Math.max(100, Math.ceil(Math.max(0, ...ends) / 50) * 50);
}
