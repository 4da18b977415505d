/**
 * Ink: what a pen drew -> the image that a recognizer reads. The specification is docs/ink.md; Python's twins are
 * `strokes.prepare`, `normalization.draw_strokes` and `normalization.draw_ink`. No dependency; browsers and Node.
 *
 * Strokes are lists of points, [[[x, y], ...], ...] or [[[x, y, t], ...], ...], y down, in any unit.
 */

const PEN_WIDTH = 3 / 64; // of the image's side
const MARGIN = 1 / 16; // left free on each side, fraction of the image's side
const EDGE = 1.5; // pixels over which ink fades out
const LEAST_WIDTH = 1 / 20; // thinner ink is widened towards this, fraction of the image's side
const STEP = 1 / 64; // of the box's longer side: nearer points are one, and smoothing works on points so far apart
const PASSES = 4; // of smoothing

/**
 * What a page calls: the image of raw strokes, as `model-int8.tflite` takes it.
 * @param {number[][][]} strokes
 * @param {number} imageSize height and width in pixels
 * @returns {Float32Array} imageSize * imageSize whole numbers 0..255, row by row, white ink on black
 * @throws {RangeError} there is no point, or a coordinate is not a finite number
 */
export function drawInk(strokes, imageSize) {
  return drawStrokes(prepare(strokes), imageSize, PEN_WIDTH * imageSize);
}

/** Clean strokes of repeated points, uneven spacing and jitter; returned around (0, 0), the box's longer side 1. */
export function prepare(strokes) {
  const { low, high, side } = boundingBox(strokes);
  return strokes
    .filter((stroke) => stroke.length)
    .map((stroke) => stroke.map(([x, y]) => [(x - (low[0] + high[0]) / 2) / side, (y - (low[1] + high[1]) / 2) / side]))
    .map((stroke) => smooth(resample(withoutRepeats(stroke))));
}

/**
 * Draw strokes with a round pen, box centered, aspect kept, margin free, full brightness.
 * @param {number[][][]} strokes
 * @param {number} imageSize height and width in pixels
 * @param {number} strokeWidth in pixels
 * @returns {Float32Array} as drawInk
 * @throws {RangeError} as drawInk
 */
export function drawStrokes(strokes, imageSize, strokeWidth) {
  const { low, high, side } = boundingBox(strokes);
  const scale = Math.max(imageSize * (1 - 2 * MARGIN) - strokeWidth, 0) / side;
  const fitted = strokes.map((stroke) =>
    stroke.map(([x, y]) => [
      imageSize / 2 + scale * (x - (low[0] + high[0]) / 2),
      imageSize / 2 + scale * (y - (low[1] + high[1]) / 2),
    ]),
  );
  const image = rasterize(fitted, imageSize, strokeWidth / 2);
  return finishInk(image, imageSize).map(Math.round);
}

export function boundingBox(strokes) {
  const points = strokes.flat();
  if (!points.length) throw new RangeError("There is no point in the strokes; draw at least one.");
  const low = [Infinity, Infinity];
  const high = [-Infinity, -Infinity];
  for (const point of points) {
    for (const axis of [0, 1]) {
      if (!Number.isFinite(point[axis])) throw new RangeError("Each point must be [x, y] of finite numbers.");
      low[axis] = Math.min(low[axis], point[axis]);
      high[axis] = Math.max(high[axis], point[axis]);
    }
  }
  return { low, high, side: Math.max(high[0] - low[0], high[1] - low[1], 1e-6) };
}

export const distance = (first, second) => Math.hypot(second[0] - first[0], second[1] - first[1]);

function withoutRepeats(stroke) {
  const kept = [stroke[0]];
  for (const point of stroke) if (distance(kept.at(-1), point) >= STEP) kept.push(point);
  if (kept.length > 1) kept[kept.length - 1] = stroke.at(-1); // the end stays where it is
  return kept;
}

export function lengthOf(stroke) {
  let length = 0;
  for (let i = 1; i < stroke.length; i++) length += distance(stroke[i - 1], stroke[i]);
  return length;
}

