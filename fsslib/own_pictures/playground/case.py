"""A question: where in the query is what the support's mask marks, or what the word names?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import UInt8

from fsslib.data.episode import IGNORE

GREY = (124, 116, 104)
"""ImageNet's mean colour: what networks that subtract it see as nothing."""


@dataclass(frozen=True)
class Case:
    """Two pictures and what is known of them.

    Attributes:
        support, query: RGB, each of its own size.
        mask: of the support: 1 the object, 0 the rest, 255 don't know; all 0: nothing marked yet.
        word: what the object is called; empty: unnamed.
        truth: of the query, as `mask`; None: nobody knows.
    """

    support: UInt8[np.ndarray, "hs ws 3"]
    mask: UInt8[np.ndarray, "hs ws"]
    query: UInt8[np.ndarray, "hq wq 3"]
    word: str = ""
    truth: UInt8[np.ndarray, "hq wq"] | None = None

    def __post_init__(self) -> None:
        for name, mask, picture in (
            ("mask", self.mask, self.support),
            ("truth", self.truth, self.query),
        ):
            if mask is not None and mask.shape != picture.shape[:2]:
                raise ValueError(
                    f"{name} {mask.shape} and its picture {picture.shape[:2]} differ in size; "
                    "paint it on that very picture"
                )

    @property
    def marked(self) -> bool:
        """Whether anything of the support is marked."""
        return bool((self.mask == 1).any())


def with_stranger(case: Case, stranger: Case) -> Case:
    """The same query, asked with the support of another question: what it shows is elsewhere."""
    return replace(case, support=stranger.support, mask=stranger.mask)


def without_background(case: Case) -> Case:
    """The support with nothing but its object: is the object itself compared, or its company?"""
    visible = np.isin(case.mask, (1, IGNORE))[..., None]
    return replace(case, support=np.where(visible, case.support, np.uint8(GREY)).astype(np.uint8))
