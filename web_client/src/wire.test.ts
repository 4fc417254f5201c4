import { encode } from "@msgpack/msgpack";
import { expect, test } from "vitest";

import { decodeMessage, encodeMessage } from "./wire";

function bytes(value: unknown): ArrayBuffer {
  const view = encode(value);
  return view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
}

test("a hello is read, unknown keys and wrong types do no harm", () => {
  const message = decodeMessage(
    bytes({
      t: "hello",
      session: "s",
      identity: "ada",
      lookahead_ms: 40,
      controls: ["jawOpen", 7],
      video_rtp_origin: 9,
      new: 1,
    }),
  );
  const hello = { session: "s", system: "", identity: "ada", lookahead_ms: 40, controls: ["jawOpen"] };
  expect(message).toEqual({ t: "hello", hello: { ...hello, video_rtp_origin: 9, audio_rtp_origin: 0 } });
});

test("stats keep the stages in the server's order", () => {
  const stages = { receive: { p50: 1, p95: 2 }, render: { p50: 16, p95: 20 }, odd: 3, aaa: { p50: 0.5, p95: 0.6 } };
  const message = decodeMessage(
    bytes({ t: "stats", fps: 25, sent: 9, late: 1, dropped: 2, stages, audio: { lost: 4 } }),
  );
  if (message?.t !== "stats") throw new Error("not read as stats");
  expect(message.stats.stages).toEqual([
    { name: "receive", p50_ms: 1, p95_ms: 2 },
    { name: "render", p50_ms: 16, p95_ms: 20 },
    { name: "aaa", p50_ms: 0.5, p95_ms: 0.6 },
  ]);
  expect(message.stats).toMatchObject({ fps: 25, sent: 9, late: 1, dropped: 2, lost: 4, concealed: 0 });
});

test.each([
  [bytes(7)],
  [bytes([1])],
  [bytes({ t: "later" })],
  [new Uint8Array([0xc1, 0xff]).buffer],
  [new ArrayBuffer(0)],
])("what is no message of ours is nothing", (data) => {
  expect(decodeMessage(data)).toBeNull();
});

test("what the page sends is msgpack with the agreed keys", () => {
  const sent = encodeMessage({ t: "identity", id: "a" });
  expect([...sent]).toEqual([
    0x82,
    0xa1,
    0x74,
    0xa8,
    ...new TextEncoder().encode("identity"),
    0xa2,
    ...new TextEncoder().encode("id"),
    0xa1,
    0x61,
  ]);
});
