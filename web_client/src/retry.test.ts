import { expect, test } from "vitest";

import { SessionError } from "./errors";
import { retryDelay } from "./retry";
import { milli } from "./units";

test("waits grow from half a second to eight, then it gives up", () => {
  const waits = Array.from({ length: 9 }, (_, i) => retryDelay(new SessionError("lost"), i + 1));
  expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 8000, 8000, 8000, null]);
});

test("never comes sooner than the server asked", () => {
  expect(retryDelay(new SessionError("busy", "", milli(5000)), 1)).toBe(5000);
  expect(retryDelay(new SessionError("busy", "", milli(100)), 1)).toBe(500);
});

test("what a person must change first is not tried again", () => {
  expect(retryDelay(new SessionError("microphone-denied"), 1)).toBeNull();
  expect(retryDelay(new SessionError("refused"), 1)).toBeNull();
  expect(retryDelay(new SessionError("identity"), 1)).toBeNull();
});
