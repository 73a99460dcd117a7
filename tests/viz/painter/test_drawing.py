"""What the painter's tools do to pixels: its JavaScript, run by Node."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from skimage.draw import polygon2mask

from fsslib.viz.painter.runs import decode, encode
from fsslib.viz.painter.widget import FOLDER, SCRIPTS, script

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="no Node.js: the script is not run")
WIDTH, HEIGHT = 30, 20


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """The scripts where Node takes them as modules."""
    folder = tmp_path_factory.mktemp("painter")
    for name in SCRIPTS:
        shutil.copy(FOLDER / f"{name}.js", folder)
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


@pytest.fixture
def play(modules):
    def run(*calls):
        question = {"folder": str(modules), "width": WIDTH, "height": HEIGHT, "calls": calls}
        completed = subprocess.run(
            [NODE, Path(__file__).with_name("play.mjs")],
            input=json.dumps(question),
            capture_output=True,
            text=True,
        )
        assert not completed.returncode, completed.stderr
        answer = json.loads(completed.stdout)
        answer["told"] = [decode(bytes(runs), (HEIGHT, WIDTH)) for runs in answer["told"]]
        answer["labels"] = np.array(answer["labels"], np.uint8).reshape(HEIGHT, WIDTH)
        return answer

    return run


def stroke(*points):
    moves = [["move", list(point)] for point in points[1:]]
    return [["press", list(points[0])], *moves, ["release", list(points[-1])]]


@needs_node
def test_a_stroke_marks_what_is_near_its_line_and_is_told_once(play):
    answer = play(["set", "radius", 2.5], *stroke((5.5, 10), (14, 10), (22.5, 10)))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    along = np.clip(columns, 5.5, 22.5)
    expected = (rows - 10) ** 2 + (columns - along) ** 2 <= 2.5**2
    np.testing.assert_array_equal(answer["labels"], expected)
    assert len(answer["told"]) == 1
    np.testing.assert_array_equal(answer["told"][0], expected)


@needs_node
def test_a_touch_marks_a_pixel_however_thin_and_wherever(play):
    answer = play(["set", "radius", 0.5], *stroke((3.99, 4.01)), *stroke((-5, 3), (40, 3.5)))
    assert answer["labels"][4, 3] == 1 and answer["labels"][3].all()
    outside = play(["set", "radius", 3], *stroke((-50, -50), (-40, 90)))
    assert not outside["told"] and not outside["labels"].any()


@needs_node
def test_box_polygon_and_fill(play):
    box = play(["choose", "box"], *stroke((20.2, 12.9), (4.5, 3.1)))["labels"]
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[3:13, 4:21] = 1
    np.testing.assert_array_equal(box, expected)
    corners = [(3, 2), (25, 5), (17, 18), (9, 7)]
    presses = [call for corner in corners for call in stroke(corner)]
    polygon = play(["choose", "polygon"], *presses, ["close"])
    outline = np.array(corners)[:, ::-1] - 0.5
    np.testing.assert_array_equal(polygon["labels"], polygon2mask((HEIGHT, WIDTH), outline))
    assert len(polygon["told"]) == 1, "corners are nothing to tell yet"
    ring = [["choose", "box"], *stroke((4, 3), (20, 15)), ["choose", "eraser"]]
    hole = [["set", "radius", 2], *stroke((10, 9), (14, 9))]
    filled = play(*ring, *hole, ["choose", "fill"], *stroke((12, 9)))
    assert (filled["told"][1] == 0)[8:10, 10:14].all() and filled["labels"].sum() == 16 * 12


@needs_node
def test_fill_takes_connected_pixels_alone(play):
    start = (np.random.default_rng(0).random((HEIGHT, WIDTH)) < 0.45).astype(np.uint8)
    pieces, _ = ndimage.label(start == 0)
    row, column = np.argwhere(pieces == np.bincount(pieces[pieces > 0]).argmax())[0].tolist()
    at = (column + 0.5, row + 0.5)
    filling = [["choose", "fill"], ["set", "label", 2], *stroke(at)]
    answer = play(["load", list(encode(start))], *filling)
    expected = np.where(pieces == pieces[row, column], 2, start)
    np.testing.assert_array_equal(answer["labels"], expected)


@needs_node
def test_undo_redo_and_clear(play):
    first, second = stroke((5, 5)), stroke((20, 10))
    answer = play(*first, *second, *(3 * [["undo"]]), *(3 * [["redo"]]), ["clear"])
    assert answer["given"][-7:-1] == [True, True, False, True, True, False]
    one, two, *steps = answer["told"]
    blank = np.zeros_like(one)
    for step, expected in zip(steps, [one, blank, one, two, blank], strict=True):
        np.testing.assert_array_equal(step, expected)
    branch = play(*first, ["undo"], *second, ["redo"])
    assert branch["given"][-1] is False, "what was undone is gone once something else is drawn"


@needs_node
def test_what_is_not_finished_can_be_forgotten(play):
    pressed = [["press", [5, 5]], ["move", [15, 5]]]
    answer = play(*pressed, ["cancel"], ["release", [15, 5]], ["cancel"])
    assert answer["given"][2] is True and answer["given"][4] is False
    assert not answer["told"] and not answer["labels"].any()
    two = play(["choose", "polygon"], *stroke((1, 1)), *stroke((9, 9)), ["close"])
    assert not two["told"], "two corners are no polygon"


@needs_node
def test_a_pens_other_end_erases_whatever_the_tool(play):
    start = np.ones((HEIGHT, WIDTH), np.uint8)
    calls = [["load", list(encode(start))], ["choose", "box"], ["set", "radius", 2]]
    pressed = [["press", [10, 10], {"erase": True}], ["move", [20, 10]], ["release", [20, 10]]]
    answer = play(*calls, *pressed)
    assert not answer["labels"][9:11, 10:20].any() and answer["labels"].sum() > 500


@needs_node
def test_pressure_makes_the_line_thicker(play):
    thin, thick = (
        play(["set", "radius", 6], ["press", [15, 10], {"pressure": p}], ["release", [15, 10]])
        for p in (0.3, 1)
    )
    assert 0 < thin["labels"].sum() < thick["labels"].sum() / 5


@needs_node
def test_maps_from_python_arrive_whole_and_can_be_undone(play):
    start = np.random.default_rng(1).integers(0, 4, (HEIGHT, WIDTH)).astype(np.uint8)
    start[0, 0] = 255
    answer = play(["load", list(encode(start))], ["load", [1, 0, 0, 0, 9, 0, 0, 0]])
    np.testing.assert_array_equal(answer["labels"], start)
    assert answer["given"] == [True, False] and not answer["told"], "nothing is sent back"
    undone = play(["load", list(encode(start))], ["undo"])
    assert len(undone["told"]) == 1 and not undone["told"][0].any()


@needs_node
def test_outlines_run_between_labels_and_around_what_touches_the_border(play):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:4, :6] = 1
    answer = play(["load", list(encode(mask))])
    lines = {tuple(line) for line in answer["lines"]}
    assert lines == {(0, 0, 6, 0), (0, 4, 6, 4), (0, 0, 0, 4), (6, 0, 6, 4)}


def test_the_widget_gets_one_script_without_imports():
    text = script()
    assert 'from "./' not in text and text.count("export default") == 1
