/** From Start to Stop: the microphone, and one session after another while the connection drops. */
import type { ControlValues } from "./control";
import { errorText, SessionError } from "./errors";
import type { ShownFrame } from "./frames";
import { Measurement } from "./measurement";
import { openMicrophone, watchMicrophone, type MicrophoneChoice } from "./microphone";
import type { HookState, ProbeHook } from "./probe_hook";
import { retryDelay } from "./retry";
import type { Server, SessionOptions } from "./server_api";
import { openSession, type Browser, type Session } from "./session";
import { milli, type Milli } from "./units";
import type { ServerMessage, ServerStats } from "./wire";

/** Where the face is shown and the voice is heard. */
export interface Screen {
  show(video: MediaStream | null, voice: MediaStream | null): void;
  /** Call `onFrame` for every picture, until `signal` aborts; see `watchFrames`. */
  watch(signal: AbortSignal, onFrame: (frame: ShownFrame | null) => void): void;
}

export interface CallEnvironment {
  server: Server;
  browser: Browser;
  media: MediaDevices | undefined;
  screen: Screen;
  createAudioContext(): AudioContext;
  workletUrl: URL;
  hook: ProbeHook;
}

export interface CallChoice {
  identity: string;
  microphone: MicrophoneChoice;
  options: SessionOptions;
}

export interface CallListener {
  /** The state, the identity or a measured number in `hook` changed. */
  changed(): void;
  /** Microphone level, about 12 times a second. */
  level(dbfs: number): void;
  /** The server has something to say: `message` to the person, `code` to the program. */
  notice(notice: { code: string; message: string }): void;
}

const SAMPLE_EVERY_MS = milli(250);

export class Call {
  readonly #env: CallEnvironment;
  readonly #listener: CallListener;
  readonly #controls = new Map<string, number | string>();
  #running: AbortController | null = null;
  #choice: CallChoice | null = null;
  #session: Session | null = null;
  #measurement: Measurement | null = null;
  #microphone: { stream: MediaStream; end: AbortController } | null = null;
  #context: AudioContext | null = null;
  #skipWait: () => void = () => undefined;

  /** The wait before the next attempt while the state is "retrying"; null while an attempt is under way. */
  retryInMs: Milli | null = null;

  constructor(env: CallEnvironment, listener: CallListener) {
    this.#env = env;
    this.#listener = listener;
  }

  /** The server's newest statistics of the connection that stands; null without one. */
  get stats(): ServerStats | null {
    return this.#measurement?.stats ?? null;
  }

  get running(): boolean {
    return this.#running !== null;
  }

  /** Start, after ending a call that may run. Call it from a click, so that the browser lets sound play. */
  start(choice: CallChoice): void {
    this.stop();
    const running = new AbortController();
    this.#running = running;
    this.#choice = { ...choice };
    void this.#run(running);
  }

  /** End the call and let go of the microphone. */
  stop(): void {
    this.#running?.abort();
    this.#running = null;
    this.#setState("idle");
  }

  /** While retrying: do not wait any longer. */
  retryNow(): void {
    this.#skipWait();
  }

