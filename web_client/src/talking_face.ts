/**
 * `<talking-face src="https://server/" identity="ada">`: the face, in any page.
 *
 * Attributes: `src` (the server; the page's own by default), `identity`, `system` (that draws), `lookahead` (ms),
 * `idle="off"`, `poster` (picture until the face comes), `voice` (present: the returned voice is heard). Methods `start()` from a click, and
 * `stop()`. Fires `visavis-change`, bubbling, with a `ProbeHook` as `detail`. Style its `::part(frame | poster |
 * video | badge)`. Pictures of any shape are shown whole; the element itself is square unless its `aspect-ratio` is set.
 * The badge says that the face is artificial and cannot be switched off.
 */
import { browserEnvironment } from "./browser";
import { Call, type Screen } from "./call";
import { watchFrames, type ShownFrame } from "./frames";
import { DEFAULT_MICROPHONE } from "./microphone";
import { emptyHook } from "./probe_hook";
import type { SessionOptions } from "./server_api";

const MARKUP = `
<style>
  :host { display: block; position: relative; aspect-ratio: 1; overflow: hidden; background: #0c0d0c; }
  :host([hidden]) { display: none; }
  div { position: absolute; inset: 0; }
  img, video { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; }
  img:not([src]) { display: none; }
  video { opacity: 0; }
  :host([showing]) video { opacity: 1; }
  span {
    position: absolute; left: 12px; bottom: 12px; padding: 3px 9px; border-radius: 99px; color: #fff;
    font: 600 12px/1.5 system-ui, sans-serif; letter-spacing: .02em; background: rgb(0 0 0 / .62);
  }
</style>
<div part="frame">
  <img part="poster" alt="">
  <video part="video" autoplay playsinline muted></video>
  <audio autoplay></audio>
  <slot></slot>
  <span part="badge" title="This picture is made by software from one photo">AI face</span>
</div>`;

/** On a server there is no HTMLElement; importing this module there must not fail. */
const Base: typeof HTMLElement = globalThis.HTMLElement ?? (class {} as unknown as typeof HTMLElement);

export class TalkingFace extends Base implements Screen {
  static readonly observedAttributes = ["poster", "voice", "label"];

  readonly #video: HTMLVideoElement;
  readonly #audio: HTMLAudioElement;
  readonly #poster: HTMLImageElement;
  #call: Call | null = null;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.innerHTML = MARKUP;
    this.#video = root.querySelector("video") as HTMLVideoElement;
    this.#audio = root.querySelector("audio") as HTMLAudioElement;
    this.#poster = root.querySelector("img") as HTMLImageElement;
    this.#audio.muted = true;
  }

  get video(): HTMLVideoElement {
    return this.#video;
  }

  attributeChangedCallback(name: string, _old: string | null, value: string | null): void {
    if (name === "voice") this.#audio.muted = value === null;
    if (name === "label") this.#video.ariaLabel = value;
    if (name !== "poster") return;
    if (value === null) this.#poster.removeAttribute("src");
    else this.#poster.src = value;
  }

  /** Begin a call of the element's own, as its attributes say. */
  start(): void {
    const base = new URL(this.getAttribute("src") ?? "", document.baseURI);
    const hook = emptyHook();
    const changed = (): boolean =>
      this.dispatchEvent(new CustomEvent("visavis-change", { bubbles: true, detail: hook }));
    const listener = { changed, level: () => undefined, notice: () => undefined };
    this.stop();
    this.#call = new Call(browserEnvironment(base, this, hook), listener);
    const options: SessionOptions = { idle: this.getAttribute("idle") !== "off" };
    const system = this.getAttribute("system");
    if (system !== null) options.system = system;
    if (this.hasAttribute("lookahead")) options.lookahead_ms = Number(this.getAttribute("lookahead"));
    this.#call.start({ identity: this.getAttribute("identity") ?? "", microphone: DEFAULT_MICROPHONE, options });
  }

  stop(): void {
    this.#call?.stop();
    this.#call = null;
  }

  disconnectedCallback(): void {
    this.stop();
  }

  show(video: MediaStream | null, voice: MediaStream | null): void {
    this.#video.srcObject = video;
    this.#audio.srcObject = voice;
    if (video === null) this.removeAttribute("showing");
  }

  watch(signal: AbortSignal, onFrame: (frame: ShownFrame | null) => void): void {
    watchFrames(this.#video, signal, (frame) => {
      this.toggleAttribute("showing", true);
      onFrame(frame);
    });
  }
}

/** Make `<talking-face>` known to the page. */
export function defineTalkingFace(): void {
  if (!customElements.get("talking-face")) customElements.define("talking-face", TalkingFace);
}
