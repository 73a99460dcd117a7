"""The harness beside released codes, on a clone that is made here: imported whole, left without a
trace, and compared honestly."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

HARNESS = Path(__file__).parents[1] / "benchmarks" / "beside_official"
NETWORK = """
import cv2, seaborn, mmcv.cnn, torch
from seaborn.distributions import distplot
from torch import nn, ones
from util.tools import SIDE

class Net(nn.Module):
    def __init__(self, pretrained=True, s_x=ones(1).cuda()):
        super().__init__()
        self.layer = mmcv.cnn.Conv2d(3, 3, SIDE)
        if pretrained:
            self.layer.load_state_dict(torch.load("weights that are nowhere"))
"""


@pytest.fixture(scope="module")
def harness():
    sys.path.insert(0, str(HARNESS))
    names = ("clones", "stubs", "stub_opencv", "stub_mmcv", "pairs", "report")
    try:
        import clones
        import pairs
        import report
        import stub_opencv

        yield {"clones": clones, "pairs": pairs, "report": report, "cv2": stub_opencv.CONTENTS}
    finally:
        sys.path.remove(str(HARNESS))
        for name in names:
            sys.modules.pop(name, None)


def clone(folder):
    for name, text in (("model/net.py", NETWORK), ("util/tools.py", "SIDE = 3\n")):
        path = folder / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return folder


def test_a_clone_is_imported_and_forgotten(harness, tmp_path):
    clones, before = harness["clones"], set(sys.modules)
    (module,) = clones.imported(clone(tmp_path), "model.net")
    assert not {"model", "util", "cv2", "seaborn", "mmcv"} & (set(sys.modules) - before)
    assert str(tmp_path) not in sys.path
    with clones.built_blank():  # weights that are nowhere
        network = module.Net()
    assert network.layer.kernel_size == (3, 3)
    with pytest.raises(FileNotFoundError, match="clone of the right one"):
        clones.imported(tmp_path, "model.other")


def test_outputs_are_compared(harness):
    pair = harness["pairs"].Pair("sum", lambda: torch.ones(3), lambda: torch.ones(3) * 1.25)
    assert pair.difference() == pytest.approx(0.2)
    other = harness["pairs"].Pair("sum", lambda: torch.ones(3), lambda: torch.ones(4))
    with pytest.raises(ValueError, match="shapes"):
        other.difference()


def test_a_step_learns_what_the_loss_was_computed_from(harness):
    layer, unused = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    before = [p.clone() for p in (*layer.parameters(), *unused.parameters())]
    step = harness["pairs"]._stepper(lambda: (1e6 * layer(torch.ones(1, 2))).sum())
    step(), step()
    after = (*layer.parameters(), *unused.parameters())
    moved = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert moved == [True, True, False, False]


def test_rows_are_kept_and_replaced(harness, tmp_path):
    path = tmp_path / "rows.json"
    row = {"work": "net", "difference": 0.0, "agrees": True, "ratio": 2.0, "range": [1.5, 2.5]}
    row |= {"milliseconds": {"ours": [2000.0], "official": [1000.0]}}
    row |= {"peak_mib": {"ours": 3.0, "official": 2.0, "released": None}}
    rows = harness["report"].Rows(path, {"rounds": 1})
    rows.add(row), rows.add(row | {"work": "other"})
    again = harness["report"].Rows(path, {"rounds": 2})
    again.add(row | {"ratio": 1.0})
    assert [(r["work"], r["ratio"], r["rounds"]) for r in again.all] == [
        ("net", 1.0, 2),
        ("other", 2.0, 1),
    ]
    text = path.with_suffix(".md").read_text()
    assert "1.50–2.50" in text and text.rstrip().endswith("| 1.50            |")


def test_stand_ins_of_opencv(harness):
    cv2 = harness["cv2"]
    scores = np.zeros((9, 9, 1), np.uint8)
    scores[2:4, 3:7], scores[7, 7] = 200, 90
    _, binary = cv2["threshold"](scores, 80, 255, 0)
    pieces, _ = cv2["findContours"](binary, 0, 0)
    assert [cv2["boundingRect"](piece) for piece in pieces] == [(3, 2, 4, 2), (7, 7, 1, 1)]
    grid = np.arange(16).reshape(4, 4)
    assert cv2["resize"](grid, (2, 2), 0).tolist() == [[0, 2], [8, 10]]
    enlarged = cv2["resize"](grid, (8, 8), 1)
    expected = torch.nn.functional.interpolate(
        torch.tensor(grid)[None, None].float(), (8, 8), mode="bilinear"
    )
    assert np.allclose(enlarged, expected[0, 0], atol=1e-5)
