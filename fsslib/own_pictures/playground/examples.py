"""Questions whose answer is known, from Scenes-10i: drawn crisply, for painting on."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from fsslib.data.protocol import Protocol
from fsslib.data.registry import load_benchmark
from fsslib.data.sampler import EpisodeSpec, test_episodes
from fsslib.data.scenes import CLASS_NAMES, render_scene
from fsslib.own_pictures.playground.case import Case

SIDE = 388
"""Four times the network's input: the same scene, with sharp edges."""
COUNT = 200


def example(number: int) -> Case:
    """The support, its mask, the query and its truth of a test episode of fold 0, from 0."""
    spec = _specs()[number % COUNT]
    class_id = spec.classes[0]
    (support, mask), (query, truth) = (
        _scene(spec.split, index, class_id) for index in (spec.supports[0][0], spec.query)
    )
    return Case(support, mask, query, CLASS_NAMES[class_id - 1], truth)


def stranger(number: int) -> Case:
    """Another example, of another class."""
    classes = [spec.classes[0] for spec in _specs()]
    own = classes[number % COUNT]
    return example(next(i for i in range(number, number + COUNT) if classes[i % COUNT] != own))


@lru_cache(maxsize=1)
def _specs() -> list[EpisodeSpec]:
    protocol = Protocol.preset("scenes10i", fold=0, episodes=COUNT)
    return list(test_episodes(load_benchmark(protocol), protocol))


@lru_cache(maxsize=16)
def _scene(split: str, index: int, class_id: int) -> tuple[np.ndarray, np.ndarray]:
    scene = render_scene(split, 0, index, SIDE)
    return scene.image, (scene.label == class_id).astype(np.uint8)
