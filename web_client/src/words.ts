/** What the page says about a call. Pure. */
import type { ProbeHook } from "./probe_hook";
import type { Milli } from "./units";

/** Below this a person sees that the face stutters. */
const SLOW_FPS = 18;

/** The connection in words; announced to screen readers whenever it changes. */
export function stateText(hook: ProbeHook, retryInMs: Milli | null): string {
  switch (hook.state) {
    case "idle":
      return "Not connected";
    case "microphone":
      return "Asking for the microphone";
    case "connecting":
      return "Connecting";
    case "live":
      if (hook.browser !== null && hook.browser.frames_per_second < SLOW_FPS) {
        return "Live, but with fewer than 25 pictures a second: the server or the network is too slow or too busy.";
      }
      return "Live: speak, and the face speaks with you.";
    case "retrying": {
      if (retryInMs === null || hook.error === null) return "Connecting again";
      const wait = retryInMs < 1000 ? "a moment" : `${Math.round(retryInMs / 1000)} s`;
      return `${hook.error.text} Trying again in ${wait}.`;
    }
    case "failed":
      return hook.error?.text ?? "The call failed.";
  }
}

/** One short word or two for the pill in the header. */
export function stateLabel(hook: ProbeHook): string {
  const labels = {
    idle: "Ready",
    microphone: "Microphone?",
    connecting: "Connecting",
    live: "Live",
    retrying: "Reconnecting",
    failed: "Stopped",
  } as const;
  return labels[hook.state];
}

/** The A/V offset as a sentence fragment. */
export function offsetText(offsetMs: number | null): string {
  if (offsetMs === null) return "–";
  const size = Math.round(Math.abs(offsetMs));
  if (size < 1) return "together";
  return offsetMs > 0 ? `voice ${size} ms later` : `voice ${size} ms sooner`;
}
