"""What a support is worth, and what is not there: episodes that ask for something else.

Each takes one thing away from an episode whose query stays as it is: the supports' class
(`stranger`), the true name (`wrong_word`), what is around the supports' object (`no_background`);
or keeps the supports and asks about a picture without their class (`without_object`). All are
functions of the episode and a generator of their own, so that a list with a question has the
queries of the list without.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from fsslib.data.episode_spec import EpisodeSpec

GREY = (124, 116, 104)
"""The mean picture of ImageNet, which encoders see as nothing."""


@dataclass(frozen=True)
class Pool:
    """Where other classes are drawn from."""

    images: Mapping[int, np.ndarray]
    """Class id -> pictures that can be its supports."""
    areas: Int64[np.ndarray, "images classes"]
    """Pixels of each class in each picture of the split."""


def asked(question: str, spec: EpisodeSpec, pool: Pool, rng: np.random.Generator) -> EpisodeSpec:
    """The episode with one thing taken away.

    Raises:
        ValueError: there are fewer other classes, or pictures of them, than it needs.
    """
    if question == "no_background":
        return replace(spec, cut_out=True)
    others = _others(spec, pool, rng)
    if question == "wrong_word":
        return replace(spec, named=others)
    used, rows = {spec.query}, []
    for class_id in others:
        free = [i for i in pool.images[class_id].tolist() if i not in used]
        if len(free) < (shot := len(spec.supports[0])):
            raise ValueError(f"class {class_id} has {len(free)} pictures for {shot} supports")
        rows.append(tuple(rng.choice(free, shot, replace=False).tolist()))
        used.update(rows[-1])
    return replace(spec, supports=tuple(rows), shown=others)


def _others(spec: EpisodeSpec, pool: Pool, rng: np.random.Generator) -> tuple[int, ...]:
    """As many classes of the fold that the query does not show; some that it shows where there are
    too few."""
    others = [c for c in pool.images if c not in spec.classes]
    hidden = [c for c in others if not pool.areas[spec.query, c - 1]]
    choice = hidden if len(hidden) >= len(spec.classes) else others
    if len(choice) < len(spec.classes):
        raise ValueError(
            f"{len(others)} other classes for a {len(spec.classes)}-way episode; a question about "
            "strangers or wrong words needs as many others; use a smaller way"
        )
    return tuple(rng.choice(choice, len(spec.classes), replace=False).tolist())


def without_object(
    spec: EpisodeSpec, areas: Int64[np.ndarray, "images classes"], rng: np.random.Generator
) -> EpisodeSpec:
    """The same supports, and a query without a pixel of any of the classes.

    Raises:
        ValueError: every picture shows one of them.
    """
    columns = np.asarray(spec.classes) - 1
    free = np.flatnonzero((areas[:, columns] == 0).all(1))
    if not len(free):
        raise ValueError(f"every picture of {spec.split} shows one of classes {spec.classes}")
    return replace(spec, query=int(rng.choice(free)))


def cut_out(image: UInt8[Tensor, "3 h w"], mask: UInt8[Tensor, "h w"]) -> UInt8[Tensor, "3 h w"]:
    """The object alone, on grey."""
    grey = torch.tensor(GREY, dtype=torch.uint8)[:, None, None]
    return torch.where(mask == 1, image, grey)
