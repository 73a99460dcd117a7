"""What a scene holds, decided before anything is laid out or drawn.

A plan is a pure function of (split, seed, index), made of a few integer operations: lists
"class -> scenes" for whole splits take moments, and come out the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

import numpy as np

CLASS_COUNT = 40
MOST_OBJECTS = 6
_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class ScenePlan:
    """The address of a scene and the classes it holds (distinct ids 1..40, back to front)."""

    split: str
    seed: int
    index: int
    class_ids: tuple[int, ...]


def plan_scene(split: str, seed: int, index: int, objects: tuple[int, int] = (1, 4)) -> ScenePlan:
    """Draw which classes scene `index` holds, without rendering it.

    Args:
        split: any non-empty name; scenes of different splits never share their random stream.
        seed: 0..2**64 - 1.
        index: 0..2**64 - 1.
        objects: fewest and most objects, within 1..6; a scene never shows a class twice.

    Raises:
        ValueError: naming the argument that is out of range.
    """
    check_address(split, seed, index)
    seed, index = int(seed), int(index)  # NumPy integers would overflow below
    least, most = check_objects(objects)
    state = _mix(_mix(_mix(_split_key(split)) ^ seed) ^ index)
    state = _mix(state)
    count = least + state % (most - least + 1)
    ids = list(range(1, CLASS_COUNT + 1))
    for place in range(count):
        state = _mix(state)
        other = place + state % (CLASS_COUNT - place)
        ids[place], ids[other] = ids[other], ids[place]
    return ScenePlan(split, seed, index, tuple(ids[:count]))


def scene_generator(split: str, seed: int, index: int, purpose: str) -> np.random.Generator:
    """The random stream of a scene for one `purpose` ("picture", "captions")."""
    words = []
    for number in (_split_key(split), _split_key(purpose), int(seed), int(index)):
        words += [number & 0xFFFFFFFF, number >> 32]  # fixed width: no two addresses collide
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


def check_address(split: str, seed: int, index: int) -> None:
    """Raise ValueError unless (split, seed, index) is the address of a scene."""
    if not isinstance(split, str) or not split:
        raise ValueError(f"split={split!r}: give a non-empty name, such as 'train'")
    for name, value in (("seed", seed), ("index", index)):
        if not 0 <= value <= _MASK:
            raise ValueError(f"{name}={value} is out of range: use 0..2**64 - 1")


def check_objects(objects: tuple[int, int]) -> tuple[int, int]:
    """Raise ValueError unless `objects` is (fewest, most) within 1..6."""
    if len(objects) != 2 or not 1 <= objects[0] <= objects[1] <= MOST_OBJECTS:
        raise ValueError(
            f"objects={objects!r}: give (fewest, most) with 1 <= fewest <= most <= {MOST_OBJECTS}"
        )
    return objects


@lru_cache(maxsize=256)
def _split_key(name: str) -> int:
    """64 bits of a name's digest (Python's own hash() differs between processes)."""
    return int.from_bytes(sha256(name.encode()).digest()[:8], "little")


def _mix(state: int) -> int:
    """One step of the splitmix64 generator: a well-mixed 64-bit integer from another."""
    state = (state + 0x9E3779B97F4A7C15) & _MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
    return state ^ (state >> 31)
