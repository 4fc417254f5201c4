/** The page: ties the elements of index.html to a `Call`. */
import { browserEnvironment } from "./browser";
import { Call, type CallChoice } from "./call";
import { byId, make, setText, tell } from "./dom";
import { errorText, SessionError } from "./errors";
import { FacesView } from "./faces_view";
import { LatencyView } from "./latency_view";
import { listMicrophones, type MicrophoneChoice } from "./microphone";
import { pageOptions, type PageOptions } from "./page_options";
import { emptyHook, type HookState, type ProbeHook } from "./probe_hook";
import type { Identity, Server, SystemInfo } from "./server_api";
import { SlidersView } from "./sliders_view";
import { defineTalkingFace, TalkingFace } from "./talking_face";
import { stateLabel, stateText } from "./words";

const QUIETEST_DBFS = -60;
const NOTICE_MS = 8000;

class Page {
  readonly #options: PageOptions;
  readonly #server: Server;
  readonly #call: Call;
  readonly #hook: ProbeHook;
  readonly #faces: FacesView;
  readonly #sliders: SlidersView;
  readonly #latency = new LatencyView();
  readonly #face = byId("face", TalkingFace);
  readonly #start = byId("start", HTMLButtonElement);
  readonly #retry = byId("retry", HTMLButtonElement);
  readonly #microphones = byId("microphone", HTMLSelectElement);
  readonly #system = byId("system", HTMLSelectElement);
  readonly #lookahead = byId("lookahead", HTMLSelectElement);
  readonly #level = byId("level", HTMLDivElement);
  readonly #notice = byId("notice", HTMLParagraphElement);
  #identity: string | null = null;
  #systems: readonly SystemInfo[] = [];
  #drawing = false;
  #shownState: HookState = "idle";
  #hideNotice = 0;

