"""What `predict` may be given in place of pictures and masks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from fsslib.encoders import build_backbone
from fsslib.methods import build_method
from fsslib.predict import predict
from hostile.judge import Case

RNG = np.random.default_rng(5)
PICTURE = RNG.integers(0, 256, (40, 50, 3), np.uint8)
MASK = np.zeros((40, 50), np.uint8)
MASK[10:30, 10:30] = 1
ODD: dict[str, Any] = {
    "none": None,
    "number": 3,
    "text": "picture.jpg",
    "path": Path("picture.jpg"),
    "empty": np.zeros((0, 0, 3), np.uint8),
    "flat": np.zeros((40, 50), np.uint8),
    "one_channel": np.zeros((40, 50, 1), np.uint8),
    "alpha": np.zeros((40, 50, 4), np.uint8),
    "fractions": np.zeros((40, 50, 3), np.float32),
    "signed": np.zeros((40, 50, 3), np.int64),
    "channels_first": np.zeros((3, 40, 50), np.uint8),
    "objects": np.full((40, 50, 3), None, object),
    "five_dimensions": np.zeros((1, 1, 1, 1, 1), np.uint8),
    "letters": np.full((40, 50, 3), "a"),
    "list": [[1, 2], [3]],
    "dictionary": {"a": 1},
    "nan": np.full((40, 50), np.nan),
    "seven": np.full((40, 50), 7, np.uint8),
    "zeros": np.zeros((40, 50), np.uint8),
    "unsure": np.full((40, 50), 255, np.uint8),
    "line": np.ones((1, 50), np.uint8),
    "truth": np.ones((40, 50), bool),
}


def _asked(parameters: dict[str, Any], folder: Path) -> Any:
    method = build_method("prototype", build_backbone("scenes-resnet", "random"))
    usual = {"query": PICTURE, "supports": [PICTURE], "masks": [MASK], "method": method}
    return predict(**usual | parameters)


def cases() -> Iterator[Case]:
    for (name, value), place in product(ODD.items(), ("query", "support", "mask")):
        parameters = {"support": {"supports": [value]}, "mask": {"masks": [value]}}
        act = partial(_asked, parameters.get(place, {place: value}))
        yield Case("predict", f"{place}_{name}", act)
    for name, parameters in {
        "no_supports": {"supports": []},
        "supports_none": {"supports": None},
        "masks_none": {"masks": None},
        "more_masks": {"masks": [MASK, MASK]},
        "not_a_method": {"method": "pfenet"},
        "no_name": {"class_name": None},
        "no_names": {"class_name": []},
        "numbers": {"class_name": [1, 2]},
        "two_names": {"class_name": ["a", "b"]},
        "size_zero": {"image_size": 0},
        "size_text": {"image_size": "a"},
        "size_huge": {"image_size": 10**9},
    }.items():
        yield Case("predict", name, partial(_asked, parameters), "refused")
