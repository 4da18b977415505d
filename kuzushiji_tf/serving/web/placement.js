// What the ink's box in the pad says of small kana and marks, which are drawn as others are; docs/ink.md specifies it.
// Python's twin is `recognition/placement.py`.

const SIZE = 10; // by how much the logarithm of the odds falls with the longer side of the ink's box, in sides of the cell
const PLACE = 12; // by how much it rises with the distance from the middle, towards the lower left or the upper right
const EVEN = {small: 0.3, mark: 0.2}; // the longer side, in the middle of the cell, of which the odds are even
const SUREST = 3.5; // the logarithm never gets farther from 0: 97 %
const CLEAR = 5; // odds so high, or as low as 1 to 5, have told a variant from what looks the same
// In a line the neighbors tell how large its writer writes, and where a line lies: size says more.
const EVEN_IN_LINE = {small: 0.6, mark: 0.3};
export const UNPLACED = {small: 0, mark: 0.25, line: 0.4}; // where no pad is known; what has odds of 0 is not offered

export const areClear = (odds) => odds >= CLEAR || odds <= 1 / CLEAR;

const clip = (value, least, most) => Math.min(Math.max(value, least), most);

/**
 * Returns the odds of each form, against the large character that looks the same.
 *
 * @param {number[][][]} strokes lists of `[x, y]` in the unit of the pad, (0, 0) its top left corner, y down
 * @param {[number, number]} pad its width and height
 * @returns {Record<string, number>}
 */
export function formOdds(strokes, pad) {
  const cell = Math.min(...pad);
  const sides = [];
  const [x, y] = pad.map((side, axis) => {
    const places = strokes.flat().map((point) => clip(point[axis], 0, side));
    const low = places.reduce((least, place) => Math.min(least, place));
    const high = places.reduce((most, place) => Math.max(most, place));
    sides.push(high - low);
    const fromMiddle = (low + high - side) / 2;
    const toCell = clip(fromMiddle, (cell - side) / 2, (side - cell) / 2); // how far an oblong pad's cell has moved
    return (fromMiddle - toCell) / cell;
  });
  return oddsOf(Math.max(...sides) / cell, Math.abs(x - y), EVEN);
}

/**
 * Returns the odds of each form for a character of a line.
 *
 * @param {number} size the longer side of its box, in sides of the line's cells
 * @param {number} place how far it lies from the middle of the line, in these: down in a horizontal one, to the right in
 *     a vertical one
 * @returns {Record<string, number>}
 */
export function oddsInLine(size, place) {
  return oddsOf(size, place, EVEN_IN_LINE);
}

function oddsOf(size, place, evens) {
  const odds = {...UNPLACED};
  for (const [form, even] of Object.entries(evens)) {
    odds[form] = Math.exp(clip(SIZE * (even - size) + PLACE * place, -SUREST, SUREST));
  }
  return odds;
}
