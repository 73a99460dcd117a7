"""The first lesson as a student meets it, in JupyterLab."""

from playwright.sync_api import expect

from browser.controls import FOCUSABLE, astray
from browser.lab import KERNEL_KNOWN
from browser.pointing import drag

FIRST = "00_start_here.ipynb"


def test_opening_a_lesson_changes_nothing(lab):
    lab.show(FIRST)
    lab.page.evaluate(KERNEL_KNOWN)
    assert not lab.state()["dirty"]


def test_lesson_runs_and_its_slider_shows_another_picture(lab):
    lab.show(FIRST)
    lab.run_all(240)
    cell = lab.cell("explorer(")
    picture = cell.locator(".jp-OutputArea .jp-OutputArea img")  # of the explorer's own output
    before = picture.get_attribute("src")
    drag(lab.page, cell.get_by_role("slider"), 80)
    expect(picture).not_to_have_attribute("src", before)
    assert picture.evaluate("image => image.complete && image.naturalWidth > 100")
    lab.save()
    assert astray(lab, cell.locator(f".fsslib-explorer {FOCUSABLE}")) is None
