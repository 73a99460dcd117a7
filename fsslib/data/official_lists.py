"""Episodes of the released codes, from the picture lists that they publish.

Neither HSNet (Min et al., ICCV 2021) nor PFENet (Tian et al., TPAMI 2020) publishes episodes. Both
publish lists of pictures and fix the seed of the draws that make the test episodes of them, so that
the same draws from the same lists are the episodes of the published numbers. `seed` is 0 in HSNet's
code and 321 in PFENet's. Written anew from what those codes do; compared with them in the tests.

HSNet's supports may repeat each other within an episode of several shots. PFENet's code scores one
episode more than it says (5,001); it is left out.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool

Drawn = tuple[int, int, tuple[int, ...]]
"""Query, class id, supports; pictures by index."""

PFENET_WORKERS = {"pascal5i": 8, "coco20i": 16}
"""Loading processes in PFENet's configurations: each draws from a stream of its own."""


def hsnet_pascal(
    listed: Sequence[tuple[int, int]], shot: int, count: int, seed: int
) -> Iterator[Drawn]:
    """Episodes of a list of (picture, class id): queries in order, over and over.

    Raises:
        ValueError: a class has a single picture.
    """
    rng = np.random.RandomState(seed)
    pictures: dict[int, list[int]] = {}
    for picture, class_id in listed:
        pictures.setdefault(class_id, []).append(picture)
    for number in range(count):
        query, class_id = listed[number % len(listed)]
        yield query, class_id, _hsnet_supports(rng, pictures[class_id], query, shot)


def hsnet_coco(
    pictures: Mapping[int, Sequence[int]], shot: int, count: int, seed: int
) -> Iterator[Drawn]:
    """Episodes of lists by class id: the class is drawn, then the query, then its supports.

    Raises:
        ValueError: a class has a single picture.
    """
    rng, classes = np.random.RandomState(seed), sorted(pictures)
    for _ in range(count):
        class_id = _one(rng, classes)
        query = _one(rng, pictures[class_id])
        yield query, class_id, _hsnet_supports(rng, pictures[class_id], query, shot)


def pfenet(
    pictures: Sequence[int],
    present: Bool[np.ndarray, "images classes"],
    large: Bool[np.ndarray, "images classes"],
    classes: Sequence[int],
    shot: int,
    count: int,
    seed: int,
    workers: int,
) -> Iterator[Drawn]:
    """Episodes of a list of pictures: queries in order, over and over; the class is drawn from
    those of `classes` that the query shows.

    Args:
        present, large: which classes (column c is class id c+1) each picture of the benchmark
            shows at all, and shows large enough to be a support or to make a picture a query.

    Raises:
        ValueError: no picture shows a class, or too few of them do.
    """
    columns = [c - 1 for c in classes]
    queries = [picture for picture in pictures if large[picture, columns].any()]
    if not queries:
        raise ValueError("no picture of the list shows a novel class large enough")
    supports = {c: [p for p in pictures if large[p, c - 1]] for c in classes}
    seeds, streams = torch.Generator().manual_seed(seed), []
    for number in range(count):
        place = number % len(queries)
        if place == 0:  # the loader starts anew, and seeds its processes from torch's stream
            base = int(torch.empty((), dtype=torch.int64).random_(generator=seeds))
            streams = [random.Random(base + worker) for worker in range(workers)]
        query, rng = queries[place], streams[place % workers]
        shown = [c for c in sorted(classes) if present[query, c - 1]]
        class_id = shown[rng.randint(1, len(shown)) - 1]
        yield query, class_id, _pfenet_supports(rng, supports[class_id], query, shot)


def _pfenet_supports(
    rng: random.Random, pool: Sequence[int], query: int, shot: int
) -> tuple[int, ...]:
    _require(len(set(pool) - {query}) >= shot, pool, shot)
    places: list[int] = []
    for _ in range(shot):
        rng.randint(1, len(pool))  # each support begins with a draw that is thrown away
        place = rng.randint(1, len(pool)) - 1
        while pool[place] == query or place in places:
            place = rng.randint(1, len(pool)) - 1
        places.append(place)
    return tuple(pool[place] for place in places)


def _hsnet_supports(
    rng: np.random.RandomState, pool: Sequence[int], query: int, shot: int
) -> tuple[int, ...]:
    _require(len(set(pool) - {query}) >= 1, pool, shot)
    supports: list[int] = []
    while len(supports) < shot:
        support = _one(rng, pool)
        if support != query:
            supports.append(support)
    return tuple(supports)


def _one(rng: np.random.RandomState, values: Sequence[int]) -> int:
    """What `choice(values, 1, replace=False)` takes."""
    return int(values[rng.permutation(len(values))[0]])


def _require(enough: bool, pool: Sequence[int], shot: int) -> None:
    if not enough:
        raise ValueError(
            f"the list names {len(set(pool))} pictures of a class, too few for {shot}-shot "
            "episodes; expected the whole list of a fold"
        )
