import { beforeEach, expect, test } from "vitest";

import { Call, type CallChoice } from "./call";
import { FakeHttp, FakePeer, FakeStream, json, ManualTimer, OFFER_SDP, settle } from "./fakes";
import type { ShownFrame } from "./frames";
import { DEFAULT_MICROPHONE } from "./microphone";
import { emptyHook, type ProbeHook } from "./probe_hook";
import { Server } from "./server_api";

const CHOICE: CallChoice = { identity: "ada", microphone: DEFAULT_MICROPHONE, options: { lookahead_ms: 40 } };

let peers: FakePeer[];
let streams: FakeStream[];
let timer: ManualTimer;
let hook: ProbeHook;
let http: FakeHttp;
let onFrame: (frame: ShownFrame | null) => void;
let shown: (MediaStream | null)[];
let notices: string[];
let call: Call;
let status: number;
let microphone: () => Promise<FakeStream>;

beforeEach(() => {
  [peers, streams, timer, hook, shown, notices, status] = [[], [], new ManualTimer(), emptyHook(), [], [], 201];
  microphone = async () => {
    const stream = new FakeStream();
    streams.push(stream);
    return stream;
  };
  const answer = { id: "s1", sdp: OFFER_SDP, lookahead_ms: 40 };
  http = new FakeHttp({
    "GET /v1/config": () => json({ ice_servers: [] }),
    "POST /v1/sessions": () =>
      status === 201
        ? json(answer, 201)
        : json({ error: { code: "busy", message: "full" } }, status, { "retry-after": "3" }),
    "DELETE /v1/sessions/s1": () => new Response(null, { status: 204 }),
  });
  const createPeer = (): RTCPeerConnection => {
    const peer = new FakePeer();
    peers.push(peer);
    return peer.asPeer();
  };
  const context = { resume: () => new Promise(() => undefined), suspend: async () => undefined }; // waits for a click
  const env = {
    server: new Server(new URL("http://face.test/"), http.fetch),
    browser: { createPeer, createStream: (track: MediaStreamTrack) => ({ track }) as unknown as MediaStream, timer },
    media: { getUserMedia: () => microphone() } as unknown as MediaDevices,
    screen: {
      show: (video: MediaStream | null) => shown.push(video),
      watch: (_signal: AbortSignal, callback: typeof onFrame) => (onFrame = callback),
    },
    createAudioContext: () => context as unknown as AudioContext,
    workletUrl: new URL("http://face.test/level_worklet.js"),
    hook,
  };
  call = new Call(env, {
    changed: () => undefined,
    level: () => undefined,
    notice: ({ message }) => notices.push(message),
  });
});

function peer(): FakePeer {
  const last = peers.at(-1);
  if (last === undefined) throw new Error("no connection was tried");
  return last;
}

async function goLive(): Promise<void> {
  call.start(CHOICE);
  await settle();
  await connect();
}

async function connect(): Promise<void> {
  peer().become("connected");
  peer().channel.open();
  peer().channel.receive({ t: "hello", session: "s1", identity: "ada", lookahead_ms: 40, controls: [] });
  await settle();
  onFrame(null);
}

test("goes from idle over connecting to live, and back to idle with everything let go", async () => {
  expect(hook.state).toBe("idle");
  call.start(CHOICE);
  expect(hook.state).toBe("microphone");
  await settle();
  expect(hook.state).toBe("connecting");
  await connect();
  expect([hook.state, hook.identity, hook.connections]).toEqual(["live", "ada", 1]);
  call.stop();
  await settle();
  expect(hook.state).toBe("idle");
  expect([peer().closed, streams[0]?.track.stopped, shown.at(-1), call.running]).toEqual([true, true, null, false]);
  expect(timer.pending).toBe(0);
});

