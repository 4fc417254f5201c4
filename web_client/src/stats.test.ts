import { expect, test } from "vitest";

import { browserRecord, readCounters } from "./stats";

function report(...entries: Record<string, unknown>[]): RTCStatsReport {
  return new Map(entries.map((entry, i) => [String(i), entry])) as unknown as RTCStatsReport;
}

test("means are those of the last second, not since the beginning", () => {
  const video = { type: "inbound-rtp", kind: "video" };
  const before = readCounters(
    report({ ...video, jitterBufferDelay: 10, jitterBufferEmittedCount: 100, totalDecodeTime: 1, framesDecoded: 100 }),
  );
  const now = readCounters(
    report(
      { ...video, jitterBufferDelay: 10.5, jitterBufferEmittedCount: 125, totalDecodeTime: 1.05, framesDecoded: 125 },
      { type: "inbound-rtp", kind: "audio", jitterBufferDelay: 960, jitterBufferEmittedCount: 48_000 },
      { type: "candidate-pair", nominated: false, currentRoundTripTime: 9 },
      { type: "candidate-pair", nominated: true, currentRoundTripTime: 0.004 },
    ),
  );
  const record = browserRecord(before, now);
  expect(record.video_jitter_buffer_ms).toBeCloseTo(20);
  expect(record.decode_ms).toBeCloseTo(2);
  expect(record.voice_jitter_buffer_ms).toBeCloseTo(20);
  expect(record.round_trip_ms).toBe(4);
});

test("nothing counted gives zeros, not NaN", () => {
  const empty = readCounters(report());
  expect(Object.values(browserRecord(empty, empty)).every((value) => value === 0)).toBe(true);
});
