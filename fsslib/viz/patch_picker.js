// A picture whose patches are chosen by a click or by arrow keys. One tab stop; the frame is black,
// white and black again, so that it is seen on any picture.

const KEYS = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

function part(parent, tag, style) {
  const element = document.createElement(tag);
  Object.assign(element.style, style);
  parent.appendChild(element);
  return element;
}

function render({ model, el }) {
  const stage = part(el, "div", {
    position: "relative", width: "220px", maxWidth: "100%", cursor: "crosshair", margin: "4px 12px 8px 4px",
    overflow: "hidden", touchAction: "manipulation",
  });
  stage.tabIndex = 0;
  stage.setAttribute("role", "application");
  stage.setAttribute("aria-roledescription", "picture of patches");
  const picture = part(stage, "img", { display: "block", width: "100%" });
  picture.alt = "";
  picture.draggable = false;
  const frame = part(stage, "div", {
    position: "absolute", boxSizing: "border-box", border: "2px solid black", pointerEvents: "none",
    outline: "3px solid white", boxShadow: "0 0 0 5px black",
  });
  const spoken = part(el, "span", {
    position: "absolute", width: "1px", height: "1px", overflow: "hidden", clipPath: "inset(50%)",
  });
  spoken.setAttribute("aria-live", "polite");
  let address = null;

  function showPicture() {
    if (address) URL.revokeObjectURL(address);
    address = URL.createObjectURL(new Blob([model.get("picture")], { type: "image/jpeg" }));
    picture.src = address;
  }

  function showFrame() {
    const [row, column] = model.get("value");
    const [rows, columns] = [model.get("rows"), model.get("columns")];
    Object.assign(frame.style, {
      top: `${(100 * row) / rows}%`, height: `${100 / rows}%`,
      left: `${(100 * column) / columns}%`, width: `${100 / columns}%`,
    });
    const place = `row ${row + 1} of ${rows}, column ${column + 1} of ${columns}`;
    stage.setAttribute("aria-label", `${model.get("description")}: ${place}; arrow keys move it`);
    spoken.textContent = place;
  }

  function choose(row, column) {
    const bound = (value, count) => Math.min(Math.max(value, 0), count - 1);
    const next = [bound(row, model.get("rows")), bound(column, model.get("columns"))];
    const now = model.get("value");
    if (next[0] === now[0] && next[1] === now[1]) return;
    model.set("value", next);
    model.save_changes();
  }

  stage.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    choose(
      Math.floor(((event.clientY - box.top) / box.height) * model.get("rows")),
      Math.floor(((event.clientX - box.left) / box.width) * model.get("columns")),
    );
    stage.focus();
  });
  stage.addEventListener("keydown", (event) => {
    const step = KEYS[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const [row, column] = model.get("value");
    choose(row + step[0], column + step[1]);
  });
  stage.setAttribute("data-lm-suppress-shortcuts", "true");

  model.on("change:picture", showPicture);
  model.on("change:value", showFrame);
  showPicture();
  showFrame();
  return () => {
    model.off("change:picture", showPicture);
    model.off("change:value", showFrame);
    if (address) URL.revokeObjectURL(address);
  };
}

export default { render };
