// From probabilities to an answer: ranked candidates, or "not a character"; as `Repertoire` and `Reading` in Python do.

const ALWAYS = 5; // candidates are offered, however improbable
const LEAST = 0.001; // probability of those after them

/**
 * Ranks what a recognizer saw.
 *
 * Look-alikes of different scripts stand together, the more probable first, and their sum decides where. The characters
 * of a single script share out what the others were given.
 *
 * @param {Float32Array} probabilities one a class
 * @param {object} classes the model's `classes.json`: `characters`; `target`, the character of each class, -1 for
 *     "not a character"; `groups`, equal for look-alikes; `scripts`, the characters of each; `threshold`, the least
 *     probability at which a drawing is no character
 * @param {string} script `all`, or the only script that may answer
 * @param {number} count at most so many candidates
 * @returns {{isUnknown: boolean, candidates: {character: string, probability: number}[]}} best first
 */
export function rank(probabilities, classes, script = "all", count = 10) {
  const {characters, target, groups, scripts, threshold} = classes;
  const known = new Float64Array(characters.length);
  let unknown = 0;
  probabilities.forEach((value, index) => {
    const probability = Math.min(1, Math.max(0, value)); // rounding may leave it a little outside
    if (target[index] < 0) unknown += probability;
    else known[target[index]] += probability;
  });
  const allowed = script === "all" ? [...characters.keys()] : scripts[script];
  const total = allowed.reduce((sum, index) => sum + known[index], 0);
  const share = script === "all" ? 1 : total > 0 ? (1 - unknown) / total : 0;
  const pooled = new Map();
  for (const index of allowed) pooled.set(groups[index], (pooled.get(groups[index]) ?? 0) + known[index]);
  const before = (a, b) => pooled.get(groups[b]) - pooled.get(groups[a]) || groups[a] - groups[b] || known[b] - known[a];
  const candidates = [...allowed]
    .sort(before)
    .slice(0, count)
    .map((index) => ({character: characters[index], probability: Math.min(1, known[index] * share)}));
  return {isUnknown: target.includes(-1) && unknown >= threshold, candidates};
}

/** Leaves out the candidates that nobody would choose. */
export function worthOffering(candidates) {
  return candidates.filter(({probability}, place) => place < ALWAYS || probability >= LEAST);
}
