"""A key pressed in a control stays in it: JupyterLab's own keys insert, delete and leave cells."""

from browser.controls import FOCUSABLE, KINDS, UNTRIED, astray, kinds_in, sources
from browser.lab import PANEL, SAVED

CHANGE = f"() => {PANEL}.content.widgets.at(-1).model.setMetadata('touched', Date.now())"


def test_every_kind_of_the_lessons_is_tried():
    untried = kinds_in(sources()) - UNTRIED - set(KINDS)
    assert not untried, f"try {sorted(untried)} in tests/browser/controls.py, too"


def test_keys_stay_in_controls(workbench):
    workbench.show("workbench.ipynb")
    controls = workbench.panel.locator(f".fsslib-explorer {FOCUSABLE}")
    assert controls.count() >= len(KINDS)
    assert astray(workbench, controls) is None
    saves(workbench, controls.first)


def test_keys_stay_in_the_painter(workbench):
    workbench.show("workbench.ipynb")
    controls = workbench.panel.get_by_test_id("mask-painter").locator("[tabindex='0']")
    assert controls.count() == 2  # the toolbar and the picture
    assert astray(workbench, controls) is None
    saves(workbench, controls.last)


def saves(lab, control):
    """Ctrl+S is JupyterLab's, whatever has the focus."""
    lab.page.evaluate(CHANGE)
    assert lab.state()["dirty"]
    control.focus()
    lab.page.keyboard.press("Control+s")
    lab.page.wait_for_function(SAVED)
