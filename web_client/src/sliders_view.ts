/** The sliders of the page and the choice of an emotion above them. */
import type { ControlValues } from "./control";
import { byId, make } from "./dom";
import { controlValues, EMOTIONS, SLIDERS, usable, valueText, type Slider } from "./sliders";

export class SlidersView {
  readonly #inputs = new Map<Slider, { input: HTMLInputElement; output: HTMLOutputElement }>();
  readonly #emotion = byId("emotion", HTMLSelectElement);
  readonly #onChange: (values: ControlValues) => void;

  constructor(onChange: (values: ControlValues) => void) {
    this.#onChange = onChange;
    this.#emotion.append(...EMOTIONS.map(([name, label]) => new Option(label, name)));
    this.#emotion.addEventListener("change", () => this.#onChange({ emotion: this.#emotion.value }));
    const home = byId("sliders", HTMLDivElement);
    for (const slider of SLIDERS) home.append(this.#make(slider));
    byId("reset", HTMLButtonElement).addEventListener("click", () => this.#reset());
  }

  /** Hide what the system does not obey. */
  obey(controls: ReadonlySet<string>): void {
    for (const [slider, { input }] of this.#inputs) show(input, usable(slider, controls));
    show(this.#emotion, controls.size === 0 || controls.has("emotion"));
  }

  #make(slider: Slider): HTMLLabelElement {
    const row = make("label");
    row.className = "slider";
    const input = make("input");
    const { min, max, step, rest } = slider;
    Object.assign(input, { type: "range", id: `slider-${slider.id}`, min, max, step, value: rest });
    input.dataset["slider"] = slider.id;
    const output = make("output");
    output.htmlFor.add(input.id);
    input.addEventListener("input", () => this.#set(slider, input.valueAsNumber));
    row.addEventListener("dblclick", () => this.#set(slider, slider.rest));
    row.append(make("span", slider.label), output, input);
    this.#inputs.set(slider, { input, output });
    this.#draw(slider, rest);
    return row;
  }

  #reset(): void {
    this.#emotion.selectedIndex = 0;
    if (shown(this.#emotion)) this.#onChange({ emotion: this.#emotion.value });
    for (const [slider, { input }] of this.#inputs) if (shown(input)) this.#set(slider, slider.rest);
  }

  #set(slider: Slider, value: number): void {
    this.#draw(slider, value);
    this.#onChange(controlValues(slider, value));
  }

  #draw(slider: Slider, value: number): void {
    const row = this.#inputs.get(slider);
    if (row === undefined) return;
    const share = (v: number): number => ((v - slider.min) / (slider.max - slider.min)) * 100;
    row.input.valueAsNumber = value;
    row.input.ariaValueText = valueText(slider, value);
    row.output.textContent = valueText(slider, value);
    row.input.style.setProperty("--from", `${Math.min(share(value), share(slider.rest))}%`);
    row.input.style.setProperty("--to", `${Math.max(share(value), share(slider.rest))}%`);
  }
}

/** Show or hide the row of a slider or a choice. */
function show(field: HTMLElement, visible: boolean): void {
  const row = field.closest("label");
  if (row) row.hidden = !visible;
}

function shown(field: HTMLElement): boolean {
  return field.closest("label")?.hidden !== true;
}
