// The line of chosen characters: inserting at the caret, deleting, copying; it outlives the page.

import {say} from "./messages.js";
import {remember, remembered} from "./preferences.js";

export class TextLine {
  #input;
  #backspace;
  #copy;

  /**
   * @param {{input: HTMLInputElement, backspace: HTMLButtonElement, copy: HTMLButtonElement}} elements
   * @param {{spoken: (sentence: string) => void, problem: (name: string|null) => void}} listeners
   */
  constructor({input, backspace, copy}, listeners) {
    this.#input = input;
    this.#backspace = backspace;
    this.#copy = copy;
    input.value = remembered("text") ?? ""; // a reload loses nothing
    input.addEventListener("input", () => this.#changed());
    backspace.addEventListener("click", () => this.#deleteBefore());
    copy.addEventListener("click", () => this.#copyAll(listeners));
    this.#changed();
  }

  insert(character) {
    const {selectionStart, selectionEnd} = this.#input;
    this.#input.setRangeText(character, selectionStart, selectionEnd, "end");
    this.#changed();
  }

  /** Deletes what is selected, or else the character before the caret. */
  #deleteBefore() {
    const {selectionStart, selectionEnd, value} = this.#input;
    const before = [...value.slice(0, selectionStart)].at(-1) ?? "";
    const start = selectionEnd > selectionStart ? selectionStart : selectionStart - before.length;
    this.#input.setRangeText("", start, selectionEnd, "end");
    this.#changed();
  }

  async #copyAll({spoken, problem}) {
    try {
      await navigator.clipboard.writeText(this.#input.value);
    } catch {
      this.#input.select();
      return problem("copyFailed");
    }
    problem(null);
    spoken(say("copied"));
    this.#copy.classList.add("done");
    setTimeout(() => this.#copy.classList.remove("done"), 1200);
  }

  #changed() {
    remember("text", this.#input.value);
    this.#backspace.disabled = this.#copy.disabled = this.#input.value === "";
    this.#input.scrollLeft = this.#input.scrollWidth;
  }
}
