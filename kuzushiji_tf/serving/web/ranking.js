// From probabilities to an answer: ranked candidates, or "not a character"; as `Repertoire` and `Reading` in Python do.

import {areClear, UNPLACED} from "./placement.js";

const ALWAYS = 5; // candidates are offered, however improbable
const LEAST = 0.001; // probability of those after them

/**
 * Ranks what a recognizer saw.
 *
 * Look-alikes stand together, the more probable first, and their sum decides where; what size and place have told apart
 * stands where its own probability puts it. The characters of a single script share out what the others were given.
 *
 * @param {Float32Array} probabilities one a class
 * @param {object} classes the model's `classes.json`: `characters`; `told_apart`, how many of them are classes, the
 *     others being variants that are none; `variants`, the place and the form of each variant; `target`, the character
 *     of each class, -1 for "not a character"; `groups`, equal for look-alikes; `scripts`, the characters of each;
 *     `threshold`, the least probability at which a drawing is no character
 * @param {{script?: string, odds?: Record<string, number>, count?: number}} options `script`: `all`, or the only one
 *     that may answer; `odds` of the forms, as `formOdds` returns them; at most `count` candidates
 * @returns {{isUnknown: boolean, candidates: {character: string, probability: number, group: number}[]}} best first;
 *     look-alikes have the same group
 */
export function rank(probabilities, classes, {script = "all", odds = UNPLACED, count = 10} = {}) {
  const {characters, target, scripts, threshold} = classes;
  const shares = new Float64Array(characters.length);
  let unknown = 0;
  probabilities.forEach((value, index) => {
    const probability = Math.min(1, Math.max(0, value)); // rounding may leave it a little outside
    if (target[index] < 0) unknown += probability;
    else shares[target[index]] += probability;
  });
  const offered = new Set(script === "all" ? characters.keys() : scripts[script]);
  shareOut(shares, classes, offered, odds);
  const total = sum([...offered].map((index) => shares[index]));
  const scale = script === "all" ? 1 : total > 0 ? (1 - unknown) / total : 0;
  const groups = rankedTogether(classes, odds);
  const pooled = new Map();
  for (const index of offered) pooled.set(groups[index], (pooled.get(groups[index]) ?? 0) + shares[index]);
  const before = (a, b) => pooled.get(groups[b]) - pooled.get(groups[a]) || groups[a] - groups[b] || shares[b] - shares[a];
  const candidates = [...offered]
    .sort(before)
    .slice(0, count)
    .map((index) => ({
      character: characters[index],
      probability: Math.min(1, shares[index] * scale),
      group: classes.groups[index],
    }));
  return {isUnknown: target.includes(-1) && unknown >= threshold, candidates};
}

/** Shares what look-alikes were given among them and their variant; takes away what is not offered. */
function shareOut(shares, {told_apart: toldApart, groups, variants}, offered, odds) {
  for (const [variant, form] of variants) {
    const isClass = variant < toldApart;
    if (!isClass && odds[form] === 0) offered.delete(variant);
    if (!offered.has(variant)) continue;
    const alike = [...groups.keys()].filter((index) => index < toldApart && groups[index] === groups[variant]);
    const rivals = alike.filter((index) => offered.has(index));
    const given = (rivals.length ? rivals : alike).map((index) => shares[index]);
    if (isClass) shares[variant] *= odds[form] / UNPLACED[form];
    else shares[variant] = odds[form] * Math.max(...given);
    const together = new Set([...rivals, variant]);
    const scale = sum(given) / Math.max(sum([...together].map((index) => shares[index])), Number.MIN_VALUE);
    for (const index of together) shares[index] *= scale;
  }
}

/** The groups of the characters, equal for look-alikes, but for variants that the odds tell apart. */
function rankedTogether({characters, groups, variants}, odds) {
  const together = [...groups];
  for (const [variant, form] of variants) if (areClear(odds[form])) together[variant] = characters.length + variant;
  return together;
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

/** Leaves out the candidates that nobody would choose. */
export function worthOffering(candidates) {
  return candidates.filter(({probability}, place) => place < ALWAYS || probability >= LEAST);
}
