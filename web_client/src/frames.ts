/** Tells when each picture of a video element lights up. */

/** What `requestVideoFrameCallback` says of a picture from the network; instants on the page's clock. */
export interface ShownFrame {
  rtpTimestamp: number;
  presentedMs: number;
  expectedDisplayMs: number;
  receivedMs: number;
  processingMs: number;
}

/**
 * Call `onFrame` for every picture until `signal` aborts.
 *
 * A browser without `requestVideoFrameCallback` tells only that the first picture came: `null`, once.
 */
export function watchFrames(
  video: HTMLVideoElement,
  signal: AbortSignal,
  onFrame: (frame: ShownFrame | null) => void,
): void {
  if (!("requestVideoFrameCallback" in video)) {
    (video as EventTarget).addEventListener("playing", () => onFrame(null), { once: true, signal });
    return;
  }
  let handle = 0;
  const next = (_now: number, frame: VideoFrameCallbackMetadata): void => {
    if (signal.aborted) return;
    handle = video.requestVideoFrameCallback(next);
    if (frame.rtpTimestamp === undefined) return onFrame(null);
    onFrame({
      rtpTimestamp: frame.rtpTimestamp,
      presentedMs: frame.presentationTime,
      expectedDisplayMs: frame.expectedDisplayTime,
      receivedMs: frame.receiveTime ?? 0,
      processingMs: (frame.processingDuration ?? 0) * 1000,
    });
  };
  handle = video.requestVideoFrameCallback(next);
  signal.addEventListener("abort", () => video.cancelVideoFrameCallback(handle), { once: true });
}
