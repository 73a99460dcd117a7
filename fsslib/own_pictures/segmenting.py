"""`segment`: one call from pictures as people have them to a mask.

    answer = segment("query.jpg", "cup.jpg", "cup_mask.png")
    answer.save("out")

`fsslib.predict` is the core of it: arrays in, a mask out, a method in hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch

from fsslib.methods.base import FewShotSegmenter, Prediction
from fsslib.own_pictures.answer import Segmentation
from fsslib.own_pictures.choice import SCENES_SIDE, Choice, build, warn_of_drawings
from fsslib.own_pictures.encoders import EMBEDDED
from fsslib.own_pictures.pictures import Picture, as_picture
from fsslib.own_pictures.question import chosen, question
from fsslib.own_pictures.refusal import thresholds
from fsslib.own_pictures.tiles import tiled
from fsslib.predict import ask
from fsslib.runs.machine import pick_device
from fsslib.runs.machine_config import require_device

SMALLEST, LARGEST = 32, 8192
"""Sides of pictures that networks look at, in pixels."""


def segment(
    query: Any,
    supports: Any = None,
    masks: Any = None,
    class_name: str | Sequence[str] | None = None,
    method: FewShotSegmenter | Choice | str = "auto",
    weights: str | None = None,
    image_size: int | None = None,
    tile: int | None = None,
    device: str = "auto",
    progress: bool = True,
) -> Segmentation:
    """Segment a picture by an example, by a word, or by both.

    Args:
        query: a path, a PIL picture, an array or a tensor of any size; see `as_picture`.
        supports: a picture of the thing, or K of them. For several classes: a dictionary of their
            names, {"cup": [...], "pen": [...]}. None: by the word alone.
        masks: of each support, in the same form: a path, an array, a box (left, top, right,
            bottom) or a polygon; see `as_mask`.
        class_name: what the thing is called; needed without masks, and of use with them.
        method: "auto" takes the best that the weights allow and says which; or a method's name
            with changes, "clip_dinoiser variant=prototype", on the embedded encoders; or a
            segmenter.
        weights: of the encoders: "scenes" (embedded; drawings alone), "imagenet", "dinov2",
            "dinov3", a tag of open_clip's ViT-B-16 such as "openai", or "timm/ARCHITECTURE".
        image_size: side of the network's input; None: as the method was trained or published.
        tile: side in pixels of tiles that a large picture is answered in, one by one, so that
            small objects survive; None: the picture as a whole.
        progress: whether a bar shows how many tiles are done.

    Raises:
        ValueError, TypeError: pictures or masks that cannot be read as such; says what they are,
            what was expected, and how to fix it. ConfigError: a word or weights nobody here knows.
    """
    begin = perf_counter()
    _require_sides(image_size=image_size, tile=tile)
    chosen_device = _device(device)
    names, pictures, marked = question(supports, masks, class_name)
    shown = as_picture(query, "query")
    if isinstance(method, FewShotSegmenter):
        how = _How(method, method.name, "as given", image_size or SCENES_SIDE)
    else:
        choice = chosen(method, weights, names, pictures, marked)
        if weights is None or (weights == EMBEDDED and _photographs(shown, pictures)):
            warn_of_drawings()
        measured = tile is None and weights in (None, EMBEDDED)
        how = _as_chosen(choice, image_size or choice.image_size, measured)
    how.segmenter.to(chosen_device)
    if pictures is None:  # a picture that nobody will look at
        pictures = [[shown.pixels]] * len(names)
        marked = [[np.ones(shown.size, np.uint8)]] * len(names)
    last: list[Prediction] = []

    def answer(pixels: np.ndarray) -> np.ndarray:
        last[:] = [ask(pixels, pictures, marked, how.segmenter, names, how.size)]
        return last[0].logits[0].softmax(0).cpu().numpy()

    probability = tiled(shown.pixels, tile, answer, progress) if tile else answer(shown.pixels)
    maps = {} if tile else _plain(last[0].maps, names)
    return Segmentation(
        probability.argmax(0).astype(np.uint8),
        probability[1:].astype(np.float32),
        shown.pixels,
        names,
        how.label,
        how.reason,
        perf_counter() - begin,
        maps,
        how.threshold,
    )


class _How(NamedTuple):
    """By what a picture is segmented, why, at which side, and from which score on a class is
    there; None: not measured."""

    segmenter: FewShotSegmenter
    label: str
    reason: str
    size: int
    threshold: float | None = None


def _as_chosen(choice: Choice, size: int, measured: bool) -> _How:
    """Its threshold holds at the side that it was measured at alone."""
    measured = measured and size == choice.image_size
    threshold = thresholds().get(choice.label) if measured else None
    return _How(build(choice), choice.label, choice.reason, size, threshold)


def _photographs(query: Picture, supports: list[list[np.ndarray]] | None) -> bool:
    """Whether any picture has not the shape of a drawing of Scenes-10i, which are square."""
    shapes = [query.size, *(p.shape[:2] for of_class in supports or [] for p in of_class)]
    return any(height != width for height, width in shapes)


def _require_sides(**sides: int | None) -> None:
    """ValueError for a side that no network can look at."""
    for name, side in sides.items():
        whole = isinstance(side, int) and not isinstance(side, bool)
        if side is not None and not (whole and SMALLEST <= side <= LARGEST):
            raise ValueError(
                f"{name}={side!r}: expected a whole number of pixels, {SMALLEST} to {LARGEST}"
            )


def _device(name: str) -> str:
    """ConfigError for a device that has no such name, or is not there."""
    require_device(name)
    return pick_device(name)


def _plain(maps: Mapping[str, torch.Tensor], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Maps of the query as arrays (h,w); what a method has of every class, by the class's name."""
    plain = {}
    for name, value in maps.items():
        of_query = value[0].float().cpu().numpy()
        if of_query.ndim == 4 and of_query.shape[1] == 1:  # of each class against the rest
            of_query = of_query[:, 0]
        if of_query.squeeze().ndim == 2:
            plain[name] = of_query.squeeze()
        elif of_query.ndim == 3 and len(of_query) in (len(names), len(names) + 1):
            classes = zip(names, of_query[-len(names) :], strict=True)
            plain |= {name if len(names) == 1 else f"{name} of {c}": one for c, one in classes}
    return plain
