// The painter by mouse, pen and fingers: one draws, two zoom and move, the middle button moves.
const ERASER = 32; // the bit of a pen's other end in `buttons`
const NEAR = 8; // screen pixels from a polygon's first corner

export class Pointers {
  constructor(painter, pressure) {
    this.painter = painter;
    this.hovers = false;
    this.seesPen = false;
    this.pressure = pressure;
    this.fingers = new Map();
    const on = (kind, act) => painter.canvas.addEventListener(kind, act);
    on("pointerdown", (event) => this.down(event));
    on("pointermove", (event) => this.moved(event));
    on("pointerup", (event) => this.up(event));
    on("pointercancel", (event) => { this.fingers.delete(event.pointerId); painter.drawing.cancel(); });
    on("pointerleave", () => { this.hovers = false; painter.show(); });
    on("dblclick", () => painter.close());
    on("contextmenu", (event) => event.preventDefault());
    on("wheel", (event) => this.wheel(event));
  }

  down(event) {
    const { painter, painter: { canvas, drawing, view } } = this;
    event.preventDefault();
    event.stopPropagation(); // or the notebook takes the focus
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    painter.keys.used = false;
    this.seesPen ||= event.pointerType === "pen";
    if (event.pointerType === "touch") {
      this.fingers.set(event.pointerId, [event.clientX, event.clientY]);
      if (this.fingers.size > 1) { drawing.cancel(); return; }
    }
    const point = view.point(event);
    painter.cursor = point;
    if (event.button === 1) this.dragged = point;
    else if (drawing.tool === "polygon" && this.nearFirst(point)) drawing.close();
    else drawing.press(point, { erase: (event.buttons & ERASER) > 0, pressure: this.pressureOf(event) });
    painter.show();
  }

  moved(event) {
    const { painter, painter: { drawing, view } } = this;
    if (this.fingers.size > 1) { this.pinch(event); return; }
    if (this.dragged) {
      const [x, y] = view.point(event);
      view.moveTo([view.origin[0] + this.dragged[0] - x, view.origin[1] + this.dragged[1] - y]);
    } else if (drawing.pressed && event.buttons) {
      const all = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
      for (const each of all.length ? all : [event]) {
        drawing.move(view.point(each), { pressure: this.pressureOf(each) });
      }
    }
    if (!painter.keys.used || event.movementX || event.movementY) {
      painter.cursor = view.point(event);
      painter.keys.used = false;
    }
    this.hovers = true;
    painter.show();
  }

  up(event) {
    const several = this.fingers.size > 1;
    this.fingers.delete(event.pointerId);
    if (this.dragged) this.dragged = null;
    else if (!several) this.painter.drawing.release(this.painter.view.point(event));
    this.painter.show();
  }

  pinch(event) {
    if (!this.fingers.has(event.pointerId)) return;
    const { view } = this.painter;
    const other = [...this.fingers].find(([id]) => id !== event.pointerId)[1];
    const before = this.fingers.get(event.pointerId);
    const now = [event.clientX, event.clientY];
    const apart = ([x, y]) => Math.max(Math.hypot(x - other[0], y - other[1]), 1);
    const middle = { clientX: (now[0] + other[0]) / 2, clientY: (now[1] + other[1]) / 2 };
    view.zoomAt(view.point(middle), apart(now) / apart(before));
    const moved = [0, 1].map((i) => (now[i] - before[i]) / 2 / view.scale);
    view.moveTo([view.origin[0] - moved[0], view.origin[1] - moved[1]]);
    this.fingers.set(event.pointerId, now);
    this.painter.show();
  }

  wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
    event.preventDefault();
    this.painter.view.zoomAt(this.painter.view.point(event), Math.exp(-event.deltaY / 300));
    this.painter.show();
  }

  pressureOf(event) {
    return this.pressure && event.pointerType === "pen" && event.pressure > 0 ? event.pressure : 1;
  }

  nearFirst([x, y]) {
    const { drawing: { corners }, view } = this.painter;
    return corners.length > 2 && Math.hypot(x - corners[0][0], y - corners[0][1]) * view.scale < NEAR;
  }
}
