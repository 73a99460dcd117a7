"""What is asked: supports, masks and words, checked, and the method that answers.

Nothing here needs torch, so that the command refuses a question before it is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fsslib.own_pictures.choice import Choice, choose, stated
from fsslib.own_pictures.encoders import EMBEDDED
from fsslib.own_pictures.masks import as_mask
from fsslib.own_pictures.pictures import Picture, as_picture

UNNAMED = "object"
"""What a class without a name is called."""


def question(
    supports: Any, masks: Any, class_name: str | Sequence[str] | None
) -> tuple[tuple[str, ...], list[list[np.ndarray]] | None, list[list[np.ndarray]] | None]:
    """Names, supports and masks, a list of pictures for each class.

    Raises:
        ValueError: counts that do not fit, or neither supports nor a name.
    """
    if isinstance(supports, Mapping):
        return _of_several(supports, masks, class_name)
    names = (class_name,) if isinstance(class_name, str) else tuple(class_name or ())
    if supports is None:
        if masks is not None:
            raise ValueError("masks without supports: give the pictures that they mark")
        if not names:
            raise ValueError("neither supports nor class_name: mark the object, or name it")
        return names, None, None
    if len(names) > 1:
        raise ValueError(
            f"{len(names)} class names; give supports as a dictionary, {{{names[0]!r}: [...], …}}"
        )
    if isinstance(masks, Mapping):
        raise ValueError(
            f"masks of {sorted(masks)} and supports without names; name all of them, or none"
        )
    of_class, marks = _pairs(supports, masks, "support")
    return names or (UNNAMED,), [of_class], None if marks is None else [marks]


def _of_several(
    supports: Mapping[str, Any], masks: Any, class_name: Any
) -> tuple[tuple[str, ...], list[list[np.ndarray]], list[list[np.ndarray]] | None]:
    if class_name is not None:
        raise ValueError(f"class_name={class_name!r} beside named supports; leave it out")
    if masks is not None and (not isinstance(masks, Mapping) or masks.keys() != supports.keys()):
        actual = sorted(masks) if isinstance(masks, Mapping) else type(masks).__name__
        raise ValueError(f"masks of {actual}; expected a dictionary of {sorted(supports)}")
    pairs = [
        _pairs(supports[name], None if masks is None else masks[name], f"{name}, support")
        for name in supports
    ]
    pictures = [of_class for of_class, _ in pairs]
    return tuple(supports), pictures, None if masks is None else [marks for _, marks in pairs]


def _pairs(
    supports: Any, masks: Any, name: str
) -> tuple[list[np.ndarray], list[np.ndarray] | None]:
    """The supports of a class and their masks."""
    several = isinstance(supports, list | tuple)
    listed = list(supports) if several else [supports]
    pictures = [as_picture(one, f"{name} {i}") for i, one in enumerate(listed)]
    if not pictures:
        raise ValueError(f"{name}: no picture; give one at least")
    if masks is None:
        return [picture.pixels for picture in pictures], None
    marks = list(masks) if several else [masks]
    if len(marks) != len(pictures):
        raise ValueError(f"{len(pictures)} supports and {len(marks)} masks; give one for each")
    checked = [
        _mask(m, p, f"{name} {i}") for i, (m, p) in enumerate(zip(marks, pictures, strict=True))
    ]
    return [picture.pixels for picture in pictures], checked


def _mask(value: Any, picture: Picture, name: str) -> np.ndarray:
    return as_mask(value, picture, name if picture.name.startswith(name) else picture.name)


def chosen(
    method: Choice | str,
    weights: str | None,
    names: tuple[str, ...],
    pictures: list | None,
    masks: list | None,
) -> Choice:
    """The method that answers such a question.

    Raises:
        ConfigError, ValueError: weights, words or a method that nobody here knows.
    """
    if isinstance(method, Choice):
        return method
    shot = 1 if pictures is None else len(pictures[0])
    if method != "auto":
        if weights not in (None, EMBEDDED):
            raise ValueError(
                f"method={method!r} with weights={weights!r}: a method by name reads the embedded "
                "encoders; leave one out, or give a Choice of the parameters of `fsslib run "
                "evaluate`"
            )
        return stated(method, len(names), shot)
    named = tuple(name for name in names if name != UNNAMED)
    return choose(masks is not None, named, weights or EMBEDDED, len(names), shot)
