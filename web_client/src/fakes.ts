/** Small stand-ins for browser objects; used by tests only, never bundled. */
import { decode, encode } from "@msgpack/msgpack";

import type { Timer } from "./control";
import type { Fetch } from "./server_api";
import type { Milli } from "./units";

/** A timer that goes off when told to. */
export class ManualTimer implements Timer {
  #now = 0;
  #entries: { at: number; action: () => void }[] = [];

  after(delay: Milli, action: () => void): () => void {
    const entry = { at: this.#now + delay, action };
    this.#entries.push(entry);
    return () => {
      this.#entries = this.#entries.filter((other) => other !== entry);
    };
  }

  get pending(): number {
    return this.#entries.length;
  }

  /** Let time pass; what is due happens in order. */
  pass(duration_ms: number): void {
    const end = this.#now + duration_ms;
    for (;;) {
      const due = this.#entries.filter((entry) => entry.at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#now = due.at;
      this.#entries = this.#entries.filter((entry) => entry !== due);
      due.action();
    }
    this.#now = end;
  }
}

export class FakeChannel extends EventTarget {
  binaryType: BinaryType = "blob";
  readyState: RTCDataChannelState = "connecting";
  readonly sent: unknown[] = [];

  send(data: Uint8Array): void {
    this.sent.push(decode(data));
  }

  open(): void {
    this.readyState = "open";
    this.dispatchEvent(new Event("open"));
  }

  /** The server hangs up. */
  end(): void {
    this.readyState = "closed";
    this.dispatchEvent(new Event("close"));
  }

  receive(message: unknown): void {
    const bytes = encode(message);
    this.receiveBytes(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  }

  receiveBytes(data: ArrayBuffer): void {
    this.dispatchEvent(new MessageEvent("message", { data }));
  }

  asChannel(): RTCDataChannel {
    return this as unknown as RTCDataChannel;
  }
}

export const OFFER_SDP = [
  ...["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0"],
  ...["m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0", "a=rtpmap:111 opus/48000/2"],
  ...["m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:1", "a=rtpmap:96 VP8/90000", ""],
].join("\r\n");

interface FakeTransceiver {
  kind: string;
  direction: string;
  sender: { track: unknown; replaceTrack(track: unknown): Promise<void> };
  receiver: { track: { kind: string }; jitterBufferTarget: number | null; getSynchronizationSources(): [] };
}

export class FakePeer extends EventTarget {
  connectionState: RTCPeerConnectionState = "new";
  iceGatheringState: RTCIceGatheringState = "new";
  localDescription: { sdp: string } | null = null;
  remoteSdp = "";
  closed = false;
  /** Candidates come only when `gathered` is called. */
  slowGathering = false;
  readonly channel = new FakeChannel();
  readonly transceivers: FakeTransceiver[] = [];

  addTransceiver(what: string | { kind: string }, { direction }: { direction: string }): FakeTransceiver {
    const kind = typeof what === "string" ? what : what.kind;
    const sender = {
      track: typeof what === "string" ? null : (what as unknown),
      async replaceTrack(track: unknown): Promise<void> {
        sender.track = track;
      },
    };
    const receiver = { track: { kind }, jitterBufferTarget: null, getSynchronizationSources: (): [] => [] };
    const transceiver = { kind, direction, sender, receiver };
    this.transceivers.push(transceiver);
    return transceiver;
  }

  createDataChannel(): FakeChannel {
    return this.channel;
  }

  async createOffer(): Promise<{ sdp: string }> {
    return { sdp: OFFER_SDP };
  }

  async setLocalDescription(description: { sdp: string }): Promise<void> {
    this.localDescription = description;
    if (!this.slowGathering) this.gathered();
  }

  async setRemoteDescription({ sdp }: { sdp: string }): Promise<void> {
    if (!sdp.includes("m=")) throw new DOMException("no media", "InvalidAccessError");
    this.remoteSdp = sdp;
  }

  async getStats(): Promise<Map<string, unknown>> {
    return new Map();
  }

  gathered(): void {
    this.iceGatheringState = "complete";
    this.dispatchEvent(new Event("icegatheringstatechange"));
  }

  become(state: RTCPeerConnectionState): void {
    this.connectionState = state;
    this.dispatchEvent(new Event("connectionstatechange"));
  }

  close(): void {
    this.closed = true;
    this.connectionState = "closed";
  }

  asPeer(): RTCPeerConnection {
    return this as unknown as RTCPeerConnection;
  }
}

export class FakeTrack extends EventTarget {
  readonly kind = "audio";
  stopped = false;

  stop(): void {
    this.stopped = true;
  }
}

export class FakeStream {
  readonly track = new FakeTrack();

  getTracks(): FakeTrack[] {
    return [this.track];
  }

  getAudioTracks(): FakeTrack[] {
    return [this.track];
  }

  asStream(): MediaStream {
    return this as unknown as MediaStream;
  }
}

export interface Asked {
  method: string;
  path: string;
  body: unknown;
}

/** A server by HTTP: answers by path, notes what was asked. */
export class FakeHttp {
  readonly calls: Asked[] = [];
  readonly #answers: Record<string, () => Response>;

  /** Keys like "POST /v1/sessions". What is missing is out of reach. */
  constructor(answers: Record<string, () => Response>) {
    this.#answers = answers;
  }

  readonly fetch: Fetch = async (input, init) => {
    const method = init?.method ?? "GET";
    const body = typeof init?.body === "string" ? (JSON.parse(init.body) as unknown) : (init?.body ?? null);
    this.calls.push({ method, path: input.pathname, body });
    const answer = this.#answers[`${method} ${input.pathname}`];
    if (answer === undefined) throw new TypeError("fetch failed");
    return answer();
  };
}

export function json(value: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(value), { status, headers: { "content-type": "application/json", ...headers } });
}

/** Let every promise that can go on do so. */
export async function settle(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 0));
}
