"""Sentences about a scene: attributes, counts and relations, all read off the true layout."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from fsslib.data.scenes.classes import noun_phrase
from fsslib.data.scenes.facts import SceneObject

_OPENINGS = ("", "", "a photo of ", "a picture of ", "a scene with ", "an image showing ")
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
_SMALL, _LARGE = 0.06, 0.30  # visible areas, fractions of the image
_CLEAR = 0.12  # distance of centres from which "left of" is beyond dispute
_NEAR = 0.12  # gap between boxes up to which things are "next to" each other
_NOT_ON_TOP = ("wall", "stripes", "tiles", "galaxies", "tissue", "scan", "colours")


def describe(
    objects: tuple[SceneObject, ...], background: str, rng: np.random.Generator
) -> tuple[str, ...]:
    """Four or five captions.

    The first two name every object (the second with attributes, on its background); of several
    objects the third counts them, and the rest tell how two of them lie to each other.
    """
    ground = _ground(background)
    plain = [noun_phrase(one.name) for one in objects]
    rich = [_attributed(one, rng) for one in objects]
    captions = [
        _opening(rng) + _list(_shuffled(plain, rng)),
        f"{_opening(rng)}{_list(_shuffled(rich, rng))} {ground}",
    ]
    if len(objects) == 1:
        one = objects[0]
        captions.append(f"{background} with {_attributed(one, rng)} {_position(one)}")
        captions.append(f"{_opening(rng)}one {_counted(one)}")
        return tuple(captions)
    captions.append(f"{_NUMBERS[len(objects)]} things {ground}: {_list(_shuffled(plain, rng))}")
    pairs = list(combinations(objects, 2))
    for place in rng.permutation(len(pairs))[:2].tolist():
        captions.append(_opening(rng) + _related(*pairs[place], rng))
    if rng.random() < 0.5:
        captions[-1] += f" {ground}"
    return tuple(captions)


def relations(one: SceneObject, other: SceneObject) -> tuple[str, ...]:
    """Every relation word that truly holds from `one` to `other`.

    Directions compare the centres of the boxes and are given only where the distance is clear
    and not mostly across; "next to" asks for a small gap, "in front of" and "behind" for overlap.
    """
    (ax, ay), (bx, by) = one.centre, other.centre
    right, down = ax - bx, ay - by
    words = []
    if abs(right) >= max(_CLEAR, abs(down)):
        words.append("to the right of" if right > 0 else "to the left of")
    if abs(down) >= max(_CLEAR, abs(right)):
        words.append("below" if down > 0 else "above")
    if other.class_id in one.in_front_of:
        words.append("in front of")
    elif one.class_id in other.in_front_of:
        words.append("behind")
    elif _gap(one, other) < _NEAR:
        words.append("next to")
    return tuple(words)


def _related(one: SceneObject, other: SceneObject, rng: np.random.Generator) -> str:
    if rng.random() < 0.5:
        one, other = other, one
    words = relations(one, other) or ("and",)
    word = words[int(rng.integers(len(words)))]
    return f"{_attributed(one, rng)} {word} {_attributed(other, rng)}"


def _attributed(one: SceneObject, rng: np.random.Generator) -> str:
    """Noun phrase with some of its attributes, always true ones."""
    size = "small" if one.area < _SMALL else "large" if one.area > _LARGE else ""
    with_size, with_colour, with_pattern = (rng.random(3) < (0.4, 0.75, 0.7)).tolist()
    return noun_phrase(
        one.name,
        size if with_size else "",
        one.colour if with_colour else "",
        one.pattern if with_pattern else "",
    )


def _counted(one: SceneObject) -> str:
    """Words that may follow "one": "one red mug", "one pair of scissors"."""
    return noun_phrase(one.name, one.colour, one.pattern).split(" ", 1)[1]


def _position(one: SceneObject) -> str:
    x, y = one.centre
    if max(abs(x - 0.5), abs(y - 0.5)) < 0.12:
        return "in the middle"
    if abs(x - 0.5) >= abs(y - 0.5):
        return "on the left" if x < 0.5 else "on the right"
    return "at the top" if y < 0.5 else "at the bottom"


def _ground(background: str) -> str:
    """Background with a fitting preposition: "on grass", "against a brick wall"."""
    words = background.split()
    if words[-1] == "garage":
        return f"in {background}"
    preposition = "against" if any(word in words for word in _NOT_ON_TOP) else "on"
    return f"{preposition} {background}"


def _gap(one: SceneObject, other: SceneObject) -> float:
    """Distance between two boxes along the worse axis; negative where they overlap."""
    across = max(one.box[0], other.box[0]) - min(one.box[2], other.box[2])
    down = max(one.box[1], other.box[1]) - min(one.box[3], other.box[3])
    return max(across, down)


def _opening(rng: np.random.Generator) -> str:
    return _OPENINGS[int(rng.integers(len(_OPENINGS)))]


def _shuffled(words: list[str], rng: np.random.Generator) -> list[str]:
    return [words[i] for i in rng.permutation(len(words)).tolist()]


def _list(phrases: list[str]) -> str:
    """ "a mug", "a mug and a key", "a mug, a key and a car"."""
    if len(phrases) == 1:
        return phrases[0]
    return f"{', '.join(phrases[:-1])} and {phrases[-1]}"
