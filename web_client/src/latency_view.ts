/** The live view of where the delay comes from. */
import { byId, make, setText } from "./dom";
import type { ProbeHook } from "./probe_hook";
import { scaleEnd, waterfall, type WaterfallRow } from "./waterfall";
import type { ServerStats } from "./wire";
import { offsetText } from "./words";

export class LatencyView {
  readonly #trip = byId("trip", HTMLOutputElement);
  readonly #more = byId("trip-more", HTMLSpanElement);
  readonly #chart = byId("waterfall", HTMLDivElement);
  readonly #hint = this.#more.textContent ?? "";

  show(hook: ProbeHook, stats: ServerStats | null, lookaheadMs: number): void {
    const trip = hook.mic_to_screen_ms;
    setText(this.#trip, trip === null ? "–" : trip.p50.toFixed(0));
    this.#trip.parentElement?.classList.toggle("empty", trip === null);
    const more =
      trip && `95 % within ${trip.p95.toFixed(0)} ms · last ${trip.last.toFixed(0)} ms · ${trip.count} timed`;
    setText(this.#more, more ?? this.#hint);
    this.#draw(waterfall(lookaheadMs, stats?.stages ?? [], hook.browser, trip));
    setText(
      byId("fps", HTMLElement),
      hook.browser === null ? "–" : `${hook.browser.frames_per_second.toFixed(0)} a second`,
    );
    setText(
      byId("dropped", HTMLElement),
      stats === null ? "–" : `${stats.late + stats.dropped} of ${stats.sent + stats.dropped}`,
    );
    setText(byId("offset", HTMLElement), offsetText(hook.av_offset_ms));
    setText(byId("lost", HTMLElement), stats === null ? "–" : `${stats.lost} packets`);
  }

  #draw(rows: readonly WaterfallRow[]): void {
    const end_ms = scaleEnd(rows);
    while (this.#chart.childElementCount > rows.length) this.#chart.lastElementChild?.remove();
    rows.forEach((row, i) => {
      const old = this.#chart.children[i];
      const line = drawRow(row, end_ms);
      if (old === undefined) this.#chart.append(line);
      else old.replaceWith(line);
    });
  }
}

function drawRow(row: WaterfallRow, end_ms: number): HTMLDivElement {
  const line = make("div");
  line.dataset["kind"] = row.kind;
  const label = make("span", row.label);
  label.title = row.label;
  const track = make("b");
  const percent = (value_ms: number): string => `${(value_ms / end_ms) * 100}%`;
  const bar = (width_ms: number): HTMLElement => {
    const element = make("i");
    element.style.left = percent(row.start_ms);
    element.style.width = percent(width_ms);
    return element;
  };
  track.append(bar(row.p50_ms));
  if (row.p95_ms !== null) track.append(bar(row.p95_ms));
  const value = make("em", row.p95_ms === null ? format(row.p50_ms) : `${format(row.p50_ms)} · ${format(row.p95_ms)}`);
  value.title = row.p95_ms === null ? "mean, ms" : "half within · 95 % within, ms";
  line.append(label, track, value);
  return line;
}

function format(value_ms: number): string {
  return value_ms < 10 ? value_ms.toFixed(1) : value_ms.toFixed(0);
}
