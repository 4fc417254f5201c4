import { describe, expect, test } from "vitest";

import { FakeHttp, FakePeer, FakeStream, json, ManualTimer, OFFER_SDP, settle } from "./fakes";
import { Server } from "./server_api";
import { openSession, type Session } from "./session";

const ANSWER = { id: "s1", sdp: OFFER_SDP, type: "answer", lookahead_ms: 40 };

interface Attempt {
  peer: FakePeer;
  http: FakeHttp;
  timer: ManualTimer;
  microphone: FakeStream;
  end: AbortController;
  result: Promise<Session>;
}

async function attempt(setUp: (peer: FakePeer) => void = () => undefined, status = 201): Promise<Attempt> {
  const [peer, timer, microphone, end] = [new FakePeer(), new ManualTimer(), new FakeStream(), new AbortController()];
  setUp(peer);
  const http = new FakeHttp({
    "POST /v1/sessions": () => json(status === 201 ? ANSWER : { error: { code: "busy", message: "full" } }, status),
    "DELETE /v1/sessions/s1": () => new Response(null, { status: 204 }),
  });
  const server = new Server(new URL("http://face.test/"), http.fetch);
  const request = { server, identity: "ada", options: {}, iceServers: [], onMessage: () => undefined };
  const createStream = (track: MediaStreamTrack): MediaStream => ({ only: track.kind }) as unknown as MediaStream;
  const browser = { createPeer: () => peer.asPeer(), createStream, timer };
  const result = openSession({ ...request, microphone: microphone.asStream() }, end.signal, browser);
  result.catch(() => undefined);
  await settle();
  return { peer, http, timer, microphone, end, result };
}

async function connected(): Promise<Attempt & { session: Session }> {
  const made = await attempt();
  made.peer.become("connected");
  return { ...made, session: await made.result };
}

test("one line carries the voice both ways, the face comes on its own", async () => {
  const { peer, microphone, session } = await connected();
  expect(peer.transceivers.map(({ kind, direction }) => [kind, direction])).toEqual([
    ["audio", "sendrecv"],
    ["video", "recvonly"],
  ]);
  expect(peer.transceivers[0]?.sender.track).toBe(microphone.track);
  expect([session.video, session.voice]).toEqual([{ only: "video" }, { only: "audio" }]);
});

test("both receivers are asked for no buffer, and both sides for 10 ms packets", async () => {
  const { peer, http } = await connected();
  expect(peer.transceivers.map(({ receiver }) => receiver.jitterBufferTarget)).toEqual([0, 0]);
  expect(http.calls[0]?.body).toMatchObject({ sdp: expect.stringContaining("a=ptime:10") as unknown, identity: "ada" });
  expect(peer.remoteSdp).toContain("a=ptime:10");
});

test("the offer waits for candidates, but for no longer than a second", async () => {
  const { peer, http, timer } = await attempt((fake) => (fake.slowGathering = true));
  expect(http.calls).toEqual([]);
  timer.pass(999);
  await settle();
  expect(http.calls).toEqual([]);
  timer.pass(1);
  await settle();
  expect(http.calls).toHaveLength(1);
  peer.become("connected");
});

test("the offer goes out as soon as the candidates are there", async () => {
  const { peer, http } = await attempt((fake) => (fake.slowGathering = true));
  peer.gathered();
  await settle();
  expect(http.calls).toHaveLength(1);
});

describe("when opening fails, the peer is closed and the error says why:", () => {
  test("the server is full", async () => {
    const { peer, result } = await attempt(undefined, 503);
    await expect(result).rejects.toMatchObject({ reason: "busy", detail: "full" });
    expect(peer.closed).toBe(true);
  });

  test("no media path is found in time; the server is told to let go", async () => {
    const { peer, http, timer, result } = await attempt();
    timer.pass(12_000);
    await expect(result).rejects.toMatchObject({ reason: "no-path" });
    expect(peer.closed).toBe(true);
    expect(http.calls.at(-1)).toMatchObject({ method: "DELETE", path: "/v1/sessions/s1" });
  });

  test("ICE fails", async () => {
    const { peer, result } = await attempt();
    peer.become("failed");
    await expect(result).rejects.toMatchObject({ reason: "no-path" });
  });

  test("the answer cannot be applied", async () => {
    const refuse = async (): Promise<void> => Promise.reject(new DOMException("bad", "InvalidAccessError"));
    const { peer, result } = await attempt((fake) => (fake.setRemoteDescription = refuse));
    await expect(result).rejects.toMatchObject({ reason: "nonsense" });
    expect(peer.closed).toBe(true);
  });
});

test("aborting while connecting rejects with the abort and leaves nothing open", async () => {
  const { peer, timer, end, result } = await attempt();
  end.abort();
  await expect(result).rejects.toMatchObject({ name: "AbortError" });
  expect(peer.closed).toBe(true);
  expect(timer.pending).toBe(0);
});

test("aborting a live session closes the peer and tells the server, and is no loss", async () => {
  const { peer, http, end, session } = await connected();
  const losses: unknown[] = [];
  void session.lost.then((error) => losses.push(error));
  end.abort();
  peer.channel.end();
  await settle();
  expect(peer.closed).toBe(true);
  expect(http.calls.at(-1)).toMatchObject({ method: "DELETE", path: "/v1/sessions/s1" });
  expect(losses).toEqual([]);
});

describe("a live session is lost", () => {
  test("when the connection fails", async () => {
    const { peer, session } = await connected();
    peer.become("failed");
    expect(await session.lost).toMatchObject({ reason: "lost" });
  });

  test("when the server hangs up the data channel", async () => {
    const { peer, session } = await connected();
    peer.channel.end();
    expect(await session.lost).toMatchObject({ reason: "lost" });
  });

  test("when it stays disconnected for three seconds, and not when it comes back before", async () => {
    const { peer, timer, session } = await connected();
    const losses: unknown[] = [];
    void session.lost.then((error) => losses.push(error));
    peer.become("disconnected");
    timer.pass(2900);
    peer.become("connected");
    timer.pass(5000);
    await settle();
    expect(losses).toEqual([]);
    peer.become("disconnected");
    timer.pass(3000);
    await settle();
    expect(losses).toHaveLength(1);
  });
});

test("another microphone replaces the first without a new connection", async () => {
  const { peer, http, session } = await connected();
  const other = new FakeStream();
  await session.replaceMicrophone(other.asStream());
  expect(peer.transceivers[0]?.sender.track).toBe(other.track);
  expect(http.calls).toHaveLength(1);
});
