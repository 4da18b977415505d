// Strokes as they were drawn against strokes as they are written: which is which, in what order and direction;
// docs/ink.md specifies it. Python's twin is `ink/stroke_order.py`.

import {boundingBox, distance, lengthOf, resample} from "./ink.js";

const POINTS = 16; // of a stroke that is compared
const FARTHEST = 0.3; // mean distance of two strokes that can be the same, in longer sides of the character's box
const TURNED = 0.15; // a stroke is drawn backward if that is so much nearer, in lengths of the stroke
const ROUNDS = 3; // of matching strokes and laying one character over the other
const LEAST_SIDE = 1e-6;

/**
 * Returns which strokes were drawn, and what is wrong with their number, order and direction.
 *
 * @param {number[][][]} drawn lists of `[x, y]` in any unit, y down, in the order of drawing
 * @param {number[][][]} model the same in the order of writing
 * @returns {{writtenAs: (number|null)[], remarks: {fault: "missing"|"extra"|"reversed"|"order", stroke: number}[]}}
 *     for each drawn stroke the number of the model's that it is; a remark's stroke is the model's, but of an extra one
 *     that as it was drawn
 */
export function compareStrokes(drawn, model) {
  const [ours, theirs] = [drawn, model].map((strokes) => inBox(strokes).map(evenly));
  let laid = ours;
  let writtenAs, forward, backward;
  for (let round = 0; round < ROUNDS; round++) {
    forward = distances(laid, theirs);
    backward = distances(laid.map((stroke) => stroke.toReversed()), theirs);
    const nearest = forward.map((row, number) => row.map((apart, other) => Math.min(apart, backward[number][other])));
    writtenAs = matched(nearest, theirs.length);
    const isTurned = (number, other) => backward[number][other] < forward[number][other];
    laid = laidOver(ours, theirs, writtenAs, isTurned);
  }
  const remarks = [];
  theirs.forEach((_, stroke) => writtenAs.includes(stroke) || remarks.push({fault: "missing", stroke}));
  writtenAs.forEach((other, stroke) => other === null && remarks.push({fault: "extra", stroke}));
  const inOrder = longestRise(writtenAs.filter((other) => other !== null));
  writtenAs.forEach((stroke, number) => {
    if (stroke === null) return;
    const length = Math.max(lengthOf(theirs[stroke]), LEAST_SIDE);
    if (forward[number][stroke] - backward[number][stroke] > TURNED * length) remarks.push({fault: "reversed", stroke});
    if (!inOrder.has(stroke)) remarks.push({fault: "order", stroke});
  });
  return {writtenAs, remarks};
}

function inBox(strokes) {
  const {low, high, side} = boundingBox(strokes);
  return strokes.map((stroke) =>
    stroke.map((point) => [0, 1].map((axis) => (point[axis] - (low[axis] + high[axis]) / 2) / side)),
  );
}

const evenly = (stroke) => (stroke.length > 1 ? resample(stroke, POINTS - 1) : new Array(POINTS).fill(stroke[0]));

/** The mean distance of the points of each of some strokes from those of each other. */
function distances(some, others) {
  return some.map((one) =>
    others.map((other) => one.reduce((sum, point, index) => sum + distance(point, other[index]), 0) / POINTS),
  );
}

/** Strokes moved and stretched so that those that are matched lie where the others do, as far as it goes. */
function laidOver(ours, theirs, writtenAs, isTurned) {
  const [source, target] = [[], []];
  writtenAs.forEach((other, number) => {
    if (other === null) return;
    source.push(...(isTurned(number, other) ? ours[number].toReversed() : ours[number]));
    target.push(...theirs[other]);
  });
  if (!source.length) return ours;
  const changes = [0, 1].map((axis) => {
    const [from, to] = [source, target].map((points) => points.map((point) => point[axis]));
    const [middle, goal] = [mean(from), mean(to)];
    const spread = Math.sqrt(mean(from.map((value) => (value - middle) ** 2)));
    // As NumPy's `cov` divides by one less than there are.
    const together = (mean(from.map((value, at) => (value - middle) * (to[at] - goal))) * from.length) / (from.length - 1);
    // Hardly any extent says nothing of a scale.
    const stretch = spread > 0.05 ? Math.min(Math.max(together / spread ** 2, 0.5), 2) : 1;
    return (value) => (value - middle) * stretch + goal;
  });
  return ours.map((stroke) => stroke.map((point) => [0, 1].map((axis) => changes[axis](point[axis]))));
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * For each row the column that it is given, none twice, so that the sum is least; null costs FARTHEST.
 *
 * The Hungarian method: shortest augmenting paths, one row after the other.
 */
function matched(costs, columns) {
  const rows = costs.length;
  const count = columns + rows; // every row may stay without a column
  const rowAt = new Array(count + 1).fill(rows); // `count` is where the row that is being placed begins
  const [ofRow, ofColumn] = [new Array(rows + 1).fill(0), new Array(count + 1).fill(0)];
  const costOf = (row, column) => (column < columns ? costs[row][column] : FARTHEST);
  for (let row = 0; row < rows; row++) {
    rowAt[count] = row;
    let column = count;
    const [least, before] = [new Array(count).fill(Infinity), new Array(count).fill(count)];
    const done = new Set();
    while (rowAt[column] < rows) {
      done.add(column);
      const at = rowAt[column];
      let next = -1;
      for (let other = 0; other < count; other++) {
        if (done.has(other)) continue;
        const reduced = costOf(at, other) - ofRow[at] - ofColumn[other];
        if (reduced < least[other]) [least[other], before[other]] = [reduced, column];
        if (next < 0 || least[other] < least[next]) next = other;
      }
      const step = least[next];
      for (const each of done) {
        ofRow[rowAt[each]] += step;
        ofColumn[each] -= step;
      }
      for (let other = 0; other < count; other++) if (!done.has(other)) least[other] -= step;
      column = next;
    }
    while (column !== count) {
      rowAt[column] = rowAt[before[column]];
      column = before[column];
    }
  }
  const found = new Array(rows).fill(null);
  for (let column = 0; column < columns; column++) if (rowAt[column] < rows) found[rowAt[column]] = column;
  return found;
}

/** The values of a longest rising subsequence. */
function longestRise(values) {
  const best = [];
  for (const value of values) {
    const before = best.filter((rise) => rise.at(-1) < value).reduce((one, other) => (other.length > one.length ? other : one), []);
    best.push([...before, value]);
  }
  return new Set(best.reduce((one, other) => (other.length > one.length ? other : one), []));
}
