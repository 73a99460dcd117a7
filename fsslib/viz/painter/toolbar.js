// Buttons of the painter: names for everybody, one tab stop, arrow keys from one to the next.
import { TOOLS } from "./drawing.js";
import { tint } from "./view.js";

export const KEYS = { b: "brush", e: "eraser", r: "box", p: "polygon", f: "fill" };
export const HELP = [
  ["B E R P F", "brush, eraser, box, polygon, fill"],
  ["arrows", "move the cursor by a pixel; with Shift by ten"],
  ["Enter or Space", "put the tool down, and lift it; for a polygon: a corner"],
  ["C or double click", "close the polygon"],
  ["Escape", "forget what is not finished"],
  ["Z, Y", "undo, redo"],
  ["Delete", "clear"],
  ["[ ]", "thinner, thicker"],
  ["+ − 0", "zoom in, out, all of it; Ctrl and wheel or two fingers; middle button moves"],
  ["1 … 9", "label"],
  ["H", "hide or show the mask"],
];

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function button(id, label, hint, act) {
  const made = element("button", {
    type: "button", "data-testid": `mask-painter-${id}`, "aria-label": hint, title: hint,
  }, label);
  made.addEventListener("click", act);
  return made;
}

/** A toolbar of what `act` can do.
 *
 *  Gives {element, show(state)}; `show` marks the tool, label and size of `state`. */
export function toolbar(labels, radii, act) {
  const keyOf = (tool) => Object.keys(KEYS).find((key) => KEYS[key] === tool).toUpperCase();
  const tools = TOOLS.map((tool) =>
    button(`tool-${tool}`, tool, `${tool} (${keyOf(tool)})`, () => act.choose(tool)));
  const names = labels.map(([number, name]) => {
    const made = button(`label-${number}`, name, `mark ${name}`, () => act.mark(number));
    made.style.setProperty("--tint", `rgb(${tint(number)})`);
    return made;
  });
  const thickness = element("input", {
    type: "range", min: radii[0], max: radii[1], step: 0.5, "aria-label": "radius of the brush, in pixels",
    "data-testid": "mask-painter-radius",
  });
  thickness.addEventListener("input", () => act.size(Number(thickness.value)));
  const pressure = button("pressure", "pressure", "thickness by the pen's pressure", () => act.press());
  pressure.hidden = true;
  const groups = [
    ["tools", tools],
    ["labels", names.length > 1 ? names : []],
    ["size", [element("span", { "aria-hidden": "true" }, "thickness"), thickness, pressure]],
    ["steps", [
      button("undo", "undo", "undo (Z)", () => act.undo()),
      button("redo", "redo", "redo (Y)", () => act.redo()),
      button("clear", "clear", "clear (Delete)", () => act.clear()),
    ]],
    ["zoom", [
      button("zoom-out", "−", "zoom out (−)", () => act.zoom(1 / 1.5)),
      button("zoom-fit", "all", "show all of it (0)", () => act.zoom(0)),
      button("zoom-in", "+", "zoom in (+)", () => act.zoom(1.5)),
    ]],
  ];
  const bar = element("div", { role: "toolbar", "aria-label": "tools of the mask painter", class: "fss-bar" });
  for (const [name, inside] of groups.filter((group) => group[1].length)) {
    bar.append(element("span", { role: "group", "aria-label": name }, ...inside));
  }
  rove(bar);
  return { element: bar, show };

  function show({ tool, label, radius, pen, pressed }) {
    tools.forEach((each, i) => each.setAttribute("aria-pressed", TOOLS[i] === tool));
    names.forEach((each, i) => each.setAttribute("aria-pressed", labels[i][0] === label));
    thickness.value = radius;
    thickness.setAttribute("aria-valuetext", `${radius} pixels`);
    pressure.hidden = !pen;
    pressure.setAttribute("aria-pressed", pressed);
  }
}

/** One tab stop for all; left and right move between them, but within a slider. */
function rove(bar) {
  const all = () => [...bar.querySelectorAll("button, input")].filter((each) => !each.hidden);
  all().forEach((each, i) => { each.tabIndex = i ? -1 : 0; });
  bar.addEventListener("focusin", (event) => {
    all().forEach((each) => { each.tabIndex = each === event.target ? 0 : -1; });
  });
  bar.addEventListener("keydown", (event) => {
    const slides = event.target.type === "range";
    const step = { ArrowRight: 1, ArrowLeft: -1, ...(slides ? {} : { ArrowDown: 1, ArrowUp: -1 }) }[event.key];
    if (!step || (slides && !event.ctrlKey)) return;
    const [items, place] = [all(), all().indexOf(event.target)];
    items[(place + step + items.length) % items.length].focus();
    event.preventDefault();
  });
}
