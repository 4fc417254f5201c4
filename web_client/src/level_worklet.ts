/**
 * Runs in the audio thread: measures the microphone's level and finds onsets. Sends a
 * `LevelReport` at each onset and at least every 4096 samples.
 */
import { OnsetDetector } from "./onset_detector";

declare const sampleRate: number;
declare const currentTime: number;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(name: string, processor: new () => AudioWorkletProcessor): void;

/** Times are on the audio context's clock, in seconds. */
export interface LevelReport {
  end_s: number;
  /** Root mean square since the last report, 0 to 1. */
  rms: number;
  /** Where speech began since the last report; null if it did not. */
  onset_s: number | null;
}

const REPORT_SAMPLES = 4096; // 12 reports a second: each makes the browser paint a frame

class LevelProcessor extends AudioWorkletProcessor {
  readonly #detector = new OnsetDetector(sampleRate);
  #energy = 0;
  #samples = 0;
  #onset_s: number | null = null;

  process(inputs: readonly (readonly Float32Array[])[]): boolean {
    const block = inputs[0]?.[0];
    if (block === undefined) return true;
    const onset = this.#detector.push(block);
    if (onset >= 0) this.#onset_s = currentTime + onset / sampleRate;
    for (const sample of block) this.#energy += sample * sample;
    this.#samples += block.length;
    if (onset >= 0 || this.#samples >= REPORT_SAMPLES) this.#report(currentTime + block.length / sampleRate);
    return true;
  }

  #report(end_s: number): void {
    const report: LevelReport = { end_s, rms: Math.sqrt(this.#energy / this.#samples), onset_s: this.#onset_s };
    this.port.postMessage(report);
    this.#energy = 0;
    this.#samples = 0;
    this.#onset_s = null;
  }
}

registerProcessor("visavis-level", LevelProcessor);
