/** The arithmetic of delay: pure, fed with instants. */
import type { FrameRecord, OnsetRecord, Percentiles } from "./probe_hook";
import { mediaMilli, milli, type MediaMilli, type Milli } from "./units";

const VIDEO_RTP_HZ = 90_000;
const VOICE_RTP_HZ = 48_000;

/** Turns 32-bit RTP timestamps into media time, through any number of wraps. */
export class RtpClock {
  readonly #rateHz: number;
  #last: number;
  #ticks = 0;

  /** `origin` is the timestamp of media time 0. */
  constructor(origin: number, rateHz: number) {
    this.#last = origin >>> 0;
    this.#rateHz = rateHz;
  }

  static video(origin: number): RtpClock {
    return new RtpClock(origin, VIDEO_RTP_HZ);
  }

  static voice(origin: number): RtpClock {
    return new RtpClock(origin, VOICE_RTP_HZ);
  }

  /** Media time of a timestamp that lies less than half a wrap from the one before it. */
  at(timestamp: number): MediaMilli {
    this.#ticks += (timestamp - this.#last) | 0; // the difference as a signed 32-bit number: wrap-safe
    this.#last = timestamp >>> 0;
    return mediaMilli((this.#ticks * 1000) / this.#rateHz);
  }
}

/** The value below which `share` (0 to 1) of the values lie, interpolated as numpy does. `sorted` rises, not empty. */
export function quantile(sorted: readonly number[], share: number): number {
  const position = (sorted.length - 1) * share;
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  const above = sorted[Math.ceil(position)] ?? below;
  return below + (above - below) * (position - Math.floor(position));
}

/** What the hook and the page show of a series; null for an empty one. */
export function percentiles(values: readonly number[]): Percentiles | null {
  const last = values.at(-1);
  if (last === undefined) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return { last, p50: quantile(sorted, 0.5), p95: quantile(sorted, 0.95), count: values.length };
}

const OFFSETS_KEPT = 9;
const LONGEST_TRIP_MS = 1500;
const CLOCK_SLACK_MS = 20;
const TOLERANCE_MS = 80;
const MISSES_BEFORE_FORGETTING = 3;

/**
 * Pairs what the microphone heard begin with what the server says began.
 *
 * The two clocks differ by an unknown, almost constant offset. The first pair takes the newest microphone onset before
 * the message; later pairs must agree with the median offset so far, or they are no pair.
 */
export class OnsetMatcher {
  #heard: Milli[] = [];
  #offsets: number[] = [];
  #misses = 0;

  /** The microphone's meter found an onset at `at`. */
  heard(at: Milli): void {
    this.#heard.push(at);
    if (this.#heard.length > 20) this.#heard.shift();
  }

  /** The server reported an onset; returns the pair, or null if the microphone's meter found none that fits. */
  reported(media: MediaMilli, receivedAt: Milli): OnsetRecord | null {
    const fresh = this.#heard.filter((at) => at <= receivedAt + CLOCK_SLACK_MS && at > receivedAt - LONGEST_TRIP_MS);
    const at = this.#choose(fresh, media);
    if (at === null) {
      if (fresh.length > 0 && ++this.#misses >= MISSES_BEFORE_FORGETTING) this.#offsets = [];
      return null;
    }
    this.#misses = 0;
    this.#heard = this.#heard.filter((other) => other > at);
    this.#offsets.push(at - media);
    if (this.#offsets.length > OFFSETS_KEPT) this.#offsets.shift();
    return { media_ms: media, at_ms: at };
  }

  #choose(fresh: readonly Milli[], media: MediaMilli): Milli | null {
    if (this.#offsets.length === 0) return fresh.at(-1) ?? null;
    const offset = quantile(
      [...this.#offsets].sort((a, b) => a - b),
      0.5,
    );
    const misfit = (at: Milli): number => Math.abs(at - media - offset);
    const [best] = [...fresh].sort((a, b) => misfit(a) - misfit(b));
    return best !== undefined && misfit(best) <= TOLERANCE_MS ? best : null;
  }
}

/**
 * From an onset at the microphone to the first picture at or after it lighting up; null while none is shown yet.
 *
 * The cautious reading: it holds the wait for the next picture, 0 to 40 ms, because a person waits for it too.
 */
export function micToScreen(onset: OnsetRecord, frames: readonly FrameRecord[]): Milli | null {
  let first: FrameRecord | null = null;
  for (let i = frames.length - 1; i >= 0; i--) {
    const frame = frames[i];
    if (frame === undefined || frame.media_ms < onset.media_ms) break;
    first = frame;
  }
  return first === null ? null : milli(first.expected_display_ms - onset.at_ms);
}

/** Pairs of one media time and the instant at which it was seen or heard. */
export interface Shown {
  media: MediaMilli;
  at: Milli;
}

/** Heard minus seen for the same media time: positive when the voice comes after the lips. */
export function avOffset(seen: Shown, heard: Shown): Milli {
  return milli(heard.at - heard.media - (seen.at - seen.media));
}

/** The median of the newest values: one late picture does not move it. */
export class RunningMedian {
  readonly #size: number;
  #values: number[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  push(value: number): void {
    this.#values.push(value);
    if (this.#values.length > this.#size) this.#values.shift();
  }

  get full(): boolean {
    return this.#values.length === this.#size;
  }

  /** Null until the window is half full. */
  get value(): number | null {
    if (this.#values.length * 2 < this.#size) return null;
    return quantile(
      [...this.#values].sort((a, b) => a - b),
      0.5,
    );
  }
}

const WINDOW_MS = 5000;

/**
 * Maps the audio context's clock to the page's from messages that arrive late by varying amounts: the smallest delay
 * of the last five to ten seconds is the true one, and forgetting older ones follows the clocks' drift.
 */
export class ContextClock {
  #windowEnd = Number.NEGATIVE_INFINITY;
  #previous = Number.POSITIVE_INFINITY;
  #current = Number.POSITIVE_INFINITY;

  /** A message made at context time `context` arrived at `now`. */
  push(context: Milli, now: Milli): void {
    if (now >= this.#windowEnd) {
      this.#previous = this.#current;
      this.#current = Number.POSITIVE_INFINITY;
      this.#windowEnd = now + WINDOW_MS;
    }
    this.#current = Math.min(this.#current, now - context);
  }

  /** When a sample with this context time reached the page. Push at least once before. */
  toPage(context: Milli): Milli {
    return milli(context + Math.min(this.#current, this.#previous));
  }
}
