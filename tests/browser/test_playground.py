"""The playground: two photographs become a mask, the case is saved, and a command reads it."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from skimage import data

from browser.controls import FOCUSABLE, astray
from browser.pointing import drag, stroke
from browser.servers import ROOT

NOTEBOOK = "90_playground.ipynb"
ANSWERS = "figure img[alt*='of the query marked']"
HARMLESS = "ArrowDown, b, d d"
"""Enter and Space press buttons: that starts methods, or downloads."""
METHOD = "GF-SAM's maps"
"""What `fsslib segment` takes, too, with a mask, no word and the embedded weights."""
SECONDS = 60
"""That methods may take for an answer, on a machine that has other things to do."""


def upload(page: Page, role: str, path: Path) -> None:
    """Choose a file for the support or the query, and see it."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name=f"{role}: your picture").click()
    chooser.value.set_files(path)
    size = "picture of {} by {} pixels".format(*Image.open(path).size)
    canvas = page.get_by_test_id("mask-painter").and_(page.get_by_label(role, exact=True))
    expect(canvas.get_by_test_id("mask-painter-canvas")).to_have_attribute(
        "aria-label", re.compile(size), timeout=1000 * SECONDS
    )


@pytest.fixture(scope="module")
def masked(playground, tmp_path_factory):
    """The playground after everything that a newcomer with two photographs and no mask does."""
    folder = tmp_path_factory.mktemp("photographs")
    photographs = {"support": data.astronaut(), "query": data.camera()}
    for role, pixels in photographs.items():
        Image.fromarray(pixels).save(folder / f"{role}.jpg")
    actions = [
        lambda: upload(playground, "support", folder / "support.jpg"),
        lambda: upload(playground, "query", folder / "query.jpg"),
        lambda: stroke(playground, playground.get_by_test_id("mask-painter-canvas").first, 0.1),
    ]
    for action in actions:
        action()
    answers = playground.locator(ANSWERS)
    expect(answers.first).to_be_in_viewport(ratio=0.9, timeout=1000 * SECONDS)
    return playground, 1 + len(actions)  # opening the page is one, too


def test_newcomer_with_two_photographs_has_a_mask_within_five_actions(masked):
    page, actions = masked
    assert actions <= 5
    answers = page.locator(ANSWERS)
    for answer in answers.all():
        assert re.search(r": \d+ % of the query marked", answer.get_attribute("alt"))
        assert answer.evaluate("image => image.complete && image.naturalWidth > 100")


def test_saved_case_is_read_by_the_command(masked, workplace):
    """And the command's mask is as large as the one on the page of the method that it takes."""
    page, _ = masked
    page.get_by_role("button", name="save this case").click()
    saved = page.get_by_role("status").filter(has_text="Saved as")
    expect(saved).to_be_visible(timeout=1000 * SECONDS)
    (case,) = (workplace / "cases").iterdir()
    command = json.loads((case / "case.json").read_text())["segment"]
    assert command in saved.inner_text()
    words = shlex.split(command)
    assert words[0] == "fsslib"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", *words], cwd=case.parent, env=environment, check=True)
    mask = np.asarray(Image.open(case.parent / words[-1] / "mask.png"))
    assert mask.shape == data.camera().shape
    page.get_by_role("button", name=METHOD).click()
    answer = page.locator(f'figure img[alt^="{METHOD}: "]')
    expect(answer).to_be_visible(timeout=1000 * SECONDS)
    share = f"{METHOD}: {100 * (mask > 0).mean():.0f} % of the query marked"
    assert answer.get_attribute("alt") == share


def test_threshold_shows_another_mask_without_a_new_answer(masked):
    page, _ = masked
    before = page.locator(ANSWERS).first.get_attribute("src")
    caption = page.locator("figcaption").first.inner_text()
    drag(page, page.get_by_role("slider", name="threshold"), 60)
    expect(page.locator(ANSWERS).first).not_to_have_attribute("src", before)
    assert page.locator("figcaption").first.inner_text() == caption  # its seconds, too


def test_keys_stay_in_the_playground(lab):
    lab.show(NOTEBOOK)
    lab.run_all(120)
    lab.save()
    controls = lab.panel.locator(f".fsslib-explorer {FOCUSABLE}")
    assert controls.count() > 10
    assert astray(lab, controls, HARMLESS) is None
