/**
 * The SDK, built to `visavis.js`: `import { openSession, TalkingFace } from "https://server/visavis.js"`.
 * Importing it in a browser defines `<talking-face>`.
 */
import { defineTalkingFace } from "./talking_face";

export { browserEnvironment } from "./browser";
export { Call, type CallChoice, type CallEnvironment, type CallListener, type Screen } from "./call";
export { BROWSER_TIMER, ControlChannel } from "./control";
export { errorText, PhotoError, SessionError, type SessionReason } from "./errors";
export { DEFAULT_MICROPHONE, listMicrophones, openMicrophone, watchMicrophone } from "./microphone";
export { emptyHook, type ProbeHook } from "./probe_hook";
export { Server, type Identity, type SessionOptions } from "./server_api";
export { openSession, type Browser, type Session, type SessionRequest } from "./session";
export { TalkingFace } from "./talking_face";

if (globalThis.customElements) defineTalkingFace();
