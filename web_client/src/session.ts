/** One WebRTC session with the server: the voice goes out, the face and the voice in its time come back. */
import { ControlChannel, type Timer } from "./control";
import { SessionError } from "./errors";
import { withPtime } from "./sdp";
import type { Server, SessionOptions } from "./server_api";
import { milli } from "./units";
import type { ServerMessage } from "./wire";

/** Candidates of this machine are there in milliseconds; only a silent STUN server makes us wait so long. */
const GATHERING_LIMIT_MS = milli(1000);
const CONNECTING_LIMIT_MS = milli(12_000);
/** A lost Wi-Fi cell often comes back within this time. */
const DISCONNECTED_LIMIT_MS = milli(3000);
const PACKET_MS = 10;

/** What `openSession` needs of the browser. */
export interface Browser {
  createPeer(configuration: RTCConfiguration): RTCPeerConnection;
  createStream(track: MediaStreamTrack): MediaStream;
  timer: Timer;
}

export interface SessionRequest {
  server: Server;
  identity: string;
  options: SessionOptions;
  microphone: MediaStream;
  iceServers: RTCIceServer[];
  onMessage(message: ServerMessage): void;
}

export interface Session {
  readonly id: string;
  readonly lookaheadMs: number;
  readonly control: ControlChannel;
  readonly peer: RTCPeerConnection;
  /** The face and the voice, in streams of their own: in one stream the browser would delay the face to the voice. */
  readonly video: MediaStream;
  readonly voice: MediaStream;
  readonly videoReceiver: RTCRtpReceiver;
  readonly voiceReceiver: RTCRtpReceiver;
  /** Resolves when the connection is lost; never if `signal` ended the session. */
  readonly lost: Promise<SessionError>;
  /** Send another microphone from now on, without a new connection. */
  replaceMicrophone(microphone: MediaStream): Promise<void>;
}

/**
 * Open a session and wait until voice and face can flow.
 *
 * @param signal - Ends the session, while connecting or later. The only way to close it.
 * @throws {SessionError} If the server refuses, is out of reach, answers nonsense, or no media path is found.
 */
export async function openSession(request: SessionRequest, signal: AbortSignal, browser: Browser): Promise<Session> {
  signal.throwIfAborted();
  const peer = browser.createPeer({ iceServers: request.iceServers, bundlePolicy: "max-bundle" });
  const closing = new AbortController();
  const close = (): void => {
    closing.abort();
    peer.close();
  };
  signal.addEventListener("abort", close, { once: true });
  try {
    return await connect(peer, request, signal, closing.signal, browser);
  } catch (error) {
    signal.removeEventListener("abort", close);
    close();
    signal.throwIfAborted(); // an error that the abort itself caused is told as the abort
    throw error;
  }
}

async function connect(
  peer: RTCPeerConnection,
  request: SessionRequest,
  signal: AbortSignal,
  closed: AbortSignal,
  browser: Browser,
): Promise<Session> {
  const { server, microphone, identity, options } = request;
  const [track] = microphone.getAudioTracks();
  if (track === undefined) throw new SessionError("microphone-missing");
  const audio = peer.addTransceiver(track, { direction: "sendrecv", streams: [microphone] });
  const video = peer.addTransceiver("video", { direction: "recvonly" });
  for (const { receiver } of [audio, video]) askForNoBuffer(receiver);
  const channel = peer.createDataChannel("control");
  const control = new ControlChannel(channel, closed, browser.timer, request.onMessage);
  const lost = whenLost(peer, channel, closed, browser.timer);
  const offer = await gatherOffer(peer, closed, browser.timer);
  const answer = await server.open(withPtime(offer, PACKET_MS), identity, options, signal);
  closed.addEventListener("abort", () => server.close(answer.id), { once: true });
  try {
    await peer.setRemoteDescription({ type: "answer", sdp: withPtime(answer.sdp, PACKET_MS) });
  } catch (error) {
    throw new SessionError("nonsense", error instanceof Error ? error.message : "");
  }
  await Promise.race([whenConnected(peer, closed, browser.timer), lost.then(noPath)]);
  return {
    id: answer.id,
    lookaheadMs: answer.lookahead_ms,
    control,
    peer,
    video: browser.createStream(video.receiver.track),
    voice: browser.createStream(audio.receiver.track),
    videoReceiver: video.receiver,
    voiceReceiver: audio.receiver,
    lost,
    replaceMicrophone: async (next) => audio.sender.replaceTrack(next.getAudioTracks()[0] ?? null),
  };
}

function askForNoBuffer(receiver: RTCRtpReceiver): void {
  if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
}

/** Make the offer and wait for this machine's candidates; the offer as it then stands. */
async function gatherOffer(peer: RTCPeerConnection, closed: AbortSignal, timer: Timer): Promise<string> {
  const offer = await peer.createOffer();
  await peer.setLocalDescription(offer);
  await new Promise<void>((resolve) => {
    const done = (): void => {
      if (peer.iceGatheringState === "complete") resolve();
    };
    peer.addEventListener("icegatheringstatechange", done);
    const cancel = timer.after(GATHERING_LIMIT_MS, resolve);
    closed.addEventListener("abort", () => (cancel(), resolve()), { once: true });
    done();
  });
  return peer.localDescription?.sdp ?? "";
}

function noPath(error: SessionError): never {
  throw new SessionError("no-path", error.detail);
}

function whenConnected(peer: RTCPeerConnection, closed: AbortSignal, timer: Timer): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = timer.after(CONNECTING_LIMIT_MS, () => reject(new SessionError("no-path", "no answer in time")));
    const look = (): void => {
      if (peer.connectionState !== "connected") return;
      cancel();
      resolve();
    };
    peer.addEventListener("connectionstatechange", look, { signal: closed });
    const give = (): void => (cancel(), reject(new SessionError("lost")));
    closed.addEventListener("abort", give, { once: true });
    look();
  });
}

/** Resolves when the server is gone for good; stays open for ever once `closed` aborts. */
function whenLost(
  peer: RTCPeerConnection,
  channel: RTCDataChannel,
  closed: AbortSignal,
  timer: Timer,
): Promise<SessionError> {
  return new Promise((resolve) => {
    const hungUp = (): void => resolve(new SessionError("lost", "the server ended the session"));
    channel.addEventListener("close", hungUp, { signal: closed });
    let cancel = (): void => undefined;
    const look = (): void => {
      cancel();
      const state = peer.connectionState;
      if (state === "failed" || state === "closed") resolve(new SessionError("lost", state));
      if (state === "disconnected")
        cancel = timer.after(DISCONNECTED_LIMIT_MS, () => resolve(new SessionError("lost")));
    };
    peer.addEventListener("connectionstatechange", look, { signal: closed });
    closed.addEventListener("abort", () => cancel(), { once: true });
  });
}
