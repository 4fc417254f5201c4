import { expect, test } from "vitest";

import { errorText, SessionError, type SessionReason } from "./errors";
import { emptyHook, type BrowserRecord, type ProbeHook } from "./probe_hook";
import { milli } from "./units";
import { offsetText, stateText } from "./words";

test("while retrying it says why, and when it tries again", () => {
  const hook: ProbeHook = {
    ...emptyHook(),
    state: "retrying",
    error: { reason: "lost", text: "The connection was lost." },
  };
  expect(stateText(hook, milli(4000))).toBe("The connection was lost. Trying again in 4 s.");
  expect(stateText(hook, milli(500))).toBe("The connection was lost. Trying again in a moment.");
  expect(stateText({ ...hook, error: null }, null)).toBe("Connecting again");
});

test("a face that stutters is said to, from the browser's own count", () => {
  const browser = { frames_per_second: 12 } as BrowserRecord;
  const hook: ProbeHook = { ...emptyHook(), state: "live" };
  expect(stateText(hook, null)).toContain("speak");
  expect(stateText({ ...hook, browser }, null)).toContain("fewer than 25 pictures");
  expect(stateText({ ...hook, browser: { ...browser, frames_per_second: 25 } }, null)).toContain("speak");
});

test("every reason has its own text, and the server's words reach the person", () => {
  const reasons: SessionReason[] = [
    ...([
      "unsupported",
      "microphone-denied",
      "microphone-missing",
      "microphone-in-use",
      "unreachable",
      "starting",
    ] as const),
    ...(["busy", "identity", "refused", "nonsense", "no-path", "lost"] as const),
  ];
  const texts = reasons.map((reason) => errorText(new SessionError(reason)));
  expect(new Set(texts).size).toBe(reasons.length);
  expect(errorText(new SessionError("refused", "the offer has no audio"))).toContain("the offer has no audio");
});

test("the A/V offset says which comes first", () => {
  expect(offsetText(null)).toBe("–");
  expect(offsetText(0.4)).toBe("together");
  expect(offsetText(12.6)).toBe("voice 13 ms later");
  expect(offsetText(-7)).toBe("voice 7 ms sooner");
});
