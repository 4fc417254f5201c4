import type { Milli } from "./units";

/**
 * Why there is no face on the screen, one member for each thing a person can do about it.
 *
 * "unsupported": this browser has no WebRTC or no secure context. "microphone-*": getUserMedia refused.
 * "unreachable": no answer by HTTP. "starting": the server loads its model. "busy": it is full. "identity": it does
 * not know the chosen face.
 * "refused": it answered, and said no. "nonsense": its answer is not ours. "no-path": HTTP works, but no UDP path.
 * "lost": a live connection ended that nobody ended.
 */
export type SessionReason =
  | "unsupported"
  | "microphone-denied"
  | "microphone-missing"
  | "microphone-in-use"
  | "unreachable"
  | "starting"
  | "busy"
  | "identity"
  | "refused"
  | "nonsense"
  | "no-path"
  | "lost";

/** The reasons that may go away by themselves: a retry makes sense. */
const PASSING: ReadonlySet<SessionReason> = new Set(["unreachable", "starting", "busy", "no-path", "lost"]);

export class SessionError extends Error {
  override readonly name = "SessionError";
  readonly reason: SessionReason;
  /** What the server said, if it said something a person can read. */
  readonly detail: string;
  /** How long the server asks us to wait; null if it did not say. */
  readonly retryAfterMs: Milli | null;

  constructor(reason: SessionReason, detail = "", retryAfterMs: Milli | null = null) {
    super(detail ? `${reason}: ${detail}` : reason);
    this.reason = reason;
    this.detail = detail;
    this.retryAfterMs = retryAfterMs;
  }

  get passing(): boolean {
    return PASSING.has(this.reason);
  }
}

/** A photo cannot become a face. `message` is the server's own advice, meant for people. */
export class PhotoError extends Error {
  override readonly name = "PhotoError";
  readonly code: string;

  constructor(code: string, advice: string) {
    super(advice);
    this.code = code;
  }
}

/** One text for each reason, as the page shows it. */
export function errorText(error: SessionError): string {
  switch (error.reason) {
    case "unsupported":
      return (
        "This browser cannot make live calls from this page. Use a current Chrome, Edge, Firefox or Safari, and open " +
        "the page by https:// or on localhost: browsers give the microphone to no other page."
      );
    case "microphone-denied":
      return (
        "The microphone is blocked for this page. Allow it with the microphone or lock sign in the address bar, " +
        "then press Start again."
      );
    case "microphone-missing":
      return "No microphone was found. Plug one in, or choose another in the list, then press Start again.";
    case "microphone-in-use":
      return "The microphone could not be opened. Another program may hold it: close that, then press Start again.";
    case "unreachable":
      return "The server does not answer. Check that visavis is running and that you are online.";
    case "starting":
      return "The server is still getting ready.";
    case "busy":
      return "All places on this server are taken.";
    case "identity":
      return "The server does not know this face any more. Choose another, or upload the photo again.";
    case "refused":
      return `The server refused the call: ${error.detail || "it gave no reason"}`;
    case "nonsense":
      return "The answer did not come from a visavis server, or from one of another version. Reload the page.";
    case "no-path":
      return (
        "The server answers, but sound and picture find no way to it. A firewall may block UDP: ask whoever runs the " +
        "server to set up TURN (visavis doctor tells how)."
      );
    case "lost":
      return "The connection was lost.";
  }
}
