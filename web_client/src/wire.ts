/**
 * What goes over the data channel, and how strangers' bytes become typed values: `null` where they do not fit.
 * Maps as msgpack gives them; unknown keys are ignored, so that server and page may differ by a version.
 */
import { decode, encode } from "@msgpack/msgpack";

import type { HelloRecord } from "./probe_hook";

export type Fields = Readonly<Record<string, unknown>>;

export type ClientMessage =
  | { t: "controls"; values: Readonly<Record<string, number | string>>; pts_ms?: number }
  | { t: "identity"; id: string }
  | { t: "interrupt" }
  | { t: "lookahead"; ms: number }
  | { t: "av"; offset_ms: number }
  | { t: "ping"; sent_ms: number };

/** Percentiles of one stage in milliseconds, as in a `stats` message. */
export interface StageSpan {
  name: string;
  p50_ms: number;
  p95_ms: number;
}

export interface ServerStats {
  pts_ms: number;
  fps: number;
  sent: number;
  late: number;
  dropped: number;
  /** The look-ahead now in use; null if the server does not tell. */
  lookahead_ms: number | null;
  /** In the server's order, which is the order in which a frame passes them. */
  stages: StageSpan[];
  lost: number;
  concealed: number;
  audio_delay_ms: number;
  voice_delay_ms: number;
  /** The message as it came, for `window.visavis`. */
  raw: Fields;
}

export type ServerMessage =
  | { t: "hello"; hello: HelloRecord }
  | { t: "stats"; stats: ServerStats }
  | { t: "onset"; pts_ms: number }
  | { t: "pong"; sent_ms: number; pts_ms: number }
  | { t: "identity"; id: string }
  | { t: "notice"; code: string; message: string }
  | { t: "error"; code: string; message: string };

export function encodeMessage(message: ClientMessage): Uint8Array<ArrayBuffer> {
  return encode(message);
}

/** A server message, or null if the bytes are none that this page knows. */
export function decodeMessage(bytes: ArrayBuffer): ServerMessage | null {
  const fields = decodeFields(bytes);
  if (fields === null) return null;
  switch (fields["t"]) {
    case "hello":
      return { t: "hello", hello: parseHello(fields) };
    case "stats":
      return { t: "stats", stats: parseStats(fields) };
    case "onset":
      return { t: "onset", pts_ms: number(fields, "pts_ms") };
    case "pong":
      return { t: "pong", sent_ms: number(fields, "sent_ms"), pts_ms: number(fields, "pts_ms") };
    case "identity":
      return { t: "identity", id: text(fields, "id") };
    case "notice":
    case "error":
      return { t: fields["t"], code: text(fields, "code"), message: text(fields, "message") };
    default:
      return null;
  }
}

function decodeFields(bytes: ArrayBuffer): Fields | null {
  try {
    return asFields(decode(new Uint8Array(bytes)));
  } catch {
    return null; // not msgpack: a server of another version, and nothing a person could do about it
  }
}

function parseHello(fields: Fields): HelloRecord {
  return {
    session: text(fields, "session"),
    system: text(fields, "system"),
    identity: text(fields, "identity"),
    lookahead_ms: number(fields, "lookahead_ms"),
    controls: list(fields, "controls").filter((name) => typeof name === "string"),
    video_rtp_origin: number(fields, "video_rtp_origin"),
    audio_rtp_origin: number(fields, "audio_rtp_origin"),
  };
}

function parseStats(fields: Fields): ServerStats {
  const audio = asFields(fields["audio"]) ?? {};
  const stages: StageSpan[] = [];
  for (const [name, value] of Object.entries(asFields(fields["stages"]) ?? {})) {
    const stage = asFields(value);
    if (stage !== null) stages.push({ name, p50_ms: number(stage, "p50"), p95_ms: number(stage, "p95") });
  }
  return {
    pts_ms: number(fields, "pts_ms"),
    fps: number(fields, "fps"),
    sent: number(fields, "sent"),
    late: number(fields, "late"),
    dropped: number(fields, "dropped"),
    lookahead_ms: typeof fields["lookahead_ms"] === "number" ? fields["lookahead_ms"] : null,
    stages,
    lost: number(audio, "lost"),
    concealed: number(audio, "concealed"),
    audio_delay_ms: number(audio, "delay_ms"),
    voice_delay_ms: number(fields, "voice_delay_ms"),
    raw: fields,
  };
}

/** A plain object's fields, or null for anything else. */
export function asFields(value: unknown): Fields | null {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : null;
}

/** A finite number, 0 where there is none. */
export function number(fields: Fields, key: string): number {
  const value = fields[key];
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}

/** A text, empty where there is none. */
export function text(fields: Fields, key: string): string {
  const value = fields[key];
  return typeof value === "string" ? value : "";
}

/** A list, empty where there is none. */
export function list(fields: Fields, key: string): readonly unknown[] {
  const value = fields[key];
  return Array.isArray(value) ? value : [];
}
