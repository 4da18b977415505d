// The writing area: pointer and keyboard in, strokes out, ink on a canvas.

const PEN = 1 / 40; // of the height: thinner than the recognizer's, so that one sees what one writes
const STEP = 1 / 32; // of the height: how far an arrow key moves the pen

const PALM = 1000; // milliseconds after a pen in which a touch is taken for the hand that holds it

/** Strokes are lists of `[x, y]`, fractions of the pad's height, so that they outlive a change of size. */
export class Pad {
  strokes = [];
  #canvas;
  #context;
  #pointer = null; // the one that writes; others (a palm) are ignored
  #kind = ""; // of that one: pen, touch or mouse
  #marked = new Set(); // numbers of the strokes that are shown in another color
  #penLeft = -PALM; // when a pen was last seen, in milliseconds
  #pen = null; // where the keyboard's pen is
  #penDown = false;
  #listeners;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{start: () => void, change: () => void}} listeners `start` when a stroke begins, `change` when the set of
   *     finished strokes differs
   */
  constructor(canvas, listeners) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.#listeners = listeners;
    // Without this, a stroke that ends fast counts as a fling, and Chromium takes the next tap for its stopping.
    canvas.addEventListener("touchstart", (event) => event.preventDefault(), {passive: false});
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#extend(event));
    canvas.addEventListener("pointerup", (event) => this.#end(event));
    canvas.addEventListener("pointercancel", (event) => this.#cancel(event));
    canvas.addEventListener("keydown", (event) => this.#press(event));
    canvas.addEventListener("blur", () => this.#hidePen());
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    new ResizeObserver(() => this.#resize()).observe(canvas);
  }

  /** Its width and height, in the unit of the strokes. */
  get size() {
    return [this.#canvas.width / this.#canvas.height, 1];
  }

  /** Takes the last stroke back, or the one that is just being written. */
  undo() {
    if (!this.strokes.length) return;
    this.#set(this.strokes.slice(0, -1));
  }

  clear() {
    this.#set([]);
  }

  #set(strokes) {
    this.#pointer = null;
    this.#penDown = false;
    this.strokes = strokes;
    this.#changed();
  }

  /** Shows strokes in another color until the next change. */
  mark(numbers) {
    this.#marked = numbers;
    this.draw();
  }

  /** Draws everything anew, in the ink's present color. */
  draw() {
    const {width, height} = this.#canvas;
    this.#context.clearRect(0, 0, width, height);
    this.#context.lineCap = this.#context.lineJoin = "round";
    this.#context.lineWidth = PEN * height;
    const {color, outlineColor} = getComputedStyle(this.#canvas);
    this.strokes.forEach((stroke, number) => {
      this.#context.strokeStyle = this.#marked.has(number) ? outlineColor : color;
      this.#trace(stroke);
    });
    if (this.#pen) this.#drawPen();
  }

  #begin(event) {
    if (event.button !== 0 || this.#isPalm(event)) return;
    if (this.#pointer !== null) {
      if (event.pointerType !== "pen" || this.#kind === "pen") return;
      this.strokes = this.strokes.slice(0, -1); // the palm came before the pen
    }
    event.preventDefault();
    document.activeElement?.blur(); // writing is not typing: keys are shortcuts again
    this.#hidePen();
    this.#pointer = event.pointerId;
    this.#kind = event.pointerType;
    this.#canvas.setPointerCapture(event.pointerId);
    this.strokes = [...this.strokes, [this.#place(event)]];
    this.#listeners.start();
    this.draw();
  }

  #isPalm({pointerType, timeStamp}) {
    if (pointerType === "pen") this.#penLeft = timeStamp;
    return pointerType === "touch" && timeStamp - this.#penLeft < PALM;
  }

  #extend(event) {
    if (event.pointerType === "pen") this.#penLeft = event.timeStamp; // it need not touch the pad
    if (event.pointerId !== this.#pointer) return;
    // A screen reports a pen more often than it draws: the points in between make the line smooth.
    const events = event.getCoalescedEvents?.() ?? [];
    const stroke = this.strokes.at(-1);
    for (const each of events.length ? events : [event]) stroke.push(this.#place(each));
    this.draw();
  }

  #end(event) {
    if (event.pointerId !== this.#pointer) return;
    this.#pointer = null;
    this.#changed();
  }

  #cancel(event) {
    if (event.pointerId !== this.#pointer) return;
    this.#pointer = null;
    this.undo();
  }

  #place(event) {
    const box = this.#canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.height, (event.clientY - box.top) / box.height];
  }

  #press(event) {
    const move = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
    if (!move && event.key !== " ") return;
    event.preventDefault();
    this.#pen ??= this.size.map((side) => side / 2);
    if (move) {
      this.#pen = this.#pen.map((value, axis) => Math.min(this.size[axis], Math.max(0, value + move[axis] * STEP)));
      if (this.#penDown) this.strokes.at(-1).push(this.#pen);
      this.draw();
    } else if (this.#penDown) {
      this.#penDown = false;
      this.#changed();
    } else {
      this.#penDown = true;
      this.strokes = [...this.strokes, [this.#pen]];
      this.#listeners.start();
      this.draw();
    }
  }

  #hidePen() {
    if (!this.#pen) return;
    this.#pen = null;
    if (this.#penDown) {
      this.#penDown = false;
      this.#changed();
    } else this.draw();
  }

  #changed() {
    this.#marked = new Set();
    this.draw();
    this.#listeners.change();
  }

  #resize() {
    const {clientWidth, clientHeight} = this.#canvas;
    const [width, height] = [clientWidth, clientHeight].map((side) => Math.max(1, Math.round(side * devicePixelRatio)));
    if (this.#canvas.width !== width || this.#canvas.height !== height) Object.assign(this.#canvas, {width, height});
    this.draw();
  }

  /** Draws a stroke through the middles of its segments, which rounds the corners that few points leave. */
  #trace(stroke) {
    const context = this.#context;
    const points = stroke.map(([x, y]) => [x * this.#canvas.height, y * this.#canvas.height]);
    const last = points.at(-1);
    context.beginPath();
    context.moveTo(...points[0]);
    for (let index = 1; index < points.length - 1; index++) {
      const [[x, y], [nextX, nextY]] = [points[index], points[index + 1]];
      context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
    }
    context.lineTo(...last);
    context.stroke();
  }

  #drawPen() {
    const [x, y] = this.#pen.map((value) => value * this.#canvas.height);
    const context = this.#context;
    context.beginPath();
    context.arc(x, y, (PEN * this.#canvas.height) / 2 + 4, 0, 2 * Math.PI);
    context.lineWidth = 3;
    context.strokeStyle = context.fillStyle = getComputedStyle(this.#canvas).outlineColor;
    if (this.#penDown) context.fill();
    else context.stroke();
  }
}
