/** The cards of the faces to choose from, and the upload of a new one. */
import { byId, make, tell } from "./dom";
import { errorText, PhotoError, SessionError } from "./errors";
import type { Identity, Server } from "./server_api";

export class FacesView {
  readonly #server: Server;
  readonly #onChoice: (identity: Identity) => void;
  readonly #cards = byId("cards", HTMLFieldSetElement);
  readonly #drop = byId("drop", HTMLLabelElement);
  readonly #problem = byId("photo-problem", HTMLParagraphElement);
  #identities: Identity[] = [];

  /** `onChoice` is called when the person chooses a face, also by uploading one. */
  constructor(server: Server, onChoice: (identity: Identity) => void) {
    this.#server = server;
    this.#onChoice = onChoice;
    const input = byId("photo", HTMLInputElement);
    input.addEventListener("change", () => {
      const photo = input.files?.[0];
      input.value = ""; // so that choosing the same file again counts as a change
      if (photo) void this.#upload(photo);
    });
    this.#acceptDrops();
  }

  get identities(): readonly Identity[] {
    return this.#identities;
  }

  show(identities: readonly Identity[], chosen: string): void {
    this.#identities = [...identities];
    this.#cards.querySelectorAll(".card").forEach((card) => card.remove());
    for (const identity of identities) this.#add(identity, identity.id === chosen);
  }

  /** Mark a face as chosen, as when the server refused another. */
  choose(id: string): void {
    for (const input of this.#cards.querySelectorAll("input")) input.checked = input.value === id;
  }

  #add(identity: Identity, checked: boolean): void {
    const card = make("label");
    card.className = "card";
    const input = make("input");
    Object.assign(input, { type: "radio", name: "face", value: identity.id, checked });
    input.addEventListener("change", () => this.#onChoice(identity));
    const picture = make("img");
    Object.assign(picture, { src: identity.photo.href, alt: "", loading: "lazy" });
    card.append(input, picture, make("span", identity.name));
    this.#cards.append(card);
  }

  #acceptDrops(): void {
    const over = (event: DragEvent, on: boolean): void => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault(); // or the browser would open the file instead of the page
      this.#drop.classList.toggle("over", on);
    };
    document.addEventListener("dragover", (event) => over(event, true));
    document.addEventListener("dragleave", (event) => over(event, false));
    document.addEventListener("drop", (event) => {
      over(event, false);
      const photo = event.dataTransfer?.files[0];
      if (photo) void this.#upload(photo);
    });
  }

  async #upload(photo: File): Promise<void> {
    const title = this.#drop.querySelector("b");
    if (title === null || this.#drop.classList.contains("working")) return;
    this.#working(title, "Learning the face", true);
    tell(this.#problem, "");
    try {
      const identity = await this.#server.enrol(photo, AbortSignal.timeout(60_000));
      const others = this.#identities.filter((other) => other.id !== identity.id);
      this.show([...others, identity], identity.id);
      this.#onChoice(identity);
    } catch (error) {
      tell(this.#problem, uploadProblem(error));
    } finally {
      this.#working(title, "Add a photo", false);
    }
  }

  #working(title: HTMLElement, text: string, on: boolean): void {
    title.textContent = text;
    this.#drop.classList.toggle("working", on);
  }
}

function uploadProblem(error: unknown): string {
  if (error instanceof PhotoError) return error.message;
  if (error instanceof SessionError) return errorText(error);
  return "The photo could not be sent in time. Try again, or take a smaller one.";
}
