// The candidates: a button each, with a bar for the probability of a character.

import {currentLanguage, say} from "./messages.js";

const SPOKEN = 3; // candidates that are read out

/**
 * @typedef {{text: string, probability?: number}} Row what a button inserts; a word has no probability
 */

/** Shows rows as buttons in `list`; `choose` is told the number of the one that is pressed. */
export function showCandidates(list, rows, choose) {
  list.replaceChildren(...rows.map((row, number) => itemOf(row, () => choose(number))));
  list.classList.toggle("words", rows.some(({probability}) => probability === undefined));
  list.scrollLeft = 0;
}

/** Returns what is read out of rows. */
export function spokenList(rows) {
  return rows.slice(0, SPOKEN).map(spoken).join(currentLanguage() === "ja" ? "、" : "; ");
}

function itemOf(row, press) {
  const button = document.createElement("button");
  button.type = "button";
  button.ariaLabel = spoken(row);
  button.dataset.character = row.text;
  const [glyph, bar, share] = ["b", "i", "small"].map((tag) => document.createElement(tag));
  glyph.textContent = row.text;
  button.append(glyph);
  if (row.probability !== undefined) {
    bar.style.setProperty("--share", row.probability);
    share.textContent = percent(row.probability);
    button.append(bar, share);
  }
  button.addEventListener("click", press);
  const item = document.createElement("li");
  item.append(button);
  return item;
}

function spoken({text, probability}) {
  if (probability === undefined) return text;
  return say("candidate", {character: text, percent: Math.round(100 * probability)});
}

function percent(probability) {
  if (probability < 0.001) return "<0.1%";
  return `${(100 * probability).toFixed(probability < 0.0995 ? 1 : 0)}%`;
}
