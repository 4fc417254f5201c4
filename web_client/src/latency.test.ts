import { describe, expect, test } from "vitest";

import {
  avOffset,
  ContextClock,
  micToScreen,
  OnsetMatcher,
  percentiles,
  quantile,
  RtpClock,
  RunningMedian,
} from "./latency";
import type { FrameRecord } from "./probe_hook";
import { mediaMilli, milli } from "./units";

function shown(media_ms: number, expected_display_ms: number): FrameRecord {
  return { media_ms, expected_display_ms, presented_ms: expected_display_ms, received_ms: 0, processing_ms: 0 };
}

describe("RtpClock", () => {
  test("counts media time from the origin across the 32-bit wrap", () => {
    const clock = RtpClock.video(0xffff_fff0);
    expect(clock.at(0xffff_fff0)).toBe(0);
    expect(clock.at(3584)).toBe(40);
  });

  test("goes on for days, through many wraps", () => {
    const clock = RtpClock.voice(5);
    const step = 2 ** 30;
    for (let i = 1; i <= 20; i++) expect(clock.at((5 + i * step) % 2 ** 32)).toBeCloseTo((i * step) / 48, 6);
  });

  test("gives times before the origin and steps back for a late packet", () => {
    const clock = RtpClock.video(9000);
    expect(clock.at(8100)).toBe(-10);
    expect(clock.at(9900)).toBe(10);
    expect(clock.at(9000)).toBe(0);
  });
});

test("quantiles are interpolated as numpy does", () => {
  const values = [1, 2, 4, 8];
  expect(quantile(values, 0)).toBe(1);
  expect(quantile(values, 0.5)).toBe(3);
  expect(quantile(values, 0.95)).toBeCloseTo(7.4);
  expect(quantile(values, 1)).toBe(8);
});

test("percentiles keep the newest value as last and do not disturb the series", () => {
  const values = [30, 10, 20];
  expect(percentiles(values)).toEqual({ last: 20, p50: 20, p95: 29, count: 3 });
  expect(values).toEqual([30, 10, 20]);
  expect(percentiles([])).toBeNull();
});

describe("OnsetMatcher", () => {
  test("takes the newest microphone onset before the first message", () => {
    const matcher = new OnsetMatcher();
    matcher.heard(milli(1000));
    matcher.heard(milli(1600));
    expect(matcher.reported(mediaMilli(250), milli(1660))).toEqual({ media_ms: 250, at_ms: 1600 });
  });

  test("never pairs an onset that came after the message", () => {
    const matcher = new OnsetMatcher();
    matcher.heard(milli(1700));
    expect(matcher.reported(mediaMilli(250), milli(1660))).toBeNull();
  });

  test("keeps to the offset that earlier pairs agree on", () => {
    const matcher = new OnsetMatcher();
    for (const at of [1000, 2000, 3000]) {
      matcher.heard(milli(at));
      matcher.reported(mediaMilli(at - 900), milli(at + 60));
    }
    matcher.heard(milli(4000));
    matcher.heard(milli(4400)); // a cough that the server did not report
    expect(matcher.reported(mediaMilli(3102), milli(4450))).toEqual({ media_ms: 3102, at_ms: 4000 });
  });

  test("makes no pair when the meter missed the onset, and uses none twice", () => {
    const matcher = new OnsetMatcher();
    matcher.heard(milli(1000));
    matcher.reported(mediaMilli(100), milli(1060));
    expect(matcher.reported(mediaMilli(600), milli(1560))).toBeNull();
    expect(matcher.reported(mediaMilli(100), milli(1070))).toBeNull();
  });

  test("starts anew when the offset jumped, instead of missing for ever", () => {
    const matcher = new OnsetMatcher();
    matcher.heard(milli(1000));
    matcher.reported(mediaMilli(0), milli(1050));
    for (const at of [2000, 3000, 4000]) {
      matcher.heard(milli(at));
      expect(matcher.reported(mediaMilli(at - 500), milli(at + 50))).toBeNull();
    }
    matcher.heard(milli(5000));
    expect(matcher.reported(mediaMilli(4500), milli(5050))).toEqual({ media_ms: 4500, at_ms: 5000 });
  });
});

describe("micToScreen", () => {
  const frames = [shown(40, 1100), shown(80, 1140), shown(120, 1185), shown(160, 1220)];

  test("ends at the first picture at or after the onset", () => {
    expect(micToScreen({ media_ms: 81, at_ms: 1040 }, frames)).toBe(145);
    expect(micToScreen({ media_ms: 80, at_ms: 1040 }, frames)).toBe(100);
  });

  test("waits while no such picture is on the screen", () => {
    expect(micToScreen({ media_ms: 161, at_ms: 1200 }, frames)).toBeNull();
    expect(micToScreen({ media_ms: 0, at_ms: 1000 }, [])).toBeNull();
  });
});

test("an A/V offset is positive when the voice is late", () => {
  const seen = { media: mediaMilli(1000), at: milli(5000) };
  expect(avOffset(seen, { media: mediaMilli(1000), at: milli(5030) })).toBe(30);
  expect(avOffset(seen, { media: mediaMilli(1060), at: milli(5030) })).toBe(-30);
});

test("a running median ignores a stray value and waits until half full", () => {
  const median = new RunningMedian(6);
  for (const value of [10, 900]) median.push(value);
  expect(median.value).toBeNull();
  for (const value of [12, 11, 10]) median.push(value);
  expect(median.value).toBe(11);
  for (const value of [50, 50, 50, 50]) median.push(value);
  expect(median.value).toBe(50);
});

describe("ContextClock", () => {
  test("takes the smallest delay as the true one", () => {
    const clock = new ContextClock();
    clock.push(milli(0), milli(1007));
    clock.push(milli(21), milli(1023));
    clock.push(milli(43), milli(1090));
    expect(clock.toPage(milli(30))).toBe(1032);
  });

  test("does not trust the first late message of a new window", () => {
    const clock = new ContextClock();
    for (let t = 0; t < 5000; t += 100) clock.push(milli(t), milli(1000 + t));
    clock.push(milli(5000), milli(6060));
    expect(clock.toPage(milli(5000))).toBe(6000);
  });

  test("forgets after ten seconds, so that it follows a drifting clock", () => {
    const clock = new ContextClock();
    clock.push(milli(0), milli(1000));
    for (let t = 100; t <= 12_000; t += 100) clock.push(milli(t), milli(1005 + t));
    expect(clock.toPage(milli(12_000))).toBe(13_005);
  });
});