  /** Draw another face from now on, without a new connection. */
  setIdentity(identity: string): void {
    if (this.#choice) this.#choice.identity = identity;
    this.#session?.control.send({ t: "identity", id: identity });
  }

  setLookahead(lookaheadMs: number): void {
    if (this.#choice) this.#choice.options = { ...this.#choice.options, lookahead_ms: lookaheadMs };
    this.#session?.control.send({ t: "lookahead", ms: lookaheadMs });
  }

  /** Controls, kept for later sessions too; see `ControlChannel.setControls`. */
  setControls(values: ControlValues): void {
    for (const [name, value] of Object.entries(values)) this.#controls.set(name, value);
    this.#session?.control.setControls(values);
  }

  /**
   * Speak into another microphone, or the same otherwise processed.
   *
   * @throws {SessionError} One of "microphone-*"; then the old one goes on.
   */
  async setMicrophone(choice: MicrophoneChoice): Promise<void> {
    const running = this.#running;
    if (running === null || this.#choice === null) return;
    const old = this.#microphone;
    const stream = await this.#openMicrophone(choice, running);
    this.#choice.microphone = choice;
    await this.#session?.replaceMicrophone(stream);
    old?.end.abort();
  }

  async #run(running: AbortController): Promise<void> {
    const { signal } = running;
    try {
      this.#setState("microphone");
      if (!this.#choice) return;
      await this.#openMicrophone(this.#choice.microphone, running);
      await this.#connectAgainAndAgain(signal);
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
    } finally {
      this.#end(running);
    }
  }

  async #connectAgainAndAgain(signal: AbortSignal): Promise<void> {
    let attempt = 0;
    for (;;) {
      const session = new AbortController();
      const endSession = (): void => session.abort();
      signal.addEventListener("abort", endSession, { once: true });
      try {
        this.#setState(attempt === 0 ? "connecting" : "retrying");
        const lost = await this.#converse(session.signal, () => (attempt = 0));
        throw lost;
      } catch (error) {
        signal.throwIfAborted();
        const problem = asSessionError(error);
        const delay = retryDelay(problem, ++attempt);
        if (delay === null) throw problem;
        session.abort();
        this.#session = null;
        await this.#waitToRetry(problem, delay, signal);
      } finally {
        session.abort();
        signal.removeEventListener("abort", endSession);
      }
    }
  }

  /** One session, until it is lost; the error says how. */
  async #converse(signal: AbortSignal, onPicture: () => void): Promise<SessionError> {
    const { server, browser, screen, hook } = this.#env;
    const [choice, microphone] = [this.#choice, this.#microphone];
    if (choice === null || microphone === null) throw new SessionError("microphone-missing");
    const measurement = new Measurement(hook, browser.timer, signal, () => this.#listener.changed());
    this.#measurement = measurement;
    const iceServers = await server.iceServers(signal);
    const onMessage = (message: ServerMessage): void => this.#receive(message, measurement);
    const { identity, options } = choice;
    const request = { server, identity, options, iceServers, onMessage, microphone: microphone.stream };
    const session = await openSession(request, signal, browser);
    this.#session = session;
    hook.connections++;
    hook.identity ??= choice.identity;
    session.control.setControls(Object.fromEntries(this.#controls));
    signal.addEventListener("abort", () => screen.show(null, null), { once: true });
    screen.show(session.video, session.voice);
    screen.watch(signal, (frame) => {
      if (hook.state !== "live") this.#setState("live");
      onPicture();
      if (frame !== null) measurement.frame(frame);
    });
    this.#sample(session, measurement, signal);
    return Promise.race([session.lost, aborted(signal)]);
  }

  #receive(message: ServerMessage, measurement: Measurement): void {
    const { hook } = this.#env;
    switch (message.t) {
      case "hello":
        measurement.hello(message.hello);
        hook.identity = message.hello.identity;
        break;
      case "stats":
        hook.stats = message.stats.raw;
        measurement.stats = message.stats;
        break;
      case "onset":
        measurement.serverOnset(message.pts_ms);
        break;
      case "identity":
        hook.identity = message.id;
        break;
      case "notice":
      case "error":
        this.#listener.notice(message);
        break;
      case "pong":
        break;
    }
    this.#listener.changed();
  }

  /** Look at the browser's counters and the voice's position, four times a second. */
  #sample(session: Session, measurement: Measurement, signal: AbortSignal): void {
    const look = async (): Promise<void> => {
      measurement.counters(await session.peer.getStats());
      const latencyMs = milli((this.#context?.outputLatency ?? 0) * 1000);
      const offset = measurement.voice(session.voiceReceiver.getSynchronizationSources(), latencyMs);
      if (offset !== null) session.control.send({ t: "av", offset_ms: offset });
      cancel = this.#env.browser.timer.after(SAMPLE_EVERY_MS, () => void look());
      if (signal.aborted) cancel();
    };
    let cancel = this.#env.browser.timer.after(SAMPLE_EVERY_MS, () => void look());
    signal.addEventListener("abort", () => cancel(), { once: true });
  }

  async #openMicrophone(choice: MicrophoneChoice, running: AbortController): Promise<MediaStream> {
    const end = new AbortController();
    running.signal.addEventListener("abort", () => end.abort(), { once: true, signal: end.signal });
    const stream = await openMicrophone(this.#env.media, choice, end.signal);
    this.#microphone = { stream, end };
    for (const track of stream.getTracks()) {
      const unplugged = (): void => {
        if (this.#running === running) this.#fail(new SessionError("microphone-missing"));
        running.abort();
      };
      track.addEventListener("ended", unplugged, { signal: end.signal });
    }
    this.#watch(stream, end.signal);
    return stream;
  }

  /** The level meter is a comfort: if the browser cannot run it, the call goes on without. */
  #watch(stream: MediaStream, signal: AbortSignal): void {
    this.#context ??= this.#env.createAudioContext();
    const context = this.#context;
    const onOnset = (at: Milli): void => this.#measurement?.heard(at);
    const onLevel = (dbfs: number): void => this.#listener.level(dbfs);
    const watching = context.resume().then(() => {
      return watchMicrophone(stream, context, this.#env.workletUrl, signal, { onLevel, onOnset });
    });
    watching.catch((error: unknown) => console.warn("visavis: no level meter:", error));
  }

  async #waitToRetry(problem: SessionError, delay: Milli, signal: AbortSignal): Promise<void> {
    this.retryInMs = delay;
    this.#setState("retrying", problem);
    await new Promise<void>((resolve) => {
      const cancel = this.#env.browser.timer.after(delay, resolve);
      this.#skipWait = () => (cancel(), resolve());
      signal.addEventListener("abort", this.#skipWait, { once: true });
    });
    this.retryInMs = null;
    signal.throwIfAborted();
  }

  #fail(error: unknown): void {
    this.#setState("failed", asSessionError(error));
  }

  #end(running: AbortController): void {
    running.abort();
    if (this.#running !== running && this.#running !== null) return; // another call has begun
    this.#running = null;
    this.#session = null;
    this.#microphone = null;
    this.#measurement = null;
    void this.#context?.suspend();
    this.#listener.level(-100);
    this.#listener.changed();
  }

  #setState(state: HookState, problem: SessionError | null = null): void {
    const { hook } = this.#env;
    hook.state = state;
    hook.error = problem === null ? null : { reason: problem.reason, text: errorText(problem) };
    this.#listener.changed();
  }
}

function asSessionError(error: unknown): SessionError {
  if (error instanceof SessionError) return error;
  return new SessionError("unsupported", error instanceof Error ? error.message : "");
}

function aborted(signal: AbortSignal): Promise<SessionError> {
  return new Promise((resolve) =>
    signal.addEventListener("abort", () => resolve(new SessionError("lost")), { once: true }),
  );
}
