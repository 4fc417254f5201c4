/** Everything measured during one connection; fills `window.visavis`. */
import type { Timer } from "./control";
import type { ShownFrame } from "./frames";
import { avOffset, micToScreen, OnsetMatcher, percentiles, RtpClock, RunningMedian, type Shown } from "./latency";
import { emptyHook, pushRing, type HelloRecord, type OnsetRecord, type ProbeHook } from "./probe_hook";
import { browserRecord, readCounters, type Counters } from "./stats";
import { mediaMilli, milli, type Milli } from "./units";
import type { ServerStats } from "./wire";

/** The meter's own report of an onset may come after the server's. */
const MATCH_AFTER_MS = milli(150);
const COUNTERS_EVERY_MS = 1000;
const AV_SAMPLES = 20;
/** Looks that go into one report: 2.5 seconds' worth. */
const AV_REPORT_SAMPLES = 10;
/** The server moves the voice by at most 50 ms a second: what is heard before that is over says nothing new. */
const AV_SETTLING_MS = 1500;
/** No buffer makes such an offset: the two tracks have not both begun to follow the session's clock. */
const IMPOSSIBLE_MS = 2000;
/** A picture older than this says nothing about now. */
const STALE_MS = 500;

export class Measurement {
  readonly #hook: ProbeHook;
  readonly #timer: Timer;
  readonly #signal: AbortSignal;
  readonly #changed: () => void;
  readonly #matcher = new OnsetMatcher();
  readonly #av = new RunningMedian(AV_SAMPLES);
  readonly #trips: Milli[] = [];
  #waiting: OnsetRecord[] = [];
  #videoClock: RtpClock | null = null;
  #voiceClock: RtpClock | null = null;
  #seen: Shown | null = null;
  #lastVoice = 0;
  #counters: { at: Milli; counters: Counters } | null = null;
  #fresh = new RunningMedian(AV_REPORT_SAMPLES);
  #reportedAt = Number.NEGATIVE_INFINITY;

  /** The server's newest statistics, for the page. */
  stats: ServerStats | null = null;

  /** Clears what the hook holds of the connection before. */
  constructor(hook: ProbeHook, timer: Timer, signal: AbortSignal, changed: () => void) {
    const { state, error, connections } = hook;
    Object.assign(hook, { ...emptyHook(), state, error, connections });
    this.#hook = hook;
    this.#timer = timer;
    this.#signal = signal;
    this.#changed = changed;
  }

  hello(hello: HelloRecord): void {
    this.#hook.hello = hello;
    this.#videoClock = RtpClock.video(hello.video_rtp_origin);
    this.#voiceClock = RtpClock.voice(hello.audio_rtp_origin);
  }

  /** A picture lights up. Those before `hello` have no media time and are not kept. */
  frame(frame: ShownFrame): void {
    if (this.#videoClock === null) return;
    const media = this.#videoClock.at(frame.rtpTimestamp);
    this.#seen = { media, at: milli(frame.expectedDisplayMs) };
    this.#hook.frame_count++;
    pushRing(this.#hook.frames, {
      media_ms: media,
      presented_ms: frame.presentedMs,
      expected_display_ms: frame.expectedDisplayMs,
      received_ms: frame.receivedMs,
      processing_ms: frame.processingMs,
    });
    this.#settle();
  }

  /** The microphone's meter found an onset. */
  heard(at: Milli): void {
    this.#matcher.heard(at);
  }

  /** The server found an onset. */
  serverOnset(mediaMs: number): void {
    const receivedAt = milli(performance.now());
    pushRing(this.#hook.server_onsets, { media_ms: mediaMs, received_ms: receivedAt });
    this.#timer.after(MATCH_AFTER_MS, () => {
      if (this.#signal.aborted) return; // the hook may belong to the next connection by now
      const pair = this.#matcher.reported(mediaMilli(mediaMs), receivedAt);
      if (pair === null) return;
      pushRing(this.#hook.onsets, pair);
      this.#waiting.push(pair);
      this.#settle();
    });
  }

  /** A look at `getStats`; keeps one a second. */
  counters(report: RTCStatsReport): void {
    const at = milli(performance.now());
    if (this.#counters !== null && at - this.#counters.at < COUNTERS_EVERY_MS) return;
    const counters = readCounters(report);
    if (this.#counters !== null) this.#hook.browser = browserRecord(this.#counters.counters, counters);
    this.#counters = { at, counters };
    this.#changed();
  }

  /** Where the voice's playing stands. Returns the offset to report, about every four seconds, else null. */
  voice(sources: readonly RTCRtpSynchronizationSource[], outputLatency: Milli): number | null {
    const source = sources[0];
    if (source === undefined || this.#voiceClock === null || this.#seen === null) return null;
    if (source.rtpTimestamp === this.#lastVoice) return null;
    this.#lastVoice = source.rtpTimestamp;
    const now = performance.now();
    const played =
      source.timestamp > performance.timeOrigin ? source.timestamp - performance.timeOrigin : source.timestamp;
    const heard = { media: this.#voiceClock.at(source.rtpTimestamp), at: milli(played + outputLatency) };
    if (now - this.#seen.at > STALE_MS || now - played > STALE_MS) return null;
    const offset = avOffset(this.#seen, heard);
    if (Math.abs(offset) > IMPOSSIBLE_MS) return null;
    this.#av.push(offset);
    this.#hook.av_offset_ms = this.#av.value;
    this.#hook.output_latency_ms = outputLatency;
    return this.#report(offset, now);
  }

  /** Each report rests on looks of its own: an old offset must not be corrected twice. */
  #report(offset: number, now: number): number | null {
    if (now - this.#reportedAt < AV_SETTLING_MS) return null;
    this.#fresh.push(offset);
    if (!this.#fresh.full) return null;
    const report = this.#fresh.value;
    this.#fresh = new RunningMedian(AV_REPORT_SAMPLES);
    this.#reportedAt = now;
    return report;
  }

  #settle(): void {
    if (this.#waiting.length === 0) return;
    this.#waiting = this.#waiting.filter((onset) => {
      const trip = micToScreen(onset, this.#hook.frames);
      if (trip !== null) pushRing(this.#trips, trip);
      return trip === null;
    });
    this.#hook.mic_to_screen_ms = percentiles(this.#trips);
    this.#changed();
  }
}
