// The painter by keys alone: a cursor that arrows move, and a letter for everything else.
import { KEYS } from "./toolbar.js";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Keys {
  constructor(painter) {
    this.painter = painter;
    this.used = false; // since the pointer last moved
    painter.canvas.addEventListener("keydown", (event) => this.down(event));
    painter.canvas.addEventListener("blur", () => { this.used = false; painter.show(); });
  }

  down(event) {
    const control = event.ctrlKey || event.metaKey;
    if (control && !/^[zy]$/i.test(event.key)) return;
    if (this.act(event.key, event.shiftKey, control)) event.preventDefault();
    this.painter.show();
  }

  /** True where the key means something here. */
  act(key, shift, control) {
    const { painter } = this;
    const low = key.toLowerCase();
    if (ARROWS[key]) return this.step(ARROWS[key], shift ? 10 : 1);
    if (key === "Enter" || key === " ") return this.put();
    if (key === "Escape") return painter.drawing.cancel();
    if (KEYS[low]) return painter.choose(KEYS[low]);
    if (low === "y" || (low === "z" && control && shift)) return painter.redo();
    if (low === "z") return painter.undo();
    if (low === "c") return painter.close();
    if (low === "h") return painter.hide();
    if (key === "Delete" || key === "Backspace") return painter.clear();
    if (key === "[") return painter.size(painter.drawing.radius / 1.25);
    if (key === "]") return painter.size(painter.drawing.radius * 1.25);
    if (key === "+" || key === "=") return painter.zoom(1.5);
    if (key === "-") return painter.zoom(1 / 1.5);
    if (key === "0") return painter.zoom(0);
    return /^[1-9]$/.test(key) && painter.mark(Number(key));
  }

  step([dx, dy], pixels) {
    const { painter } = this;
    const place = (value, change, most) =>
      Math.min(Math.max(Math.floor(value) + 0.5 + change * pixels, 0.5), most - 0.5);
    const [x, y] = painter.cursor;
    painter.cursor = [place(x, dx, painter.width), place(y, dy, painter.height)];
    this.used = true;
    painter.view.reveal(painter.cursor);
    painter.drawing.move(painter.cursor);
    return painter.say(`column ${Math.floor(painter.cursor[0])}, row ${Math.floor(painter.cursor[1])}`);
  }

  /** Put the tool down or lift it; a fill and a polygon's corner need no lifting. */
  put() {
    const { painter, painter: { drawing, cursor } } = this;
    this.used = true;
    if (drawing.pressed) { drawing.release(cursor); return true; }
    drawing.press(cursor);
    if (["fill", "polygon"].includes(drawing.tool)) drawing.release(cursor);
    else painter.say(`${drawing.tool} down`);
    if (drawing.tool === "polygon") painter.say(`corner ${drawing.corners.length}`);
    return true;
  }
}
