// What tools do, whoever moves them: a mouse, a pen, a finger or the keys. Knows no browser.
import { decodeRuns, drawBox, drawPolygon, drawStroke, encodeRuns, fillPiece, sameBytes } from "./pixels.js";

export const TOOLS = ["brush", "eraser", "box", "polygon", "fill"];
const MOST_STEPS = 100; // that can be undone

/** A label map being drawn on.
 *
 *  A tool is pressed at a point, moved and released; a brush draws meanwhile, a box when it is
 *  released, a polygon gets a corner each time and is drawn when it is closed. Every finished change
 *  is told once, as bytes: `onChange(bytes)`. `onDirty(rectangle)` tells what to look at again. */
export class Drawing {
  constructor(width, height, { onChange = () => {}, onDirty = () => {} } = {}) {
    this.map = { labels: new Uint8Array(width * height), width, height };
    this.onChange = onChange;
    this.onDirty = onDirty;
    this.tool = "brush";
    this.label = 1;
    this.radius = 4;
    this.corners = []; // of a polygon or box that is not finished
    this.last = null; // where a pressed tool is
    this.steps = [encodeRuns(this.map.labels)];
    this.step = 0;
  }

  /** Corners of what is not finished, as a shape. */
  get shape() {
    if (this.tool !== "box" || !this.corners.length) return this.corners;
    const [[x0, y0], [x1, y1]] = this.corners;
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
  }

  get pressed() { return this.last !== null; }
  /** The last finished map. */
  get bytes() { return this.steps[this.step]; }
  get marked() { return this.map.labels.reduce((count, label) => count + (label > 0), 0); }

  choose(tool) {
    this.cancel();
    this.tool = tool;
  }

  press(point, { erase = false, pressure = 1 } = {}) {
    this.erasing = erase || this.tool === "eraser";
    this.last = point;
    if (this.tool === "fill") this._dirty(fillPiece(this.map, point, this._ink()));
    else if (this._strokes()) this._stroke(point, pressure);
    else if (this.tool === "box") this.corners = [point, point];
  }

  move(point, { pressure = 1 } = {}) {
    if (!this.pressed) return;
    if (this._strokes()) this._stroke(point, pressure);
    else if (this.tool === "box") this.corners[1] = point;
    this.last = point;
  }

  release(point) {
    if (!this.pressed) return;
    this.last = null;
    if (this.tool === "polygon" && !this._strokes()) {
      this.corners.push(point);
      return;
    }
    if (this.tool === "box" && !this._strokes()) {
      this._dirty(drawBox(this.map, this.corners[0], point, this._ink()));
      this.corners = [];
    }
    this._finish();
  }

  /** Draw the polygon; with fewer than three corners it is forgotten. */
  close() {
    if (this.tool !== "polygon") return;
    if (this.corners.length > 2) this._dirty(drawPolygon(this.map, this.corners, this._ink()));
    this.corners = [];
    this.last = null;
    this._finish();
  }

  /** Forget what is not finished; true if there was anything. */
  cancel() {
    const some = this.pressed || this.corners.length > 0;
    this.corners = [];
    this.last = null;
    if (some) this._show(this.bytes);
    return some;
  }

  clear() {
    this.cancel();
    this.map.labels.fill(0);
    this._whole();
    this._finish();
  }

  undo() { return this.cancel() || this._go(this.step - 1); }
  redo() { return this._go(this.step + 1); }

  /** Take a map that somebody else made; it can be undone. False where it does not fit. */
  load(bytes) {
    if (sameBytes(bytes, this.bytes)) return true;
    if (!decodeRuns(bytes, this.map.labels.length)) return false;
    this.corners = [];
    this.last = null;
    this._show(bytes);
    this._remember(bytes);
    return true;
  }

  _strokes() { return this.erasing && this.tool !== "fill" || this.tool === "brush"; }
  _ink() { return this.erasing ? 0 : this.label; }

  _stroke(point, pressure) {
    const radius = this.radius * Math.max(pressure, 0.1);
    this._dirty(drawStroke(this.map, this.last, point, radius, this._ink()));
  }

  _finish() {
    const bytes = encodeRuns(this.map.labels);
    if (sameBytes(bytes, this.bytes)) return;
    this._remember(bytes);
    this.onChange(bytes);
  }

  _remember(bytes) {
    this.steps = [...this.steps.slice(0, this.step + 1), bytes].slice(-MOST_STEPS - 1);
    this.step = this.steps.length - 1;
  }

  _go(step) {
    if (step < 0 || step >= this.steps.length) return false;
    this.step = step;
    this._show(this.bytes);
    this.onChange(this.bytes);
    return true;
  }

  _show(bytes) {
    this.map.labels.set(decodeRuns(bytes, this.map.labels.length));
    this._whole();
  }

  _whole() { this._dirty([0, 0, this.map.width, this.map.height]); }
  _dirty(rectangle) { this.onDirty(rectangle); }
}