test("a dropped connection is made again with the same microphone, face and controls", async () => {
  await goLive();
  call.setIdentity("noor");
  call.setControls({ headYaw: 7 });
  peer().channel.end();
  await settle();
  expect(hook.state).toBe("retrying");
  expect(hook.error?.text).toBe("The connection was lost.");
  expect(call.retryInMs).toBe(500);
  timer.pass(500);
  await settle();
  expect(peers).toHaveLength(2);
  expect(http.calls.at(-1)?.body).toMatchObject({ identity: "noor" });
  await connect();
  expect([hook.state, hook.connections, streams.length]).toEqual(["live", 2, 1]);
  expect(peer().channel.sent).toContainEqual({ t: "controls", values: { headYaw: 7 } });
});

test("pictures prove that a connection works: the next loss is retried as soon as the first", async () => {
  await goLive();
  for (let loss = 0; loss < 3; loss++) {
    peer().channel.end();
    await settle();
    expect(call.retryInMs).toBe(500);
    timer.pass(500);
    await settle();
    await connect();
  }
  peer().channel.end();
  await settle();
  timer.pass(500);
  await settle();
  peer().become("failed"); // no picture came this time
  await settle();
  expect(call.retryInMs).toBe(1000);
});

test("a full server is tried again when it asked us to, and at once when the person presses Try now", async () => {
  status = 503;
  call.start(CHOICE);
  await settle();
  expect([hook.state, hook.error?.reason, call.retryInMs]).toEqual(["retrying", "busy", 3000]);
  status = 201;
  call.retryNow();
  await settle();
  await connect();
  expect(hook.state).toBe("live");
});

test("after eight fruitless attempts it gives up and says why", async () => {
  status = 503;
  call.start(CHOICE);
  for (let i = 0; i < 8; i++) {
    await settle();
    timer.pass(8000);
  }
  await settle();
  expect([hook.state, hook.error?.reason, call.running]).toEqual(["failed", "busy", false]);
  expect(streams[0]?.track.stopped).toBe(true);
});

test("a refused microphone fails at once, and Start works again afterwards", async () => {
  const allowed = microphone;
  microphone = async () => Promise.reject(new DOMException("no", "NotAllowedError"));
  call.start(CHOICE);
  await settle();
  expect([hook.state, hook.error?.reason]).toEqual(["failed", "microphone-denied"]);
  expect(peers).toHaveLength(0);
  microphone = allowed;
  await goLive();
  expect([hook.state, hook.error]).toEqual(["live", null]);
});

test("an unplugged microphone ends the call and says so", async () => {
  await goLive();
  streams[0]?.track.dispatchEvent(new Event("ended"));
  await settle();
  expect([hook.state, hook.error?.reason, peer().closed]).toEqual(["failed", "microphone-missing", true]);
});

test("another microphone takes over within the call", async () => {
  await goLive();
  await call.setMicrophone({ ...DEFAULT_MICROPHONE, deviceId: "usb" });
  expect(peer().transceivers[0]?.sender.track).toBe(streams[1]?.track);
  expect([streams[0]?.track.stopped, streams[1]?.track.stopped, hook.state]).toEqual([true, false, "live"]);
});

test("if the other microphone cannot be opened, the first goes on", async () => {
  await goLive();
  microphone = async () => Promise.reject(new DOMException("busy", "NotReadableError"));
  await expect(call.setMicrophone(DEFAULT_MICROPHONE)).rejects.toMatchObject({ reason: "microphone-in-use" });
  expect([streams[0]?.track.stopped, hook.state]).toEqual([false, "live"]);
});

test("a face is swapped by a message, confirmed by the server's", async () => {
  await goLive();
  call.setIdentity("noor");
  expect(peer().channel.sent).toContainEqual({ t: "identity", id: "noor" });
  expect(hook.identity).toBe("ada");
  peer().channel.receive({ t: "identity", id: "noor" });
  expect([hook.identity, hook.connections]).toEqual(["noor", 1]);
});

test("the server's notices and errors reach the person", async () => {
  await goLive();
  peer().channel.receive({ t: "error", code: "unknown_identity", message: "There is no face “x”." });
  expect(notices).toEqual(["There is no face “x”."]);
});

test("starting again while a call runs ends the first", async () => {
  await goLive();
  const [first] = peers;
  await goLive();
  expect([first?.closed, streams[0]?.track.stopped, hook.state, hook.connections]).toEqual([true, true, "live", 2]);
});
