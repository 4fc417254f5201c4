/** The server by HTTP: `Server` is the only place that knows its addresses. */
import { PhotoError, SessionError } from "./errors";
import { milli, type Milli } from "./units";
import { asFields, list, number, text, type Fields } from "./wire";

export interface SessionOptions {
  /** Name of the system that draws; the server's own if left out. */
  system?: string;
  lookahead_ms?: number;
  idle?: boolean;
  voice?: boolean;
}

export interface SessionAnswer {
  id: string;
  sdp: string;
  lookahead_ms: number;
}

export interface Identity {
  id: string;
  name: string;
  /** Address of a small picture. */
  photo: URL;
  /** Uploaded by a user, not shipped. */
  uploaded: boolean;
}

export interface SystemInfo {
  name: string;
  /** It draws unless a session asks for another. */
  active: boolean;
  /** Side of the square picture. */
  frame_px: number;
  /** Look-aheads to choose from, rising. */
  lookaheads_ms: number[];
  controls: ReadonlySet<string>;
}

export const PHOTO_LIMIT_BYTES = 10_000_000;

export type Fetch = (input: URL, init?: RequestInit) => Promise<Response>;

export class Server {
  readonly #base: URL;
  readonly #fetch: Fetch;

  /** `base` is where the server's page lies, e.g. http://127.0.0.1:8080/ */
  constructor(base: URL, fetch: Fetch) {
    this.#base = base;
    this.#fetch = fetch;
  }

  /**
   * Offer a session.
   *
   * @throws {SessionError} "busy" when full, "identity" for an unknown face, "refused" otherwise; "unreachable".
   */
  async open(offerSdp: string, identity: string, options: SessionOptions, signal: AbortSignal): Promise<SessionAnswer> {
    const body = JSON.stringify({ sdp: offerSdp, type: "offer", identity, options });
    const headers = { "content-type": "application/json" };
    const response = await this.#call("v1/sessions", { method: "POST", headers, body, signal });
    const fields = await readFields(response);
    if (!response.ok) throw refusal(response, fields);
    const answer = { id: text(fields, "id"), sdp: text(fields, "sdp"), lookahead_ms: number(fields, "lookahead_ms") };
    if (!answer.id || !answer.sdp.startsWith("v=0")) throw new SessionError("nonsense");
    return answer;
  }

  /** End a session. Works while the page is closing; a failure changes nothing for us, so it is not told. */
  close(id: string): void {
    const request = this.#fetch(this.#at(`v1/sessions/${encodeURIComponent(id)}`), {
      method: "DELETE",
      keepalive: true,
    });
    request.catch(() => undefined);
  }

  async identities(signal: AbortSignal): Promise<Identity[]> {
    const fields = await this.#read("v1/identities", signal);
    return list(fields, "identities").flatMap((entry) => this.#identity(asFields(entry)));
  }

  /**
   * Send a photo.
   *
   * @throws {PhotoError} With the server's advice, or ours where the file is too big to be sent at all.
   */
  async enrol(photo: File, signal: AbortSignal): Promise<Identity> {
    if (photo.size > PHOTO_LIMIT_BYTES) {
      const size = (photo.size / 1_000_000).toFixed(1);
      throw new PhotoError(
        "too_large",
        `The file has ${size} MB; at most 10 MB are taken. Save it smaller, or as JPEG.`,
      );
    }
    const body = new FormData();
    body.append("photo", photo);
    const response = await this.#call("v1/identities", { method: "POST", body, signal });
    const fields = await readFields(response);
    if (!response.ok) {
      const problem = asFields(fields["error"]) ?? {};
      throw new PhotoError(
        text(problem, "code"),
        text(problem, "message") || `The server refused it (${response.status}).`,
      );
    }
    const [identity] = this.#identity(fields);
    if (!identity) throw new SessionError("nonsense");
    return identity;
  }

  /** The systems to choose from, the active one first. */
  async systems(signal: AbortSignal): Promise<SystemInfo[]> {
    const fields = await this.#read("v1/systems", signal);
    const systems = list(fields, "systems").flatMap((entry) => systemInfo(asFields(entry)));
    return systems.sort((a, b) => Number(b.active) - Number(a.active));
  }

  async iceServers(signal: AbortSignal): Promise<RTCIceServer[]> {
    const fields = await this.#read("v1/config", signal);
    return list(fields, "ice_servers").flatMap((entry) => iceServer(asFields(entry)));
  }

  #identity(fields: Fields | null): Identity[] {
    if (fields === null || !text(fields, "id")) return [];
    const id = text(fields, "id");
    const photo = this.#at(text(fields, "photo") || `v1/identities/${encodeURIComponent(id)}/photo`);
    return [{ id, name: text(fields, "name") || id, photo, uploaded: fields["demo"] !== true }];
  }

  async #read(path: string, signal: AbortSignal): Promise<Fields> {
    const response = await this.#call(path, { signal });
    const fields = await readFields(response);
    if (!response.ok) throw refusal(response, fields);
    return fields;
  }

  async #call(path: string, init: RequestInit): Promise<Response> {
    try {
      return await this.#fetch(this.#at(path), init);
    } catch (error) {
      init.signal?.throwIfAborted();
      throw new SessionError("unreachable", error instanceof Error ? error.message : "");
    }
  }

  #at(path: string): URL {
    return new URL(path, this.#base);
  }
}

async function readFields(response: Response): Promise<Fields> {
  try {
    return asFields(await response.json()) ?? {};
  } catch {
    return {};
  }
}

function refusal(response: Response, fields: Fields): SessionError {
  const problem = asFields(fields["error"]) ?? {};
  const detail = text(problem, "message") || `status ${response.status}`;
  const reason = text(problem, "code") === "busy" ? "busy" : "starting";
  if (response.status === 503) return new SessionError(reason, detail, retryAfter(response.headers.get("retry-after")));
  if (response.status === 404) return new SessionError("identity", detail);
  if (response.status >= 500) return new SessionError("unreachable", detail);
  return new SessionError("refused", detail);
}

/** The `Retry-After` header in its seconds form. */
function retryAfter(header: string | null): Milli | null {
  const seconds = Number(header ?? "x");
  return Number.isFinite(seconds) && seconds >= 0 ? milli(seconds * 1000) : null;
}

function systemInfo(fields: Fields | null): SystemInfo[] {
  if (fields === null || !text(fields, "name")) return [];
  const lookaheads_ms = list(fields, "lookahead_ms").filter((ms) => typeof ms === "number");
  const controls = new Set(list(fields, "controls").filter((name) => typeof name === "string"));
  const [name, frame_px] = [text(fields, "name"), number(fields, "frame_px")];
  return [{ name, active: fields["active"] === true, frame_px, lookaheads_ms, controls }];
}

function iceServer(fields: Fields | null): RTCIceServer[] {
  if (fields === null) return [];
  const urls = fields["urls"];
  const addresses = (Array.isArray(urls) ? urls : [urls]).filter((url) => typeof url === "string");
  if (addresses.length === 0) return [];
  const server: RTCIceServer = { urls: addresses };
  if (text(fields, "username")) server.username = text(fields, "username");
  if (text(fields, "credential")) server.credential = text(fields, "credential");
  return [server];
}
