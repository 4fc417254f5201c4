import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { ManualTimer } from "./fakes";
import { Measurement } from "./measurement";
import { emptyHook, type ProbeHook } from "./probe_hook";
import { milli } from "./units";

const HELLO = {
  ...{ session: "s", system: "visavis", identity: "ada", lookahead_ms: 40, controls: [] },
  ...{ video_rtp_origin: 1000, audio_rtp_origin: 2000 },
};

let now = 0;
beforeEach(() => {
  now = 5000;
  vi.spyOn(performance, "now").mockImplementation(() => now);
});
afterEach(() => {
  vi.restoreAllMocks();
});

interface Begun {
  hook: ProbeHook;
  measurement: Measurement;
  timer: ManualTimer;
  end: AbortController;
}

function begin(hook: ProbeHook = emptyHook()): Begun {
  const [timer, end] = [new ManualTimer(), new AbortController()];
  return { hook, timer, end, measurement: new Measurement(hook, timer, end.signal, () => undefined) };
}

function frame(media_ms: number, at: number): Parameters<Measurement["frame"]>[0] {
  const rtpTimestamp = 1000 + media_ms * 90;
  return { rtpTimestamp, presentedMs: at - 10, expectedDisplayMs: at, receivedMs: at - 20, processingMs: 1 };
}

function voice(media_ms: number, at: number): RTCRtpSynchronizationSource[] {
  return [{ rtpTimestamp: 2000 + media_ms * 48, timestamp: performance.timeOrigin + at, source: 1 }];
}

test("pictures carry media time; those before hello are not kept", () => {
  const { hook, measurement } = begin();
  measurement.frame(frame(0, 5000));
  measurement.hello(HELLO);
  measurement.frame(frame(40, 5040));
  expect(hook.frame_count).toBe(1);
  expect(hook.frames).toEqual([
    { media_ms: 40, presented_ms: 5030, expected_display_ms: 5040, received_ms: 5020, processing_ms: 1 },
  ]);
});

test("an onset that both ends noticed is timed to the first picture that shows it", () => {
  const { hook, measurement, timer } = begin();
  measurement.hello(HELLO);
  measurement.heard(milli(5000));
  now = 5060;
  measurement.serverOnset(110);
  expect(hook.server_onsets).toEqual([{ media_ms: 110, received_ms: 5060 }]);
  measurement.frame(frame(80, 5090));
  timer.pass(150);
  expect(hook.onsets).toEqual([{ media_ms: 110, at_ms: 5000 }]);
  expect(hook.mic_to_screen_ms).toBeNull();
  measurement.frame(frame(120, 5130));
  measurement.frame(frame(160, 5170));
  expect(hook.mic_to_screen_ms).toEqual({ last: 130, p50: 130, p95: 130, count: 1 });
});

test("the A/V offset is the median of many looks and each report rests on fresh looks", () => {
  const { hook, measurement } = begin();
  measurement.hello(HELLO);
  const reports: number[] = [];
  for (let media = 0; media < 10_000; media += 250) {
    now = 5000 + media;
    measurement.frame(frame(media, now));
    const stray = media === 4000 ? 400 : 0;
    const offset = measurement.voice(voice(media - 30 - stray, now - 10), milli(0));
    if (offset !== null) reports.push(offset);
  }
  // 10 looks in 2.25 s, 1.5 s of settling, 10 looks ...
  expect(hook.av_offset_ms).toBeCloseTo(20);
  expect(reports).toHaveLength(3);
  for (const offset of reports) expect(offset).toBeCloseTo(20);
});

test("output latency makes the voice later; a stale picture or the same packet twice counts for nothing", () => {
  const { hook, measurement } = begin();
  measurement.hello(HELLO);
  measurement.frame(frame(0, 5000));
  for (let i = 0; i < 30; i++) measurement.voice(voice(0, 5000), milli(0));
  expect(hook.av_offset_ms).toBeNull();
  now = 9000;
  for (let i = 0; i < 30; i++) measurement.voice(voice(4000 + i, 9000), milli(0));
  expect(hook.av_offset_ms).toBeNull();
  measurement.frame(frame(4000, 9000));
  for (let i = 0; i < 30; i++) measurement.voice(voice(4100 + i, 9100 + i), milli(25));
  expect(hook.av_offset_ms).toBeCloseTo(25);
});

test("a new connection starts with an empty hook, but keeps state and count", () => {
  const { hook, measurement } = begin({ ...emptyHook(), state: "retrying", connections: 2 });
  measurement.hello(HELLO);
  measurement.frame(frame(40, 5040));
  begin(hook);
  expect(hook).toEqual({ ...emptyHook(), state: "retrying", connections: 2 });
});

test("an onset still to be matched when its connection ends stays out of the next one's hook", () => {
  const { hook, measurement, timer, end } = begin();
  measurement.hello(HELLO);
  measurement.heard(milli(5000));
  now = 5060;
  measurement.serverOnset(110);
  end.abort();
  begin(hook);
  timer.pass(150);
  expect(hook.onsets).toEqual([]);
});
