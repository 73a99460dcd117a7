"""COCO annotations that pycocotools would believe."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import trees

from fsslib.data.coco import Coco20i
from fsslib.data.coco_labels import draw_labels, read_instances
from hostile.judge import Case
from hostile.weights import spoilt

NAN, BIG = float("nan"), 10**400
H, W = trees.HEIGHT, trees.WIDTH
SQUARE = [10, 10, 40, 10, 40, 40, 10, 40]
Change = Callable[[dict[str, Any]], Any]


def polygon(*points: Any) -> Change:
    return lambda c: c["annotations"][0].update(segmentation=[list(points)])


def runs(counts: Any, size: Any = (H, W)) -> Change:
    code = {"size": list(size) if isinstance(size, tuple) else size, "counts": counts}
    return lambda c: c["annotations"][0].update(segmentation=code)


def put(kind: str, field: str, value: Any) -> Change:
    return lambda c: c[kind][0].update({field: value})


def take(kind: str, field: str) -> Change:
    return lambda c: c[kind][0].pop(field)


def replaced(kind: str, value: Any) -> Change:
    return lambda c: c.update({kind: value})


REFUSED: dict[str, Change] = {
    "far": polygon(0, 0, 1e9, 0, 1e9, 1e9),
    "far_negative": polygon(0, 0, -1e9, 0, -1e9, -1e9),
    "rather_far": polygon(0, 0, 1e5, 0, 1e5, 1e5),
    "nan": polygon(NAN, 1, 20, 1, 20, 20),
    "infinite": polygon(float("inf"), 1, 20, 1, 20, 20),
    "huge_number": polygon(BIG, 1, 20, 1, 20, 20),
    "odd": polygon(*SQUARE, 7),
    "text": polygon("a", "b", "c", "d", "e", "f"),
    "truth": polygon(True, False, True, True, False, True),
    "nothing": polygon(None, 1, 2, 3, 4, 5),
    "nested": polygon([1, 2], [3, 4], [5, 6]),
    "scribble": polygon(*([0, 0, W, H] * 4000)),
    "not_polygons": lambda c: c["annotations"][0].update(segmentation=[1, 2, 3]),
    "segmentation_text": put("annotations", "segmentation", "word"),
    "segmentation_null": put("annotations", "segmentation", None),
    "runs_short": runs([3]),
    "runs_long": runs([0, H * W * 9]),
    "runs_negative": runs([-5, H * W + 5]),
    "runs_fraction": runs([0.5, H * W - 0.5]),
    "runs_text": runs("zzzz~~~~"),
    "runs_other_text": runs("1"),
    "runs_open_text": runs("o"),
    "runs_unicode": runs("é"),
    "runs_number": runs(7),
    "runs_null": runs(None),
    "runs_other_size": runs([0, 25], (5, 5)),
    "runs_size_text": runs([0, H * W], "ab"),
    "runs_size_null": runs([0, H * W], None),
    "runs_size_huge": runs([0, 2**62], (2**31, 2**31)),
    **{
        f"{kind}_{field}_{name}": put(kind, field, value)
        for kind, field in (
            ("images", "height"),
            ("images", "width"),
            ("images", "id"),
            ("annotations", "id"),
            ("annotations", "image_id"),
            ("annotations", "category_id"),
        )
        for name, value in (("text", "80"), ("nan", NAN), ("fraction", 1e9), ("null", None))
    },
    "huge_image": lambda c: c["images"][0].update(height=10**6, width=10**6),
    "height_zero": put("images", "height", 0),
    "height_negative": put("images", "height", -3),
    "height_true": put("images", "height", True),
    "file_null": put("images", "file_name", None),
    "file_number": put("images", "file_name", 3),
    "file_empty": put("images", "file_name", ""),
    "file_outside": put("images", "file_name", "../../etc/passwd.jpg"),
    "file_absolute": put("images", "file_name", "/etc/passwd"),
    "file_zero_byte": put("images", "file_name", "a\0.jpg"),
    "file_long": put("images", "file_name", "a" * 300 + ".jpg"),
    "id_list": put("images", "id", [1]),
    "mixed_ids": put("images", "id", "one"),
    "ids_twice": lambda c: c["images"].append(dict(c["images"][0])),
    "files_twice": lambda c: c["images"].append({**c["images"][0], "id": 99}),
    "annotations_twice": lambda c: c["annotations"].append(dict(c["annotations"][0])),
    "unknown_image": put("annotations", "image_id", 123_456_789),
    "unknown_category": put("annotations", "category_id", 12),
    "crowd_text": put("annotations", "iscrowd", "no"),
    "crowd_two": put("annotations", "iscrowd", 2),
    "crowd_null": put("annotations", "iscrowd", None),
    **{f"no_{kind}_{f}": take(kind, f) for kind, f in (("images", "id"), ("images", "width"))},
    **{f"no_annotation_{f}": take("annotations", f) for f in ("id", "image_id", "segmentation")},
    **{f"{kind}_null": replaced(kind, None) for kind in ("images", "annotations", "categories")},
    **{f"{kind}_text": replaced(kind, "x") for kind in ("images", "annotations", "categories")},
    **{f"{kind}_numbers": replaced(kind, [1]) for kind in ("images", "annotations", "categories")},
    "no_images": lambda c: (replaced("images", [])(c), replaced("annotations", [])(c)),
    "category_null": put("categories", "name", None),
    "category_id_text": put("categories", "id", "1"),
    "category_twice": lambda c: c["categories"].append(dict(c["categories"][0])),
    "category_long": put("categories", "name", "x" * 10_000),
}
HANDLED: dict[str, Change] = {
    "as_it_is": lambda c: None,
    "a_pixel_outside": polygon(-1, -1, W + 1, -1, W + 1, H + 1),
    "a_line": polygon(1, 1, 20, 20),
    "no_corner": lambda c: c["annotations"][0].update(segmentation=[]),
    "whole_numbers": polygon(*SQUARE),
    "runs": runs([10, H * W - 10]),
    "crowd_absent": take("annotations", "iscrowd"),
    "more_fields": put("annotations", "score", 0.5),
}


def _drawn(path: Path) -> None:
    for image in read_instances(path):
        draw_labels(image)


def _changed(change: Change) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        content = json.loads(_ORIGINAL)
        change(content)
        path = folder / "instances_val2017.json"
        path.write_text(json.dumps(content))
        _drawn(path)
        if len({image["file_name"] for image in content["images"]}) < len(content["images"]):
            _whole_benchmark(folder, path)

    return act


def _whole_benchmark(folder: Path, path: Path) -> None:
    """Names of files are compared where labels are made."""
    root = trees.write_coco(folder / "coco", images=1)
    path.replace(root / "annotations" / path.name)
    Coco20i(root, workers=1)


def _bytes(content: bytes) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        path = folder / "instances.json"
        path.write_bytes(content)
        _drawn(path)

    return act


def _original() -> str:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        root = trees.write_coco(Path(folder), images=3)
        return (root / "annotations" / "instances_val2017.json").read_text()


_ORIGINAL = _original()


def mutated(content: Any, rng: np.random.Generator) -> Any:
    """JSON with one value, anywhere in it, replaced or taken away."""
    content = copy.deepcopy(content)
    node, choice = content, None
    while isinstance(node, dict | list) and node:
        keys = list(node) if isinstance(node, dict) else range(len(node))
        choice = (node, keys[int(rng.integers(len(keys)))])
        if rng.random() < 0.3:
            break
        node = node[choice[1]]
    values = [None, -1, 1e308, "", "x", [], {}, True, 0, 2**64, [[]], {"a": 1}]
    holder, key = choice
    if isinstance(holder, dict) and rng.random() < 0.2:
        del holder[key]
    else:
        holder[key] = values[int(rng.integers(len(values)))]
    return content


def cases() -> Iterator[Case]:
    for name, change in REFUSED.items():
        yield Case("annotations", name, _changed(change), "refused")
    for name, change in HANDLED.items():
        yield Case("annotations", name, _changed(change), "handled")
    rng, content = np.random.default_rng(2), json.loads(_ORIGINAL)
    for number in range(50):
        yield Case(
            "annotations", f"any_{number}", _bytes(json.dumps(mutated(content, rng)).encode())
        )
    for number in range(20):
        yield Case("annotations", f"spoilt_{number}", _bytes(spoilt(_ORIGINAL.encode(), rng)))
    for name, text in (("deep", b"[" * 100_000), ("utf16", _ORIGINAL.encode("utf-16"))):
        yield Case("annotations", name, _bytes(text))
