/** Typed access to the page's elements. */

/** The element with this id; throws if the markup and the code no longer agree. */
export function byId<T extends HTMLElement>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new TypeError(`index.html has no ${type.name} with id "${id}"`);
  return element;
}

/** A new element with a text. */
export function make<K extends keyof HTMLElementTagNameMap>(tag: K, text = ""): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

/** Show a text in an element, or hide the element when there is none. */
export function tell(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = text === "";
}

/** Change an element's text, if it is another: assistive technology hears of every change. */
export function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}
