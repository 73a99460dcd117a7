// The widget: from a model in the kernel to a picture to paint on. Drawing never waits for the kernel,
// which hears of a change once, when it is finished.
import { Drawing } from "./drawing.js";
import { Keys } from "./keys.js";
import { Pointers } from "./pointers.js";
import { HELP, element, toolbar } from "./toolbar.js";
import { UNKNOWN, View } from "./view.js";

let painters = 0;

class Painter {
  constructor(model, el) {
    this.model = model;
    [this.height, this.width] = model.get("_size");
    this.drawing = new Drawing(this.width, this.height, {
      onChange: (bytes) => this.send(bytes),
      onDirty: (rectangle) => this.view.changed(rectangle),
    });
    this.canvas = element("canvas", {
      tabindex: 0, role: "application", "data-testid": "mask-painter-canvas",
      "aria-label": `${model.get("description")}: picture of ${this.width} by ${this.height} pixels to paint on`,
    });
    this.view = new View(this.canvas, this.drawing.map);
    this.radii = [0.5, Math.max(20, Math.min(this.width, this.height) / 6)];
    this.cursor = [this.width / 2, this.height / 2];
    this.keys = new Keys(this);
    this.pointers = new Pointers(this, model.get("pressure"));
    this.build(el);
    this.listen();
    this.drawing.load(model.get("_runs"));
    this.drawing.radius = model.get("brush_radius");
    this.drawing.choose(model.get("tool"));
    this.drawing.label = model.get("label");
    this.readPicture();
    this.show();
  }

  build(el) {
    const names = this.model.get("labels").map((name, i) => [i + 1, name]);
    if (this.model.get("unknown")) names.push([UNKNOWN, "don't know"]);
    this.bar = toolbar(names, this.radii, this);
    const help = element("dl", { id: `fss-painter-help-${++painters}` });
    HELP.forEach(([keys, what]) => help.append(element("dt", {}, keys), element("dd", {}, what)));
    this.canvas.setAttribute("aria-describedby", help.id);
    this.status = element("div", {
      class: "fss-status", role: "status", "aria-live": "polite", "data-testid": "mask-painter-status",
    });
    const most = Math.min(this.model.get("height") * this.width / this.height, 1400);
    this.canvas.style.maxWidth = `${most}px`;
    this.canvas.style.aspectRatio = `${this.width} / ${this.height}`;
    this.root = element("div", {
      class: "fss-painter", "data-testid": "mask-painter", role: "group",
      "aria-label": this.model.get("description"), "data-lm-suppress-shortcuts": "true",
    }, this.bar.element, this.canvas, this.status, element("details", {}, element("summary", {}, "keys"), help));
    el.append(this.root);
  }

  listen() {
    // What is typed here is meant for the painter: no shortcut of the notebook may see it.
    // But Ctrl or Cmd with a key, such as Ctrl+S, is, undo and redo apart; who looks for the mark does
    // so on the document, after the window.
    const ofPage = (event) => (event.ctrlKey || event.metaKey) && !/^[zy]$/i.test(event.key);
    for (const kind of ["keydown", "keyup", "keypress"]) {
      this.root.addEventListener(kind, (event) => ofPage(event) || event.stopPropagation());
    }
    const mark = (event) => this.root.toggleAttribute("data-lm-suppress-shortcuts", !ofPage(event));
    window.addEventListener("keydown", mark, true);
    this.canvas.addEventListener("focus", () => this.show());
    const heard = [
      ["change:_runs", () => this.drawing.load(this.model.get("_runs"))],
      ["change:_picture", () => this.readPicture()],
      ["change:tool", () => this.drawing.choose(this.model.get("tool"))],
      ["change:label", () => { this.drawing.label = this.model.get("label"); }],
      ["change:brush_radius", () => { this.drawing.radius = this.model.get("brush_radius"); }],
    ].map(([name, act]) => [name, () => { act(); this.show(); }]);
    heard.forEach(([name, act]) => this.model.on(name, act));
    const resized = new ResizeObserver(() => this.show());
    resized.observe(this.canvas);
    this.stop = () => {
      window.removeEventListener("keydown", mark, true);
      heard.forEach(([name, act]) => this.model.off(name, act));
      resized.disconnect();
    };
  }

  // With the kernel

  send(bytes) {
    this.set("_runs", bytes);
    const share = 100 * this.drawing.marked / (this.width * this.height);
    this.say(`${this.drawing.marked} pixels marked, ${share.toFixed(1)} %`);
  }

  set(name, value) {
    this.model.set(name, value);
    this.model.save_changes();
  }

  async readPicture() {
    this.view.picture = await createImageBitmap(new Blob([this.model.get("_picture")]));
    this.show();
  }

  // What toolbar and keys share

  undo() { return this.say(this.drawing.undo() ? "undone" : "nothing to undo"); }
  redo() { return this.say(this.drawing.redo() ? "redone" : "nothing to redo"); }

  clear() {
    this.drawing.clear();
    return this.say("cleared");
  }

  close() {
    this.drawing.close();
    this.show();
    return true;
  }

  hide() {
    this.view.masked = !this.view.masked;
    return this.say(this.view.masked ? "mask shown" : "mask hidden");
  }

  choose(tool) {
    this.drawing.choose(tool);
    this.set("tool", tool);
    return this.say(tool);
  }

  mark(label) {
    if (label !== UNKNOWN && label > this.model.get("labels").length) return false;
    this.drawing.label = label;
    this.set("label", label);
    return this.say(`marks ${label === UNKNOWN ? "what nobody knows" : this.model.get("labels")[label - 1]}`);
  }

  size(radius) {
    this.drawing.radius = Math.round(2 * Math.min(Math.max(radius, this.radii[0]), this.radii[1])) / 2;
    this.set("brush_radius", this.drawing.radius);
    return this.say(`radius ${this.drawing.radius} pixels`);
  }

  zoom(factor) {
    this.view.zoomAt(this.cursor, factor || 1e-9);
    return this.say(`zoom ${this.view.zoom.toFixed(1)} times`);
  }

  say(text) {
    this.status.textContent = text;
    this.show();
    return true;
  }

  press() {
    this.pointers.pressure = !this.pointers.pressure;
    this.say(this.pointers.pressure ? "thicker where the pen is pressed" : "one thickness");
  }

  /** Draw with the next frame, once however often it is asked for. */
  show() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      const { drawing, keys, pointers } = this;
      const strokes = ["brush", "eraser"].includes(drawing.tool);
      const seen = pointers.hovers || keys.used;
      const next = drawing.tool === "polygon" && drawing.corners.length && seen ? [this.cursor] : [];
      const cursor = { point: this.cursor, radius: strokes && drawing.radius, keys: keys.used };
      this.view.draw([...drawing.shape, ...next], drawing.tool === "box", seen ? cursor : null);
      this.bar.show({ ...drawing, pen: pointers.seesPen, pressed: pointers.pressure });
    });
  }
}

function render({ model, el }) {
  let painter = new Painter(model, el);
  const again = () => { // a picture of another size is another map
    painter.stop();
    painter.root.remove();
    painter = new Painter(model, el);
  };
  const names = ["change:_size", "change:labels", "change:unknown"];
  names.forEach((name) => model.on(name, again));
  return () => {
    names.forEach((name) => model.off(name, again));
    painter.stop();
  };
}

export default { render };
