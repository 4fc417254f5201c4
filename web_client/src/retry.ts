/** When to try again after a connection failed. Pure. */
import type { SessionError } from "./errors";
import { milli, type Milli } from "./units";

const FIRST_MS = 500;
const LONGEST_MS = 8000;
const ATTEMPTS = 8;

/**
 * How long to wait before attempt number `attempt` (1 is the first retry), or null to give up.
 *
 * Doubles from half a second to eight, never shorter than the server asked for; a little over a half minute in all.
 */
export function retryDelay(error: SessionError, attempt: number): Milli | null {
  if (!error.passing || attempt > ATTEMPTS) return null;
  const backoff = Math.min(LONGEST_MS, FIRST_MS * 2 ** (attempt - 1));
  return milli(Math.max(backoff, error.retryAfterMs ?? 0));
}
