import { expect, test } from "vitest";

import { OnsetDetector } from "./onset_detector";

const RATE_HZ = 48_000;
const BLOCK = 128;

/** Feed blocks; returns the sample indices of the onsets. */
function onsets(signal: Float32Array): number[] {
  const detector = new OnsetDetector(RATE_HZ);
  const found: number[] = [];
  for (let start = 0; start < signal.length; start += BLOCK) {
    const onset = detector.push(signal.subarray(start, start + BLOCK));
    if (onset >= 0) found.push(start + onset);
  }
  return found;
}

function silence(seconds: number): number[] {
  return new Array<number>(Math.round(seconds * RATE_HZ)).fill(0);
}

function tone(seconds: number, amplitude: number): number[] {
  return Array.from({ length: Math.round(seconds * RATE_HZ) }, (_, i) => (i % 2 ? -amplitude : amplitude));
}

test("finds the beginning of a sound to the sample", () => {
  const signal = [...silence(0.5), ...tone(0.2, 0.3)];
  expect(onsets(Float32Array.from(signal))).toEqual([24_000]);
});

test("a pause under 300 ms is no new beginning, a longer one is", () => {
  const signal = [
    ...silence(0.4),
    ...tone(0.1, 0.3),
    ...silence(0.25),
    ...tone(0.1, 0.3),
    ...silence(0.35),
    ...tone(0.1, 0.3),
  ];
  expect(onsets(Float32Array.from(signal))).toEqual([19_200, 57_600]);
});

test("sound from the first sample on is not a beginning after silence", () => {
  expect(onsets(Float32Array.from(tone(1, 0.3)))).toEqual([]);
});

test("a loud room is not taken for speech, speech over it is", () => {
  let seed = 1;
  const room = Array.from({ length: 2 * RATE_HZ }, () => {
    seed = (seed * 16_807) % 2_147_483_647;
    return (seed / 2_147_483_647 - 0.5) * 0.036; // peaks just under the least loudness
  });
  const signal = Float32Array.from([...room, ...room]);
  for (let i = 2 * RATE_HZ; i < 2.2 * RATE_HZ; i++) signal[i] = i % 2 ? 0.2 : -0.2;
  expect(onsets(signal)).toEqual([2 * RATE_HZ]);
  const scaled = signal.map((value) => Math.max(-0.05, Math.min(0.05, value)));
  expect(onsets(scaled)).toEqual([]);
});
