import { expect, test } from "vitest";

import { ControlChannel } from "./control";
import { FakeChannel, ManualTimer } from "./fakes";
import type { ServerMessage } from "./wire";

function open(): {
  channel: FakeChannel;
  control: ControlChannel;
  timer: ManualTimer;
  end: AbortController;
  got: ServerMessage[];
} {
  const [channel, timer, end, got] = [
    new FakeChannel(),
    new ManualTimer(),
    new AbortController(),
    [] as ServerMessage[],
  ];
  const control = new ControlChannel(channel.asChannel(), end.signal, timer, (message) => got.push(message));
  return { channel, control, timer, end, got };
}

test("controls set before the channel opens are sent when it does", () => {
  const { channel, control } = open();
  control.setControls({ headYaw: 3 });
  control.setControls({ headYaw: 5, jawOpen: 0.5 });
  expect(channel.sent).toEqual([]);
  channel.open();
  expect(channel.sent).toEqual([{ t: "controls", values: { headYaw: 5, jawOpen: 0.5 } }]);
});

test("a storm of slider events becomes 25 messages a second with the newest values", () => {
  const { channel, control, timer } = open();
  channel.open();
  for (let i = 1; i <= 100; i++) {
    control.setControls({ headYaw: i });
    timer.pass(10);
  }
  timer.pass(1000);
  expect(channel.sent).toHaveLength(26);
  expect(channel.sent.at(-1)).toEqual({ t: "controls", values: { headYaw: 100 } });
  expect(timer.pending).toBe(0);
});

test("only what changed is sent", () => {
  const { channel, control, timer } = open();
  channel.open();
  control.setControls({ headYaw: 1, headRoll: 2 });
  timer.pass(50);
  control.setControls({ headYaw: 1, headRoll: 3 });
  expect(channel.sent.at(-1)).toEqual({ t: "controls", values: { headRoll: 3 } });
});

test("an emotion goes by its name, beside numbers", () => {
  const { channel, control } = open();
  channel.open();
  control.setControls({ emotion: "happy", emotionIntensity: 0.6 });
  expect(channel.sent).toEqual([{ t: "controls", values: { emotion: "happy", emotionIntensity: 0.6 } }]);
});

test("messages are heard until the signal aborts, and garbage is passed over", () => {
  const { channel, end, got, timer, control } = open();
  channel.open();
  channel.receive({ t: "identity", id: "ada" });
  channel.receiveBytes(new Uint8Array([0xc1]).buffer);
  control.setControls({ headYaw: 1 });
  end.abort();
  channel.receive({ t: "identity", id: "noor" });
  expect(got).toEqual([{ t: "identity", id: "ada" }]);
  expect(timer.pending).toBe(0);
});

test("sending on a closed channel says so", () => {
  const { channel, control } = open();
  expect(control.send({ t: "interrupt" })).toBe(false);
  channel.open();
  expect(control.send({ t: "interrupt" })).toBe(true);
});
