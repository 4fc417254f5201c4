/** Pure edits of session descriptions. */

/**
 * Ask for `ptimeMs` per audio packet in every audio section.
 *
 * In an offer it says what we like to get; in an answer, what the other side likes to get, which Chrome's Opus encoder
 * obeys: 10 ms instead of 20 ms packets save 10 ms of waiting.
 */
export function withPtime(sdp: string, ptimeMs: number): string {
  const sections = sdp.split(/(?=^m=)/m);
  return sections.map((section) => (section.startsWith("m=audio") ? setPtime(section, ptimeMs) : section)).join("");
}

function setPtime(section: string, ptimeMs: number): string {
  const lines = section.split("\r\n").filter((line) => !/^a=(max)?ptime:/.test(line));
  const end = lines.at(-1) === "" ? lines.length - 1 : lines.length;
  lines.splice(end, 0, `a=ptime:${ptimeMs}`);
  return lines.join("\r\n");
}
