/** The `control` data channel: msgpack maps both ways. */
import { milli, type Milli } from "./units";
import { decodeMessage, encodeMessage, type ClientMessage, type ServerMessage } from "./wire";

/** Sliders fire on every pixel of movement; the server smooths over 80 ms, so a message each 40 ms loses nothing. */
const CONTROLS_EVERY_MS = milli(40);

/** Control values by name: numbers, and a name for `emotion`. */
export type ControlValues = Readonly<Record<string, number | string>>;

export interface Timer {
  /** Call `action` after `delay`; returns what cancels it. */
  after(delay: Milli, action: () => void): () => void;
}

export class ControlChannel {
  readonly #channel: RTCDataChannel;
  readonly #timer: Timer;
  readonly #values = new Map<string, number | string>();
  readonly #changed = new Set<string>();
  #cancelFlush: (() => void) | null = null;

  /** Takes the channel before it is open. `onMessage` gets what the server says until `signal` aborts. */
  constructor(channel: RTCDataChannel, signal: AbortSignal, timer: Timer, onMessage: (message: ServerMessage) => void) {
    this.#channel = channel;
    this.#timer = timer;
    channel.binaryType = "arraybuffer";
    const receive = (event: MessageEvent<unknown>): void => {
      if (!(event.data instanceof ArrayBuffer)) return;
      const message = decodeMessage(event.data);
      if (message !== null) onMessage(message);
    };
    channel.addEventListener("message", receive, { signal });
    channel.addEventListener("open", () => this.#flush(), { once: true });
    signal.addEventListener("abort", () => this.#cancelFlush?.(), { once: true });
  }

  /** Send now; false if the channel is not open. */
  send(message: ClientMessage): boolean {
    if (this.#channel.readyState !== "open") return false;
    this.#channel.send(encodeMessage(message));
    return true;
  }

  /**
   * Set controls to targets that stay until changed: ARKit names 0 to 1, angles in degrees, `lipGain` and
   * `speechIntensity` 0 to 2, `emotion` by name with `emotionIntensity` 0 to 1.
   * May be called at any time and rate; the newest values are sent, at most 25 times a second.
   */
  setControls(values: ControlValues): void {
    for (const [name, value] of Object.entries(values)) {
      if (this.#values.get(name) === value) continue;
      this.#values.set(name, value);
      this.#changed.add(name);
    }
    if (this.#changed.size > 0 && this.#cancelFlush === null) this.#flush();
  }

  #flush(): void {
    this.#cancelFlush = null;
    if (this.#changed.size === 0 || this.#channel.readyState !== "open") return;
    const values: Record<string, number | string> = {};
    for (const name of this.#changed) values[name] = this.#values.get(name) ?? 0;
    this.#changed.clear();
    this.send({ t: "controls", values });
    this.#cancelFlush = this.#timer.after(CONTROLS_EVERY_MS, () => this.#flush());
  }
}

/** The browser's own timers. */
export const BROWSER_TIMER: Timer = {
  after(delay, action) {
    const handle = setTimeout(action, delay);
    return () => clearTimeout(handle);
  },
};
