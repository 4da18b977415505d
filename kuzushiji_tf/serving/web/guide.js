// How a character is written: KanjiVG's strokes, drawn one after the other, with their numbers.

import {fetchCounted} from "./downloads.js";
import {say} from "./messages.js";
import {compareStrokes} from "./order.js";

const SVG = "http://www.w3.org/2000/svg";
const BOX = 109; // KanjiVG's square
const SPEED = 110; // units a second
const PAUSE = 220; // milliseconds between strokes
const SAMPLES = 48; // points of a stroke that a drawing is compared with
const REMARKS = 3; // on a drawing, at most

const tables = new Map();

/** The part of the page that shows how one character is written. */
export class Guide {
  #elements;
  #shown = null; // {model, character}

  /** @param {Record<"drawing"|"about"|"order"|"steps"|"replay", HTMLElement>} elements */
  constructor(elements) {
    this.#elements = elements;
    elements.replay.addEventListener("click", () => this.retell());
  }

  /** Shows a character of a model's, unless it is shown already. */
  show(model, character) {
    if (character === this.#shown?.character && model === this.#shown.model) return;
    this.#shown = {model, character};
    this.retell();
  }

  clear() {
    this.#shown = null;
    this.uncheck();
    this.retell();
  }

  /**
   * Says what is wrong with the strokes that were drawn for the shown character, if anything.
   *
   * @param {number[][][]} drawn
   * @returns {Promise<Set<number>>} the numbers of the drawn strokes that something is wrong with
   */
  async check(drawn) {
    const shown = this.#shown;
    let strokes = null;
    try {
      strokes = shown && (await strokesOf(shown.model, shown.character));
    } catch {
      // the guide has said so
    }
    this.uncheck();
    if (!strokes || shown !== this.#shown) return new Set();
    const {writtenAs, remarks} = compareStrokes(drawn, strokes.map(([path]) => pointsOf(path)));
    const sentences = remarks.slice(0, REMARKS).map(({fault, stroke}) => say(fault, {number: stroke + 1}));
    this.#elements.order.textContent = sentences.join(" ") || say("orderFine");
    this.#elements.order.classList.toggle("wrong", remarks.length > 0);
    const wrong = remarks.map(({fault, stroke}) => (fault === "extra" ? stroke : writtenAs.indexOf(stroke)));
    return new Set(wrong.filter((number) => number >= 0));
  }

  uncheck() {
    this.#elements.order.textContent = "";
  }

  /** Shows the present character from the beginning, in the present language. */
  async retell() {
    const shown = this.#shown;
    if (!shown) return this.#fill(null, say("guideEmpty"));
    const {model, character} = shown;
    let strokes = null;
    try {
      strokes = await strokesOf(model, character);
    } catch (error) {
      console.warn(error); // the guide is an extra: without it the page still recognizes
    }
    if (shown !== this.#shown) return; // another character is shown by now
    if (!strokes) return this.#fill(null, say("guideMissing", {character}));
    this.#fill(strokes, say("guideAbout", {character, codePoint: codePointOf(character), count: strokes.length}));
    play(this.#elements.drawing, strokes);
  }

  #fill(strokes, sentence) {
    this.#elements.drawing.replaceChildren();
    this.#elements.steps.replaceChildren(...(strokes ? steps(strokes) : []));
    this.#elements.about.textContent = sentence;
    this.#elements.replay.hidden = !strokes;
  }
}

/**
 * Returns the strokes of a character: `[path, x, y]` each, x and y being the place of its number; null if there is none.
 *
 * @param {string} model whose classes the table covers; fetched once, when first asked for
 */
async function strokesOf(model, character) {
  if (!tables.has(model)) {
    const table = fetchCounted(`models/${model}/strokes.json`).then((response) => response.json());
    table.catch(() => tables.delete(model));
    tables.set(model, table);
  }
  return (await tables.get(model))[character] ?? null;
}

/** Returns points along an SVG path. */
function pointsOf(path) {
  const element = make("path", {d: path});
  const length = element.getTotalLength();
  return Array.from({length: SAMPLES}, (_, number) => {
    const {x, y} = element.getPointAtLength((number * length) / (SAMPLES - 1));
    return [x, y];
  });
}

/** Returns `U+3042` for `あ`. */
function codePointOf(text) {
  return [...text].map((character) => `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`).join(" ");
}

/** Fills `element` with the drawing of a character and plays it. */
function play(element, strokes) {
  const drawing = make("svg", {viewBox: `0 0 ${BOX} ${BOX}`});
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const paths = strokes.map(([path]) => make("path", {d: path, class: "ink"}));
  drawing.append(...strokes.map(([path]) => make("path", {d: path, class: "ghost"})), ...paths);
  const numbers = strokes.map(([, x, y], index) => {
    const number = make("text", {x, y});
    number.textContent = index + 1;
    return number;
  });
  drawing.append(...numbers);
  element.replaceChildren(drawing);
  if (calm) return;
  let start = 0;
  paths.forEach((path, index) => {
    const length = path.getTotalLength();
    const duration = Math.max(160, (length / SPEED) * 1000);
    const timing = {duration, delay: start, fill: "backwards", easing: "ease-in-out"};
    path.style.strokeDasharray = `${length} ${length + 8}`;
    path.animate([{strokeDashoffset: length, opacity: 1}, {strokeDashoffset: 0, opacity: 1}], timing);
    numbers[index].animate([{opacity: 0}, {opacity: 1}], {duration: 120, delay: start, fill: "backwards"});
    start += duration + PAUSE;
  });
}

/** Returns small drawings, one a stroke: what is written by then, the newest stroke marked. */
function steps(strokes) {
  return strokes.map((_, index) => {
    const drawing = make("svg", {viewBox: `0 0 ${BOX} ${BOX}`});
    const done = strokes.slice(0, index + 1);
    drawing.append(...done.map(([path], at) => make("path", {d: path, class: at === index ? "newest" : "ink"})));
    return drawing;
  });
}

function make(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
