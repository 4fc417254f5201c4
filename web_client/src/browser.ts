/** The real browser, as `Call` wants it. The only file that reaches for globals. */
import type { CallEnvironment, Screen } from "./call";
import { BROWSER_TIMER } from "./control";
import type { ProbeHook } from "./probe_hook";
import { Server } from "./server_api";

/** `base` is where the server lies; `screen` shows the face; `hook` is filled with what is measured. */
export function browserEnvironment(base: URL, screen: Screen, hook: ProbeHook): CallEnvironment {
  return {
    server: new Server(base, (input, init) => fetch(input, init)),
    browser: {
      createPeer: (configuration) => new RTCPeerConnection(configuration),
      createStream: (track) => new MediaStream([track]),
      timer: BROWSER_TIMER,
    },
    media: navigator.mediaDevices as MediaDevices | undefined,
    screen,
    createAudioContext: () => new AudioContext({ latencyHint: "interactive" }),
    workletUrl: new URL("level_worklet.js", import.meta.url),
    hook,
  };
}
