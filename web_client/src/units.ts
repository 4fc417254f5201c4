/** A duration, or an instant on the `performance.now()` clock, in milliseconds. */
export type Milli = number & { readonly unit: "ms" };
/** An instant on the session's audio clock, in milliseconds; 0 is the first sample that the server heard. */
export type MediaMilli = number & { readonly unit: "media-ms" };

export function milli(value: number): Milli {
  return value as Milli;
}

export function mediaMilli(value: number): MediaMilli {
  return value as MediaMilli;
}
