/** The browser's own counters, turned into what a person asks: how long, how many. */
import type { BrowserRecord } from "./probe_hook";
import { asFields, number, text, type Fields } from "./wire";

/** The counters of one look at `getStats`, as the browser gives them: totals since the beginning, in seconds. */
export interface Counters {
  video: Fields;
  voice: Fields;
  round_trip_s: number;
}

export function readCounters(report: RTCStatsReport): Counters {
  const counters: Counters = { video: {}, voice: {}, round_trip_s: 0 };
  report.forEach((value: unknown) => {
    const fields = asFields(value);
    if (fields === null) return;
    if (fields["type"] === "inbound-rtp" && text(fields, "kind") === "video") counters.video = fields;
    if (fields["type"] === "inbound-rtp" && text(fields, "kind") === "audio") counters.voice = fields;
    if (fields["type"] === "candidate-pair" && fields["nominated"] === true) {
      counters.round_trip_s = number(fields, "currentRoundTripTime");
    }
  });
  return counters;
}

/** What happened between two looks. Means are 0 where nothing was counted in between. */
export function browserRecord(before: Counters, now: Counters): BrowserRecord {
  return {
    video_jitter_buffer_ms: mean(before.video, now.video, "jitterBufferDelay", "jitterBufferEmittedCount"),
    voice_jitter_buffer_ms: mean(before.voice, now.voice, "jitterBufferDelay", "jitterBufferEmittedCount"),
    decode_ms: mean(before.video, now.video, "totalDecodeTime", "framesDecoded"),
    frames_per_second: number(now.video, "framesPerSecond"),
    frames_received: number(now.video, "framesReceived"),
    frames_dropped: number(now.video, "framesDropped"),
    freeze_count: number(now.video, "freezeCount"),
    round_trip_ms: now.round_trip_s * 1000,
  };
}

function mean(before: Fields, now: Fields, totalKey: string, countKey: string): number {
  const count = number(now, countKey) - number(before, countKey);
  return count > 0 ? ((number(now, totalKey) - number(before, totalKey)) / count) * 1000 : 0;
}