/** Points equally spaced along a stroke, one more than steps, its two ends kept. */
export function resample(stroke, steps = Math.ceil(lengthOf(stroke) / STEP)) {
  const length = lengthOf(stroke);
  const points = [stroke[0]];
  let segment = 1;
  let passed = 0; // length of the segments before this one
  for (let i = 1; i < steps; i++) {
    const at = (i * length) / steps;
    let long = distance(stroke[segment - 1], stroke[segment]);
    while (passed + long < at && segment < stroke.length - 1) {
      passed += long;
      segment += 1;
      long = distance(stroke[segment - 1], stroke[segment]);
    }
    const share = Math.min((at - passed) / (long || 1), 1);
    points.push([0, 1].map((axis) => stroke[segment - 1][axis] * (1 - share) + stroke[segment][axis] * share));
  }
  if (steps) points.push(stroke.at(-1));
  return points;
}

function smooth(stroke) {
  const last = stroke.length - 1;
  for (let pass = 0; pass < PASSES; pass++) {
    const old = stroke;
    stroke = old.map((point, i) =>
      i === 0 || i === last ? point : [0, 1].map((axis) => (old[i - 1][axis] + 2 * point[axis] + old[i + 1][axis]) / 4),
    );
  }
  return stroke;
}

/** Ink 0..255 by the distance from each pixel's center to the nearest segment. */
function rasterize(strokes, size, halfWidth) {
  const reach = halfWidth + EDGE / 2;
  const nearest = new Float32Array(size * size).fill(reach * reach); // squared distance
  for (const stroke of strokes) {
    for (let i = stroke.length > 1 ? 1 : 0; i < stroke.length; i++) {
      drawSegment(nearest, size, reach, stroke[Math.max(i - 1, 0)], stroke[i]);
    }
  }
  return nearest.map((squared) => 255 * Math.min(Math.max((reach - Math.sqrt(squared)) / EDGE, 0), 1));
}

function drawSegment(nearest, size, reach, [startX, startY], [endX, endY]) {
  const alongX = endX - startX;
  const alongY = endY - startY;
  const squaredLength = Math.max(alongX * alongX + alongY * alongY, 1e-9);
  const left = Math.max(Math.floor(Math.min(startX, endX) - reach), 0);
  const right = Math.min(Math.ceil(Math.max(startX, endX) + reach), size);
  const top = Math.max(Math.floor(Math.min(startY, endY) - reach), 0);
  const bottom = Math.min(Math.ceil(Math.max(startY, endY) + reach), size);
  for (let row = top; row < bottom; row++) {
    const acrossY = row + 0.5 - startY;
    for (let column = left; column < right; column++) {
      const acrossX = column + 0.5 - startX;
      const share = Math.min(Math.max((acrossX * alongX + acrossY * alongY) / squaredLength, 0), 1);
      const x = acrossX - share * alongX;
      const y = acrossY - share * alongY;
      const squared = x * x + y * y;
      if (squared < nearest[row * size + column]) nearest[row * size + column] = squared;
    }
  }
}

/** Bring the typical ink to 255, then widen ink that is thinner than LEAST_WIDTH. */
function finishInk(image, size) {
  let squares = 0;
  let cubes = 0;
  for (const ink of image) {
    squares += ink * ink;
    cubes += ink * ink * ink;
  }
  const typical = Math.max(cubes / Math.max(squares, 1), 1);
  image = image.map((ink) => Math.min((ink * 255) / typical, 255));
  const rounds = Math.max(1, Math.floor(size / 48 + 0.5));
  for (let round = 0; round < rounds; round++) {
    const share = Math.min(Math.max((LEAST_WIDTH * size - inkWidth(image, size)) / 2, 0), 1);
    if (share > 0) {
      const wide = grown(image, size);
      image = image.map((ink, i) => Math.max(ink, share * wide[i]));
    }
  }
  return image;
}

/** Twice the amount of ink over the length of its outline, in pixels. */
function inkWidth(image, size) {
  const amount = image.reduce((sum, ink) => sum + ink, 0);
  let outline = 0;
  for (let row = 0; row < size - 1; row++) {
    for (let at = row * size; at < row * size + size - 1; at++) {
      outline += Math.hypot(image[at + 1] - image[at], image[at + size] - image[at]);
    }
  }
  return (2 * amount) / Math.max(outline, 1);
}

/** The largest value among each pixel and its eight neighbors. */
function grown(image, size) {
  return image.map((_, at) => {
    const row = Math.floor(at / size);
    const column = at % size;
    let largest = 0;
    for (let y = Math.max(row - 1, 0); y <= Math.min(row + 1, size - 1); y++) {
      for (let x = Math.max(column - 1, 0); x <= Math.min(column + 1, size - 1); x++) {
        largest = Math.max(largest, image[y * size + x]);
      }
    }
    return largest;
  });
}
