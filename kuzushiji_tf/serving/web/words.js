// Words: the strokes of a line of writing -> its characters, by the best way to cut it; docs/ink.md specifies it.
// Python's twin is `recognition/words.py`.

import {boundingBox} from "./ink.js";
import {oddsInLine} from "./placement.js";
import {lossBehind} from "./sequences.js";

const OVERLAP = 0.12; // how far the strokes behind a cut may reach back over those before it, in sides of the cell
const LONGEST = 1.5; // extent of a character along the line, in sides of the cell
const NEAREST = 0.8; // the middles of neighbors are hardly ever nearer than that, in sides of the cell
const NEARNESS = 5; // by how much the logarithm falls with each side of the cell that they are nearer
export const FOLLOWED = 6; // readings of a piece among which the best line is looked for
const LEAST = 1e-4; // probability that each reading is given at least
const BEAM = 40; // ways to read the strokes up to a cut that are followed
const CLEARLY_LONGER = 1.3; // times as long as high: a line can only run along
const LEAST_SIDE = 1e-6;

const logarithm = (probability) => Math.log(Math.max(probability, LEAST));

/**
 * Reads a line of up to eight characters, side by side or one below the other.
 *
 * @param {number[][][]} strokes lists of `[x, y]` in any unit, y down, each character finished before the next
 * @param {(strokes: number[][][], odds?: Record<string, number>) => Promise<{character: string, probability: number,
 *     group: number}[]>} read returns the `FOLLOWED` best candidates of strokes that are one character, with the odds
 *     of its forms, or without where it is the only one
 * @param {number} count how many readings
 * @returns {Promise<{text: string, segments: {strokes: [number, number], candidates: object[]}[], score: number}[]>}
 *     best first; `strokes` of a segment are the numbers of its first and of the one behind its last
 */
export async function readText(strokes, read, count = 3) {
  const drawn = strokes.filter((stroke) => stroke.length);
  const best = new Map();
  for (const axis of directionsOf(drawn)) {
    for (const reading of await readLine(new Line(drawn, axis), read, count)) {
      if (!(best.get(reading.text)?.score >= reading.score)) best.set(reading.text, reading);
    }
  }
  return [...best.values()].sort((a, b) => b.score - a.score).slice(0, count);
}

/** Returns along which axes strokes may run: 0 to the right, 1 downward. */
function directionsOf(strokes) {
  const [width, height] = [0, 1].map((axis) => {
    const [low, high] = extentOf(strokes, axis);
    return high - low;
  });
  return [width * CLEARLY_LONGER >= height, height * CLEARLY_LONGER >= width].flatMap((may, axis) => (may ? [axis] : []));
}

function extentOf(strokes, axis) {
  const {low, high} = boundingBox(strokes);
  return [low[axis], high[axis]];
}

/** Strokes side by side (`axis` 0), or one below the other (1). */
export class Line {
  constructor(strokes, axis) {
    this.strokes = strokes;
    this.axis = axis;
    this.extents = strokes.map((stroke) => extentOf([stroke], axis));
    this.across = extentOf(strokes, 1 - axis);
    const sides = this.extents.map(([low, high]) => high - low);
    this.cell = Math.max(this.across[1] - this.across[0], ...sides, LEAST_SIDE);
  }

  /** Returns what may be a character, by first stroke: strokes between two cuts that are not too far apart. */
  pieces() {
    const {extents, cell} = this;
    const count = extents.length;
    const before = extents.map(([, high]) => high); // the farthest up to each stroke
    for (let place = 1; place < count; place++) before[place] = Math.max(before[place], before[place - 1]);
    const behind = extents.map(([low]) => low); // the nearest from each stroke on
    for (let place = count - 2; place >= 0; place--) behind[place] = Math.min(behind[place], behind[place + 1]);
    const cuts = [0];
    for (let place = 1; place < count; place++) if (before[place - 1] - behind[place] <= OVERLAP * cell) cuts.push(place);
    cuts.push(count);
    const pieces = [];
    for (let first = 0; first < cuts.length - 1; first++) {
      for (let last = first + 1; last < cuts.length; last++) {
        const inside = extents.slice(cuts[first], cuts[last]);
        const low = Math.min(...inside.map((extent) => extent[0]));
        const high = Math.max(...inside.map((extent) => extent[1]));
        // One part between neighboring cuts can be no smaller, however long it is.
        if (last > first + 1 && high - low > LONGEST * cell) break;
        pieces.push({strokes: [cuts[first], cuts[last]], low, high, middle: (low + high) / 2});
      }
    }
    return pieces;
  }

  /** Returns the odds of small kana and marks for a piece, by its size and place in the line. */
  oddsOf(piece) {
    const [low, high] = extentOf(this.strokes.slice(...piece.strokes), 1 - this.axis);
    const size = Math.max(piece.high - piece.low, high - low) / this.cell;
    return oddsInLine(size, (low + high - this.across[0] - this.across[1]) / 2 / this.cell);
  }
}

async function readLine(line, read, count) {
  const total = line.strokes.length;
  const ways = new Map(); // by the cut up to which they read, the best first
  for (const piece of line.pieces()) {
    const [start, end] = piece.strokes;
    if (start && !ways.has(start)) continue;
    const isAlone = end - start === total;
    const candidates = await read(line.strokes.slice(start, end), isAlone ? undefined : line.oddsOf(piece));
    const gains = gainsOf(candidates, end - start);
    const found = ways.get(end) ?? [];
    for (const before of ways.get(start) ?? [null]) {
      const near = before ? NEARNESS * Math.max(NEAREST - (piece.middle - before.piece.middle) / line.cell, 0) : 0;
      candidates.forEach(({character}, number) => {
        const loss = isAlone ? 0 : lossBehind(before ? before.candidates[before.number].character : "", character);
        found.push({score: (before?.score ?? 0) + gains[number] - near - loss, piece, candidates, number, before});
      });
    }
    ways.set(end, found.sort((a, b) => b.score - a.score).slice(0, Math.max(BEAM, count)));
  }
  const texts = new Map();
  for (const way of ways.get(total) ?? []) {
    const segments = segmentsOf(way);
    const text = segments.map(({candidates}) => candidates[0].character).join("");
    if (!texts.has(text)) texts.set(text, {text, segments, score: way.score});
  }
  return [...texts.values()].slice(0, count);
}

/** What each reading of a piece adds to the logarithm, whatever stands before it. */
function gainsOf(candidates, strokes) {
  const together = new Map();
  for (const {group, probability} of candidates) together.set(group, (together.get(group) ?? 0) + probability);
  return candidates.map(({group, probability}) => {
    const all = together.get(group);
    return strokes * logarithm(all) + logarithm(probability / Math.max(all, LEAST));
  });
}

function segmentsOf(way) {
  const segments = [];
  for (let each = way; each; each = each.before) {
    const others = each.candidates.filter((_, number) => number !== each.number);
    segments.unshift({strokes: each.piece.strokes, candidates: [each.candidates[each.number], ...others]});
  }
  return segments;
}
