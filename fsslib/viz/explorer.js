// What an explorer needs of the page: keys that are pressed in its controls stay there (but Ctrl or
// Cmd with a key, such as Ctrl+S, is the page's), every control has a name that can be read aloud, and
// its picture has an alternative text.

const BOX = ".fsslib-explorer";
const SUPPRESS = "data-lm-suppress-shortcuts";
const ofPage = (event) => event.ctrlKey || event.metaKey;

function nameControls(box) {
  for (const row of box.querySelectorAll(".widget-inline-hbox, .widget-toggle-buttons, .widget-radio")) {
    const label = row.querySelector(".widget-label");
    const name = label ? label.textContent.trim() : "";
    if (!name) continue;
    for (const part of row.querySelectorAll("[role=slider], input, select, .widget-readout")) {
      part.setAttribute("aria-label", part.classList.contains("widget-readout") ? `${name}, value` : name);
    }
    const buttons = ".widget-toggle-buttons, .widget-radio-box";
    const group = row.matches(buttons) ? row : row.querySelector(buttons);
    if (group) {
      group.setAttribute("role", "group");
      group.setAttribute("aria-label", name);
    }
  }
  for (const button of box.querySelectorAll(".widget-toggle-button")) {
    const pressed = String(button.classList.contains("mod-active"));
    if (button.getAttribute("aria-pressed") !== pressed) button.setAttribute("aria-pressed", pressed);
  }
}

function describePicture(box, alt) {
  if (!alt) return; // pictures that bring their own
  for (const picture of box.querySelectorAll("img")) {
    const own = picture.closest("[role=application]"); // a picture to click on names itself
    if (!own && picture.alt !== alt) picture.alt = alt;
  }
}

function settle(box, model) {
  const keep = (event) => {
    if (!ofPage(event)) event.stopPropagation();
  };
  // JupyterLab and Notebook 7 look for this mark before they take a key as a shortcut. They listen on
  // the document in the capture phase, so that the mark is set on the window, before them.
  const mark = (event) => {
    if (box.contains(event.target)) box.toggleAttribute(SUPPRESS, !ofPage(event));
  };
  box.toggleAttribute(SUPPRESS, true);
  window.addEventListener("keydown", mark, true);
  box.addEventListener("keydown", keep);
  const tend = () => {
    nameControls(box);
    describePicture(box, model.get("alt"));
  };
  const watch = new MutationObserver(tend);
  watch.observe(box, { subtree: true, childList: true, attributes: true, attributeFilter: ["class"] });
  model.on("change:alt", tend);
  tend();
  return () => {
    watch.disconnect();
    box.removeEventListener("keydown", keep);
    window.removeEventListener("keydown", mark, true);
    model.off("change:alt", tend);
  };
}

function render({ model, el }) {
  el.style.display = "none";
  let leave = () => {};
  let waiting = true;
  const wait = () => {
    if (!waiting) return;
    const box = el.closest(BOX);
    if (box) leave = settle(box, model);
    else requestAnimationFrame(wait);
  };
  wait();
  return () => {
    waiting = false;
    leave();
  };
}

export default { render };
