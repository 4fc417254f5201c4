import { expect, test } from "vitest";

import { PhotoError, SessionError } from "./errors";
import { FakeHttp, json } from "./fakes";
import { Server } from "./server_api";

const BASE = new URL("http://face.test/app/");
const NEVER = new AbortController().signal;

function server(answers: Record<string, () => Response>): { server: Server; http: FakeHttp } {
  const http = new FakeHttp(answers);
  return { server: new Server(BASE, http.fetch), http };
}

async function problem(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => null,
    (error: unknown) => error,
  );
}

test("an offer goes out with identity and options, the answer comes back", async () => {
  const answer = { id: "s1", sdp: "v=0\r\n", type: "answer", lookahead_ms: 80 };
  const { server: api, http } = server({ "POST /app/v1/sessions": () => json(answer, 201) });
  expect(await api.open("v=0", "ada", { system: "tavce", idle: false }, NEVER)).toEqual({
    ...{ id: "s1", sdp: "v=0\r\n", lookahead_ms: 80 },
  });
  const body = { sdp: "v=0", type: "offer", identity: "ada", options: { system: "tavce", idle: false } };
  expect(http.calls).toEqual([{ method: "POST", path: "/app/v1/sessions", body }]);
});

test.each([
  [503, "busy", "busy", 7000],
  [503, "not_ready", "starting", 7000],
  [404, "unknown_identity", "identity", null],
  [422, "no_audio", "refused", null],
  [500, "internal", "unreachable", null],
])("status %d with code %s is told as %s", async (status, code, reason, retryAfterMs) => {
  const answer = (): Response => json({ error: { code, message: "because" } }, status, { "retry-after": "7" });
  const { server: api } = server({ "POST /app/v1/sessions": answer });
  const error = await problem(api.open("v=0", "ada", {}, NEVER));
  expect(error).toBeInstanceOf(SessionError);
  expect(error).toMatchObject({ reason, detail: "because", retryAfterMs });
});

test("no answer at all is unreachable, a foreign answer is nonsense", async () => {
  expect(await problem(server({}).server.open("v=0", "ada", {}, NEVER))).toMatchObject({ reason: "unreachable" });
  const html = (): Response => new Response("<html>", { status: 200 });
  const { server: api } = server({ "POST /app/v1/sessions": html });
  expect(await problem(api.open("v=0", "ada", {}, NEVER))).toMatchObject({ reason: "nonsense" });
});

test("identities without an id are passed over, a photo's address is made absolute", async () => {
  const identities = [
    { id: "ada", name: "Ada", demo: true, photo: "/v1/identities/ada/photo" },
    { name: "?" },
    { id: "b c" },
  ];
  const { server: api } = server({ "GET /app/v1/identities": () => json({ identities }) });
  expect(await api.identities(NEVER)).toEqual([
    { id: "ada", name: "Ada", uploaded: false, photo: new URL("http://face.test/v1/identities/ada/photo") },
    { id: "b c", name: "b c", uploaded: true, photo: new URL("http://face.test/app/v1/identities/b%20c/photo") },
  ]);
});

test("a refused photo is told in the server's own words", async () => {
  const refusal = { error: { code: "no_face", message: "No face was found: use a sharper photo." } };
  const { server: api } = server({ "POST /app/v1/identities": () => json(refusal, 422) });
  const error = await problem(api.enrol(new File(["x"], "cat.jpg"), NEVER));
  expect(error).toBeInstanceOf(PhotoError);
  expect(error).toMatchObject({ code: "no_face", message: "No face was found: use a sharper photo." });
});

test("a photo over 10 MB is not sent at all", async () => {
  const { server: api, http } = server({});
  const error = await problem(api.enrol(new File([new Uint8Array(12_300_000)], "big.jpg"), NEVER));
  expect(error).toMatchObject({ code: "too_large", message: expect.stringContaining("12.3 MB") as unknown });
  expect(http.calls).toEqual([]);
});

test("the photo is sent as the form field photo", async () => {
  const { server: api, http } = server({ "POST /app/v1/identities": () => json({ id: "u1", name: "me" }, 201) });
  expect((await api.enrol(new File(["abc"], "me.jpg"), NEVER)).id).toBe("u1");
  const form = http.calls[0]?.body as FormData;
  expect((form.get("photo") as File).name).toBe("me.jpg");
});

test("systems without a name are passed over, the active one comes first", async () => {
  const visavis = { name: "visavis", frame_px: 256, lookahead_ms: [0, 40], controls: ["jawOpen"] };
  const tavce = { name: "tavce", frame_px: 128, lookahead_ms: [133], controls: [] };
  const systems = [{ ...tavce, active: false }, { frame_px: 64 }, 3, { ...visavis, active: true }];
  const { server: api } = server({ "GET /app/v1/systems": () => json({ systems }) });
  expect(await api.systems(NEVER)).toEqual([
    { name: "visavis", active: true, frame_px: 256, lookaheads_ms: [0, 40], controls: new Set(["jawOpen"]) },
    { name: "tavce", active: false, frame_px: 128, lookaheads_ms: [133], controls: new Set() },
  ]);
});

test("ICE servers pass with their credentials, others do not", async () => {
  const ice_servers = [{ urls: ["turn:t.test"], username: "u", credential: "c" }, { urls: "stun:s.test" }, {}, 3];
  const { server: api } = server({ "GET /app/v1/config": () => json({ ice_servers }) });
  expect(await api.iceServers(NEVER)).toEqual([
    { urls: ["turn:t.test"], username: "u", credential: "c" },
    { urls: ["stun:s.test"] },
  ]);
});

test("an aborted request is told as the abort, not as an unreachable server", async () => {
  const end = new AbortController();
  const api = new Server(BASE, async () => {
    end.abort();
    throw new TypeError("network");
  });
  expect(await problem(api.identities(end.signal))).toMatchObject({ name: "AbortError" });
});
