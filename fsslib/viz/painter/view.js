// A picture with a label map over it, on a canvas, at any zoom.
import { outlines } from "./pixels.js";

// Tints of labels 1, 2, …; the line around them is black and white, which is seen on any picture.
const TINTS = [[213, 94, 0], [0, 114, 178], [0, 158, 115], [204, 121, 167], [240, 228, 66], [86, 180, 233]];
export const UNKNOWN = 255;
const TINT = 0.38;
const TILE = 64; // pixels; outlines are found anew only where something has changed
const MOST_ZOOM = 40; // screen pixels a pixel

export function tint(label) {
  return label === UNKNOWN ? [255, 255, 255] : TINTS[(label - 1) % TINTS.length];
}

const COLOURS = Uint32Array.from({ length: 256 }, (_, label) =>
  label ? new Uint32Array(new Uint8Array([...tint(label), 255]).buffer)[0] : 0);

export class View {
  constructor(canvas, map) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.map = map;
    this.picture = null;
    this.masked = true;
    this.zoom = 1; // times what fits
    this.origin = [0, 0]; // the picture's pixel in the canvas' upper left corner
    this.tinted = document.createElement("canvas");
    [this.tinted.width, this.tinted.height] = [map.width, map.height];
    this.tiles = new Map();
    this.changed([0, 0, map.width, map.height]);
  }

  get scale() { return this.zoom * this.canvas.clientWidth / this.map.width; }

  /** Where an event is, in the picture's pixels. */
  point(event) {
    const box = this.canvas.getBoundingClientRect();
    return [
      this.origin[0] + (event.clientX - box.left) / this.scale,
      this.origin[1] + (event.clientY - box.top) / this.scale,
    ];
  }

  /** Zoom by a factor and keep a point of the picture where it is. */
  zoomAt([x, y], factor) {
    const before = this.scale;
    const most = Math.max(1, MOST_ZOOM * this.map.width / this.canvas.clientWidth);
    this.zoom = Math.min(Math.max(this.zoom * factor, 1), most);
    const change = before / this.scale;
    this.moveTo([x - (x - this.origin[0]) * change, y - (y - this.origin[1]) * change]);
  }

  moveTo([x, y]) {
    const hidden = 1 - 1 / this.zoom;
    this.origin = [
      Math.min(Math.max(x, 0), this.map.width * hidden),
      Math.min(Math.max(y, 0), this.map.height * hidden),
    ];
  }

  /** Move so that a point is seen. */
  reveal([x, y]) {
    const [width, height] = [this.map.width / this.zoom, this.map.height / this.zoom];
    this.moveTo([
      Math.min(Math.max(this.origin[0], x + 0.05 * width - width), x - 0.05 * width),
      Math.min(Math.max(this.origin[1], y + 0.05 * height - height), y - 0.05 * height),
    ]);
  }

  /** Tints and outlines of a rectangle whose labels may be others now. */
  changed([left, top, right, bottom]) {
    if (right <= left || bottom <= top) return;
    const image = new ImageData(right - left, bottom - top);
    const pixels = new Uint32Array(image.data.buffer);
    for (let row = top, i = 0; row < bottom; row++) {
      for (let column = left; column < right; column++) {
        pixels[i++] = COLOURS[this.map.labels[row * this.map.width + column]];
      }
    }
    this.tinted.getContext("2d").putImageData(image, left, top);
    // An edge may lie on the next tile's upper or left side.
    for (let y = Math.floor(top / TILE); y * TILE <= bottom && y * TILE < this.map.height; y++) {
      for (let x = Math.floor(left / TILE); x * TILE <= right && x * TILE < this.map.width; x++) {
        this._outline(x, y);
      }
    }
  }

  _outline(x, y) {
    const [right, bottom] = [(x + 1) * TILE, (y + 1) * TILE];
    const tile = [x * TILE, y * TILE, Math.min(right, this.map.width), Math.min(bottom, this.map.height)];
    const lines = outlines(this.map, tile);
    const path = new Path2D();
    for (const [x0, y0, x1, y1] of lines) {
      path.moveTo(x0, y0);
      path.lineTo(x1, y1);
    }
    if (lines.length) this.tiles.set(`${x},${y}`, path);
    else this.tiles.delete(`${x},${y}`);
  }

  /** Draw everything; `corners` of what is not finished, a cursor {point, radius, keys} or null. */
  draw(corners, closed, cursor) {
    const { context: c, canvas } = this;
    const dots = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((n) => Math.round(n * dots));
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const scale = this.scale * dots;
    c.setTransform(scale, 0, 0, scale, -this.origin[0] * scale, -this.origin[1] * scale);
    c.imageSmoothingEnabled = scale < 3;
    if (this.picture) c.drawImage(this.picture, 0, 0, this.map.width, this.map.height);
    this.pixel = 1 / this.scale; // of the screen, in the picture's pixels
    if (this.masked) {
      c.imageSmoothingEnabled = false;
      c.globalAlpha = TINT;
      c.drawImage(this.tinted, 0, 0);
      c.globalAlpha = 1;
      const all = new Path2D();
      for (const path of this.tiles.values()) all.addPath(path);
      this._twoTone(all);
    }
    if (corners.length) this._twoTone(this._shape(corners, closed));
    if (cursor) this._twoTone(this._cursor(cursor));
  }

  _twoTone(path) {
    const c = this.context;
    c.lineCap = "square";
    [[3.5, "#000"], [1.5, "#fff"]].forEach(([width, colour]) => {
      c.lineWidth = width * this.pixel;
      c.strokeStyle = colour;
      c.stroke(path);
    });
  }

  _shape(corners, closed) {
    const path = new Path2D();
    corners.forEach(([x, y], i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)));
    if (closed) path.closePath();
    const half = 3 * this.pixel;
    corners.forEach(([x, y]) => path.rect(x - half, y - half, 2 * half, 2 * half));
    return path;
  }

  _cursor({ point: [x, y], radius, keys }) {
    const path = new Path2D();
    if (radius) {
      path.moveTo(x + radius, y);
      path.arc(x, y, radius, 0, 2 * Math.PI);
    }
    if (keys) {
      const [near, far] = [4 * this.pixel, 12 * this.pixel];
      [[1, 0], [-1, 0], [0, 1], [0, -1]].forEach(([dx, dy]) => {
        path.moveTo(x + dx * near, y + dy * near);
        path.lineTo(x + dx * far, y + dy * far);
      });
    }
    return path;
  }
}
