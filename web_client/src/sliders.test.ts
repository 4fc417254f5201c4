import { expect, test } from "vitest";

import { controlValues, SLIDERS, usable, valueText } from "./sliders";

function slider(id: string): (typeof SLIDERS)[number] {
  const found = SLIDERS.find((candidate) => candidate.id === id);
  if (found === undefined) throw new Error(`no slider ${id}`);
  return found;
}

test("a slider moves all of its rig controls", () => {
  expect(controlValues(slider("yaw"), -12)).toEqual({ headYaw: -12 });
  expect(controlValues(slider("blink"), 0.7)).toEqual({ eyeBlinkLeft: 0.7, eyeBlinkRight: 0.7 });
  expect(controlValues(slider("lip-gain"), 1.5)).toEqual({ lipGain: 1.5 });
});

test("limits are the rig's", () => {
  const limits = Object.fromEntries(SLIDERS.map(({ id, min, max }) => [id, [min, max]]));
  expect(limits).toEqual({
    ...{ yaw: [-20, 20], pitch: [-15, 15], roll: [-20, 20], "gaze-yaw": [-25, 25], "gaze-pitch": [-20, 20] },
    ...{ blink: [0, 1], smile: [0, 1], "lip-gain": [0, 2], speech: [0, 2], emotion: [0, 1] },
  });
});

test("what a system does not obey has no slider", () => {
  const controls = new Set(["headYaw", "eyeBlinkLeft", "lipGain", "speechIntensity"]);
  expect(SLIDERS.filter((s) => usable(s, controls)).map(({ id }) => id)).toEqual([
    "yaw",
    "blink",
    "lip-gain",
    "speech",
  ]);
});

test("values read as a person says them", () => {
  expect(valueText(slider("yaw"), -8.5)).toBe("8.5° left");
  expect(valueText(slider("pitch"), 3)).toBe("3° up");
  expect(valueText(slider("roll"), 0)).toBe("0°");
  expect(valueText(slider("smile"), 0.424)).toBe("42 %");
  expect(valueText(slider("lip-gain"), 1)).toBe("1.00 ×");
});
