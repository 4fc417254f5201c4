/** The sliders of the page and the rig controls they move. Pure. */
export interface Slider {
  id: string;
  label: string;
  /** What values below and above rest mean. */
  ends: readonly [string, string];
  min: number;
  max: number;
  step: number;
  rest: number;
  unit: "°" | "%" | "×";
  /** The rig controls that take the slider's value. */
  controls: readonly string[];
}

const NO_ENDS = ["", ""] as const;
const angle = (id: string, label: string, ends: readonly [string, string], limit: number, control: string): Slider => {
  return { id, label, ends, min: -limit, max: limit, step: 0.5, rest: 0, unit: "°", controls: [control] };
};
const shape = (id: string, label: string, controls: readonly string[]): Slider => {
  return { id, label, ends: NO_ENDS, min: 0, max: 1, step: 0.01, rest: 0, unit: "%", controls };
};

const gain = (id: string, label: string, control: string): Slider => {
  return { id, label, ends: NO_ENDS, min: 0, max: 2, step: 0.05, rest: 1, unit: "×", controls: [control] };
};

/** Names as in the server's `models/emotion.py`, and what the page calls them; the first is rest. */
export const EMOTIONS: readonly (readonly [string, string])[] = [
  ["neutral", "Neutral"],
  ["happy", "Happy"],
  ["sad", "Sad"],
  ["angry", "Angry"],
  ["afraid", "Afraid"],
  ["surprised", "Surprised"],
  ["disgusted", "Disgusted"],
];

/** Names and limits as in the server's rig; angles as the viewer sees them. */
export const SLIDERS: readonly Slider[] = [
  angle("yaw", "Turn", ["left", "right"], 20, "headYaw"),
  angle("pitch", "Nod", ["down", "up"], 15, "headPitch"),
  angle("roll", "Tilt", ["left", "right"], 20, "headRoll"),
  angle("gaze-yaw", "Gaze aside", ["left", "right"], 25, "gazeYaw"),
  angle("gaze-pitch", "Gaze height", ["down", "up"], 20, "gazePitch"),
  shape("blink", "Close eyes", ["eyeBlinkLeft", "eyeBlinkRight"]),
  shape("smile", "Smile", ["mouthSmileLeft", "mouthSmileRight"]),
  gain("lip-gain", "Lip movement", "lipGain"),
  gain("speech", "Liveliness", "speechIntensity"),
  { ...shape("emotion", "Emotion strength", ["emotionIntensity"]), rest: 1 },
];

/** The message values for a slider at `value`. */
export function controlValues(slider: Slider, value: number): Record<string, number> {
  return Object.fromEntries(slider.controls.map((name) => [name, value]));
}

/** Whether a system obeys a slider. */
export function usable(slider: Slider, controls: ReadonlySet<string>): boolean {
  return controls.size === 0 || slider.controls.some((name) => controls.has(name));
}

export function valueText(slider: Slider, value: number): string {
  if (slider.unit === "%") return `${Math.round(value * 100)} %`;
  if (slider.unit === "×") return `${value.toFixed(2)} ×`;
  const [below, above] = slider.ends;
  return value === slider.rest ? "0°" : `${Math.abs(value)}° ${value < slider.rest ? below : above}`;
}
