/** The microphone: choose it, open it, watch its level. */
import { SessionError } from "./errors";
import { ContextClock } from "./latency";
import type { LevelReport } from "./level_worklet";
import { milli, type Milli } from "./units";

export interface MicrophoneChoice {
  /** Null for the browser's default. */
  deviceId: string | null;
  echoCancellation: boolean;
  noiseSuppression: boolean;
  autoGainControl: boolean;
}

/** Echo cancellation is on because the returned voice may play; the other two cost speech detail and are off. */
export const DEFAULT_MICROPHONE: MicrophoneChoice = {
  deviceId: null,
  echoCancellation: true,
  noiseSuppression: false,
  autoGainControl: true,
};

/**
 * Open the chosen microphone, mono.
 *
 * @param signal - Stops the microphone.
 * @throws {SessionError} "unsupported", or one of "microphone-*".
 */
export async function openMicrophone(
  media: MediaDevices | undefined,
  choice: MicrophoneChoice,
  signal: AbortSignal,
): Promise<MediaStream> {
  signal.throwIfAborted();
  if (media === undefined) throw new SessionError("unsupported"); // no secure context: the browser hides it
  const { deviceId, ...processing } = choice;
  const audio: MediaTrackConstraints = { ...processing, channelCount: 1 };
  if (deviceId !== null) audio.deviceId = { exact: deviceId };
  let stream: MediaStream;
  try {
    stream = await media.getUserMedia({ audio });
  } catch (error) {
    throw microphoneError(error);
  }
  const stop = (): void => stream.getTracks().forEach((track) => track.stop());
  if (signal.aborted) stop();
  signal.throwIfAborted();
  signal.addEventListener("abort", stop, { once: true });
  return stream;
}

function microphoneError(error: unknown): SessionError {
  const name = error instanceof Error ? error.name : "";
  const detail = error instanceof Error ? error.message : "";
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return new SessionError("microphone-denied", detail);
    case "NotFoundError":
    case "OverconstrainedError":
      return new SessionError("microphone-missing", detail);
    default:
      return new SessionError("microphone-in-use", detail);
  }
}

export interface Microphone {
  id: string;
  label: string;
}

/** The microphones there are. Before the user allowed one, browsers tell neither names nor ids: then it is empty. */
export async function listMicrophones(media: MediaDevices | undefined): Promise<Microphone[]> {
  const devices = (await media?.enumerateDevices()) ?? [];
  return devices
    .filter((device) => device.kind === "audioinput" && device.deviceId && device.label)
    .map((device) => ({ id: device.deviceId, label: device.label }));
}

/** Level in dBFS of a root mean square 0 to 1; silence is -100. */
export function decibels(rms: number): number {
  return Math.max(-100, 20 * Math.log10(Math.max(rms, 1e-5)));
}

export interface MeterEvents {
  /** About 12 times a second. */
  onLevel(dbfs: number): void;
  /** Speech began; `at` is when that sample reached the page. */
  onOnset(at: Milli): void;
}

/**
 * Watch a microphone's level and onsets until `signal` aborts.
 *
 * @param workletUrl - Where `level_worklet.js` lies.
 */
export async function watchMicrophone(
  stream: MediaStream,
  context: AudioContext,
  workletUrl: URL,
  signal: AbortSignal,
  events: MeterEvents,
): Promise<void> {
  await context.audioWorklet.addModule(workletUrl);
  if (signal.aborted) return;
  const source = context.createMediaStreamSource(stream);
  const meter = new AudioWorkletNode(context, "visavis-level", { numberOfOutputs: 1 });
  const clock = new ContextClock();
  meter.port.onmessage = ({ data }: MessageEvent<LevelReport>): void => {
    clock.push(milli(data.end_s * 1000), milli(performance.now()));
    events.onLevel(decibels(data.rms));
    if (data.onset_s !== null) events.onOnset(clock.toPage(milli(data.onset_s * 1000)));
  };
  source.connect(meter).connect(context.destination); // the worklet puts out silence; unconnected it would not run
  const close = (): void => {
    meter.port.onmessage = null;
    source.disconnect();
    meter.disconnect();
  };
  signal.addEventListener("abort", close, { once: true });
}
