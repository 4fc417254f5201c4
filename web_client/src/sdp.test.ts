import { expect, test } from "vitest";

import { OFFER_SDP } from "./fakes";
import { withPtime } from "./sdp";

test("the packet time lands in the audio section only, once, and replaces another", () => {
  const sdp = withPtime(OFFER_SDP, 20);
  const once = withPtime(sdp, 10);
  expect(once.match(/a=ptime:\d+/g)).toEqual(["a=ptime:10"]);
  const [audio = "", video = ""] = once.split(/(?=m=)/).slice(1);
  expect(audio.endsWith("a=rtpmap:111 opus/48000/2\r\na=ptime:10\r\n")).toBe(true);
  expect(video).toBe(OFFER_SDP.slice(OFFER_SDP.indexOf("m=video")));
});

test("a description without audio stays as it is", () => {
  const sdp = OFFER_SDP.slice(OFFER_SDP.indexOf("m=video"));
  expect(withPtime(sdp, 10)).toBe(sdp);
});
