/** Finds where speech begins, to the sample, by the server's own rule. Pure: the worklet only wraps it. */

/** Amplitude (full scale 1, -34 dB) that is a beginning, unless the room is loud. */
const LOUD = 0.02;
const OVER_ROOM = 6;
const SILENCE_BEFORE_S = 0.3;
const ROOM_S = 0.5;

export class OnsetDetector {
  readonly #sampleRateHz: number;
  #quietSamples = 0;
  #roomPower = 0;

  constructor(sampleRateHz: number) {
    this.#sampleRateHz = sampleRateHz;
  }

  /** The index in `block` (samples -1 to 1) where speech begins after 300 ms of silence, or -1. */
  push(block: Float32Array): number {
    const threshold = Math.max(LOUD, OVER_ROOM * Math.sqrt(this.#roomPower));
    let onset = -1;
    let loud = false;
    let energy = 0;
    for (let i = 0; i < block.length; i++) {
      const sample = block[i] ?? 0;
      energy += sample * sample;
      if (Math.abs(sample) >= threshold) {
        if (this.#quietSamples >= SILENCE_BEFORE_S * this.#sampleRateHz) onset = i;
        this.#quietSamples = 0;
        loud = true;
      } else {
        this.#quietSamples++;
      }
    }
    if (!loud) this.#learnRoom(energy / block.length, block.length);
    return onset;
  }

  #learnRoom(power: number, samples: number): void {
    const share = Math.min(1, samples / (ROOM_S * this.#sampleRateHz));
    this.#roomPower += share * (power - this.#roomPower);
  }
}