  constructor(hook: ProbeHook, options: PageOptions) {
    this.#hook = hook;
    this.#options = options;
    const env = browserEnvironment(new URL(".", document.baseURI), this.#face, hook);
    this.#server = env.server;
    this.#call = new Call(env, {
      changed: () => this.#changed(),
      level: (dbfs) => this.#showLevel(dbfs),
      notice: ({ code, message }) => this.#takeNotice(code, message),
    });
    this.#faces = new FacesView(this.#server, (identity) => this.#choose(identity));
    this.#sliders = new SlidersView((values) => this.#call.setControls(values));
    this.#listen();
    this.#draw();
  }

  /** Ask the server what there is, until it answers; then start if the address says so. */
  async load(): Promise<void> {
    for (;;) {
      try {
        await this.#ask();
        break;
      } catch (error) {
        this.#veil(error instanceof SessionError ? errorText(error) : String(error));
        await new Promise((resolve) => setTimeout(resolve, 2000));
      }
    }
    this.#start.disabled = this.#identity === null;
    this.#draw();
    if (this.#options.autostart) this.#call.start(this.#callChoice());
  }

  async #ask(): Promise<void> {
    const signal = AbortSignal.timeout(10_000);
    const [identities, systems] = await Promise.all([this.#server.identities(signal), this.#server.systems(signal)]);
    const chosen = identities.find(({ id }) => id === this.#options.identity) ?? identities[0];
    this.#faces.show(identities, chosen?.id ?? "");
    if (chosen) this.#choose(chosen);
    this.#showSystems(systems);
  }

  #listen(): void {
    this.#start.addEventListener("click", () => {
      tell(this.#notice, "");
      if (this.#call.running) this.#call.stop();
      else this.#call.start(this.#callChoice());
    });
    this.#retry.addEventListener("click", () => this.#call.retryNow());
    const voice = byId("voice", HTMLInputElement);
    voice.addEventListener("change", () => this.#face.toggleAttribute("voice", voice.checked));
    this.#system.addEventListener("change", () => {
      this.#showSystem();
      if (this.#call.running) this.#call.start(this.#callChoice());
    });
    this.#lookahead.addEventListener("change", () => {
      this.#call.setLookahead(Number(this.#lookahead.value));
      this.#draw();
    });
    const sound = ["echo", "noise", "gain"].map((id) => byId(id, HTMLInputElement));
    for (const input of [this.#microphones, ...sound]) {
      input.addEventListener("change", () => void this.#changeMicrophone());
    }
    navigator.mediaDevices?.addEventListener("devicechange", () => void this.#showMicrophones());
    window.addEventListener("pagehide", () => this.#call.stop());
    byId("idle", HTMLInputElement).checked = this.#options.idle;
    this.#themeButton();
    void this.#showMicrophones();
  }

  #callChoice(): CallChoice {
    const lookahead_ms = Number(this.#lookahead.value);
    const options = {
      system: this.#system.value,
      lookahead_ms,
      idle: byId("idle", HTMLInputElement).checked,
      voice: true,
    };
    return { identity: this.#identity ?? "", microphone: this.#microphoneChoice(), options };
  }

  #microphoneChoice(): MicrophoneChoice {
    const on = (id: string): boolean => byId(id, HTMLInputElement).checked;
    const processing = { echoCancellation: on("echo"), noiseSuppression: on("noise"), autoGainControl: on("gain") };
    return { deviceId: this.#microphones.value || null, ...processing };
  }

  async #changeMicrophone(): Promise<void> {
    try {
      await this.#call.setMicrophone(this.#microphoneChoice());
    } catch (error) {
      if (error instanceof SessionError) this.#tell(errorText(error));
    }
  }

  #choose(identity: Identity): void {
    this.#identity = identity.id;
    this.#face.setAttribute("poster", identity.photo.href);
    this.#start.disabled = false;
    this.#call.setIdentity(identity.id);
  }

  /** Many things change in one turn; draw once. */
  #changed(): void {
    if (this.#drawing) return;
    this.#drawing = true;
    queueMicrotask(() => {
      this.#drawing = false;
      this.#draw();
    });
  }

  #draw(): void {
    const { state, error } = this.#hook;
    const running = this.#call.running;
    setText(this.#start, running ? "Stop" : "Start");
    this.#start.classList.toggle("stop", running);
    const pill = byId("pill", HTMLParagraphElement);
    pill.dataset["state"] = state;
    setText(pill.querySelector("b") ?? pill, stateLabel(this.#hook));
    const text = stateText(this.#hook, this.#call.retryInMs);
    const line = byId("state", HTMLParagraphElement);
    setText(line, text);
    line.classList.toggle("hidden", state !== "live" && state !== "idle"); // then the veil shows the same text
    this.#veil(state === "live" ? "" : state === "idle" ? this.#invitation() : text);
    this.#retry.hidden = this.#call.retryInMs === null;
    if (state === "live" && this.#microphones.options.length < 2) void this.#showMicrophones();
    if (error?.reason === "identity" && this.#shownState !== state) void this.#ask().catch(() => undefined);
    this.#shownState = state;
    const { stats } = this.#call;
    this.#latency.show(this.#hook, stats, stats?.lookahead_ms ?? Number(this.#lookahead.value));
  }

  #invitation(): string {
    return this.#identity === null ? "Add a photo of a face to begin." : "Press Start and speak.";
  }

  #veil(text: string): void {
    byId("veil", HTMLDivElement).classList.toggle("clear", text === "");
    if (text !== "") setText(byId("veil-text", HTMLParagraphElement), text);
  }

  #showLevel(dbfs: number): void {
    const share = Math.min(1, Math.max(0, 1 - dbfs / QUIETEST_DBFS));
    this.#level.style.setProperty("--level", `${(share * 100).toFixed(1)}%`);
    this.#level.ariaValueNow = String(Math.round(Math.max(QUIETEST_DBFS, dbfs)));
  }

  #showSystems(systems: readonly SystemInfo[]): void {
    this.#systems = systems;
    const wanted = this.#system.value || this.#options.system;
    this.#system.replaceChildren(
      ...systems.map(({ name, frame_px }) =>
        Object.assign(make("option", `${name}, ${frame_px} px`), { value: name, selected: name === wanted }),
      ),
    );
    byId("systems", HTMLLabelElement).hidden = systems.length < 2;
    this.#showSystem();
  }

  /** What the chosen system obeys and how far it can look ahead. */
  #showSystem(): void {
    const system = this.#systems.find(({ name }) => name === this.#system.value);
    if (system === undefined) return;
    this.#sliders.obey(system.controls);
    this.#showLookaheads(system.lookaheads_ms);
  }

  #showLookaheads(lookaheads_ms: readonly number[]): void {
    const wanted = this.#options.lookahead ?? 40;
    const all = lookaheads_ms.length > 0 ? lookaheads_ms : [wanted];
    const nearest = [...all].sort((a, b) => Math.abs(a - wanted) - Math.abs(b - wanted))[0];
    this.#lookahead.replaceChildren(
      ...all.map((ms) => Object.assign(make("option", `${ms} ms`), { value: String(ms), selected: ms === nearest })),
    );
  }

  async #showMicrophones(): Promise<void> {
    const chosen = this.#microphones.value;
    const found = await listMicrophones(navigator.mediaDevices);
    const first = Object.assign(make("option", "Browser’s default"), { value: "" });
    const others = found.filter(({ id }) => id !== "default");
    this.#microphones.replaceChildren(
      first,
      ...others.map(({ id, label }) => Object.assign(make("option", label), { value: id, selected: id === chosen })),
    );
  }

  #takeNotice(code: string, message: string): void {
    if (code === "lookahead") return; // the chart shows it
    this.#tell(message);
    const drawn = this.#faces.identities.find(({ id }) => id === this.#hook.identity);
    if (code !== "identity" || drawn === undefined) return;
    this.#faces.choose(drawn.id); // the other could not be drawn
    this.#choose(drawn);
  }

  #tell(text: string): void {
    tell(this.#notice, text);
    clearTimeout(this.#hideNotice);
    this.#hideNotice = window.setTimeout(() => tell(this.#notice, ""), NOTICE_MS);
  }

  #themeButton(): void {
    const root = document.documentElement;
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const stored = this.#options.theme ?? localStorage.getItem("visavis-theme");
    if (stored === "dark" || stored === "light") root.dataset["theme"] = stored;
    byId("theme", HTMLButtonElement).addEventListener("click", () => {
      const now = root.dataset["theme"] ?? (dark.matches ? "dark" : "light");
      const next = now === "dark" ? "light" : "dark";
      root.dataset["theme"] = next;
      localStorage.setItem("visavis-theme", next);
    });
  }
}

defineTalkingFace();
window.visavis = emptyHook();
void new Page(window.visavis, pageOptions(new URLSearchParams(location.search))).load();
