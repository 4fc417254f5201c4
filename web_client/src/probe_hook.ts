/**
 * `window.visavis`: what the page tells to tools that measure it (`visavis probe`, the end-to-end tests).
 *
 * Plain data in JSON's own types, snake case as on the wire, refreshed in place: read `window.visavis` anew each time.
 * All `*_ms` that name an instant are on the page's `performance.now()` clock, except `media_ms`, which is media time
 * on the session's audio clock (0 = the first sample that the server heard). A reconnection starts everything anew.
 */

/** Rings keep this many of the newest entries, oldest first. */
export const HOOK_RING = 2000;

/** One picture that the browser put on the screen; from `requestVideoFrameCallback`. */
export interface FrameRecord {
  /** Media time that the picture shows: (rtpTimestamp - hello.video_rtp_origin) mod 2^32 / 90. */
  media_ms: number;
  /** When the browser handed the picture to its compositor (`presentationTime`). */
  presented_ms: number;
  /** When the picture should light up (`expectedDisplayTime`). */
  expected_display_ms: number;
  /** When the last packet of the picture came in (`receiveTime`); 0 if the browser does not tell. */
  received_ms: number;
  /** Decoding time (`processingDuration`, in ms); 0 if the browser does not tell. */
  processing_ms: number;
}

/** One beginning of speech that the server and the page's own microphone both noticed. */
export interface OnsetRecord {
  /** Media time of the beginning, sample-exact, from the server's `onset` message. */
  media_ms: number;
  /** When that sample reached the page from the microphone. */
  at_ms: number;
}

/** One `onset` message of the server, whether or not the page's microphone meter noticed the same. */
export interface ServerOnsetRecord {
  media_ms: number;
  received_ms: number;
}

/** The server's first message; `null` in the hook until it came. */
export interface HelloRecord {
  session: string;
  system: string;
  identity: string;
  lookahead_ms: number;
  controls: string[];
  video_rtp_origin: number;
  audio_rtp_origin: number;
}

/** Newest percentiles of one number; `null` while nothing was measured. */
export interface Percentiles {
  last: number;
  p50: number;
  p95: number;
  count: number;
}

/** What the browser's own counters say, once a second (`RTCPeerConnection.getStats`). */
export interface BrowserRecord {
  /** Mean time in the video jitter buffer over the last second. */
  video_jitter_buffer_ms: number;
  /** Mean time in the voice's jitter buffer over the last second. */
  voice_jitter_buffer_ms: number;
  /** Mean decoding time of a picture over the last second. */
  decode_ms: number;
  frames_per_second: number;
  frames_received: number;
  frames_dropped: number;
  freeze_count: number;
  round_trip_ms: number;
}

/**
 * Where the connection stands. "idle": nothing started or stopped by the user. "live": hello came and pictures show.
 * "retrying": the connection dropped and a new one is being made. "failed": gave up; see `error`.
 */
export type HookState = "idle" | "microphone" | "connecting" | "live" | "retrying" | "failed";

export interface ProbeHook {
  state: HookState;
  /** Why the last attempt failed: `reason` for programs, `text` as the page shows it. */
  error: { reason: string; text: string } | null;
  /** The identity now drawn, as the server confirmed it. */
  identity: string | null;
  /** How many times a connection was opened since the page loaded. */
  connections: number;
  hello: HelloRecord | null;
  /** The server's newest `stats` message, as received. */
  stats: Record<string, unknown> | null;
  browser: BrowserRecord | null;
  /** Pictures on screen, ring of `HOOK_RING`. */
  frames: FrameRecord[];
  /** Pictures on screen since the connection opened (`frames` forgets, this does not). */
  frame_count: number;
  /** Matched beginnings of speech, ring of `HOOK_RING`. */
  onsets: OnsetRecord[];
  server_onsets: ServerOnsetRecord[];
  /** From the microphone's onset to the first picture at or after that media time lighting up. */
  mic_to_screen_ms: Percentiles | null;
  /** Heard minus seen for the same media time, smoothed: positive when the voice comes late. */
  av_offset_ms: number | null;
  /** How long the sound card takes to play a sample that it was given, as the browser tells; part of `av_offset_ms`. */
  output_latency_ms: number;
}

declare global {
  interface Window {
    visavis: ProbeHook;
  }
}

/** A hook as it stands before anything happened. */
export function emptyHook(): ProbeHook {
  return {
    state: "idle",
    error: null,
    identity: null,
    connections: 0,
    hello: null,
    stats: null,
    browser: null,
    frames: [],
    frame_count: 0,
    onsets: [],
    server_onsets: [],
    mic_to_screen_ms: null,
    av_offset_ms: null,
    output_latency_ms: 0,
  };
}

/** Append to a ring of the hook, dropping the oldest entry when full. */
export function pushRing<T>(ring: T[], item: T): void {
  ring.push(item);
  if (ring.length > HOOK_RING) ring.splice(0, ring.length - HOOK_RING);
}
