import { expect, test } from "vitest";

import { FakeStream } from "./fakes";
import { decibels, DEFAULT_MICROPHONE, listMicrophones, openMicrophone } from "./microphone";

function media(answer: () => Promise<unknown>): { media: MediaDevices; asked: unknown[] } {
  const asked: unknown[] = [];
  const getUserMedia = async (constraints: unknown): Promise<unknown> => {
    asked.push(constraints);
    return answer();
  };
  return { media: { getUserMedia } as unknown as MediaDevices, asked };
}

test("asks for one channel, echo cancelled, of the chosen device and no other", async () => {
  const { media: devices, asked } = media(async () => new FakeStream());
  await openMicrophone(devices, { ...DEFAULT_MICROPHONE, deviceId: "usb" }, new AbortController().signal);
  const processing = { echoCancellation: true, noiseSuppression: false, autoGainControl: true };
  expect(asked).toEqual([{ audio: { ...processing, channelCount: 1, deviceId: { exact: "usb" } } }]);
});

test.each([
  ["NotAllowedError", "microphone-denied"],
  ["NotFoundError", "microphone-missing"],
  ["OverconstrainedError", "microphone-missing"],
  ["NotReadableError", "microphone-in-use"],
])("%s is told as %s", async (name, reason) => {
  const { media: devices } = media(async () => Promise.reject(new DOMException("no", name)));
  const opening = openMicrophone(devices, DEFAULT_MICROPHONE, new AbortController().signal);
  await expect(opening).rejects.toMatchObject({ reason });
});

test("a page without a secure context is told as unsupported", async () => {
  const opening = openMicrophone(undefined, DEFAULT_MICROPHONE, new AbortController().signal);
  await expect(opening).rejects.toMatchObject({ reason: "unsupported" });
});

test("the signal stops the microphone, also when it aborts while the person is being asked", async () => {
  const [stream, end] = [new FakeStream(), new AbortController()];
  await openMicrophone(media(async () => stream).media, DEFAULT_MICROPHONE, end.signal);
  expect(stream.track.stopped).toBe(false);
  end.abort();
  expect(stream.track.stopped).toBe(true);

  const [late, stop] = [new FakeStream(), new AbortController()];
  const answer = async (): Promise<FakeStream> => (stop.abort(), late);
  const opening = openMicrophone(media(answer).media, DEFAULT_MICROPHONE, stop.signal);
  await expect(opening).rejects.toMatchObject({ name: "AbortError" });
  expect(late.track.stopped).toBe(true);
});

test("only microphones with a name are listed", async () => {
  const devices = [
    { kind: "audioinput", deviceId: "a", label: "Desk" },
    { kind: "audioinput", deviceId: "", label: "" },
    { kind: "videoinput", deviceId: "v", label: "Camera" },
  ];
  const list = { enumerateDevices: async () => devices } as unknown as MediaDevices;
  expect(await listMicrophones(list)).toEqual([{ id: "a", label: "Desk" }]);
  expect(await listMicrophones(undefined)).toEqual([]);
});

test("levels are decibels below full scale", () => {
  expect(decibels(1)).toBe(0);
  expect(decibels(0.1)).toBeCloseTo(-20);
  expect(decibels(0)).toBe(-100);
});
