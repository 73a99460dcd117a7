"""The 40 classes of Scenes-10i, their four folds, and the function that draws each.

Class ids are 1..40; fold f holds the ids 10 f + 1 .. 10 f + 10, as in PASCAL-5i and COCO-20i.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fsslib.data.scenes import (
    aircraft,
    animals,
    furniture,
    household,
    outdoors,
    plants,
    shelled_animals,
    sky,
    tools,
    treasures,
    trees,
    vehicles,
    winged_animals,
)
from fsslib.data.scenes.pen import Look, Pen

DrawFunction = Callable[[Pen, Look, np.random.Generator], None]

FOLDS: tuple[tuple[str, ...], ...] = (
    ("house", "fish", "mug", "umbrella", "star", "car", "mushroom", "key", "cat", "rocket"),
    (
        "tree",
        "boat",
        "bottle",
        "flower",
        "clock",
        "butterfly",
        "ladder",
        "heart",
        "chair",
        "guitar",
    ),
    ("cactus", "moon", "apple", "bus", "bird", "lamp", "hammer", "crown", "snail", "envelope"),
    (
        "leaf",
        "scissors",
        "balloon",
        "airplane",
        "tent",
        "glasses",
        "turtle",
        "anchor",
        "bell",
        "pencil",
    ),
)
CLASS_NAMES: tuple[str, ...] = tuple(name for fold in FOLDS for name in fold)
"""Names in the order of the ids: `CLASS_NAMES[class_id - 1]`."""

DRAW: dict[str, DrawFunction] = {
    "house": outdoors.house,
    "fish": animals.fish,
    "mug": household.mug,
    "umbrella": outdoors.umbrella,
    "star": sky.star,
    "car": vehicles.car,
    "mushroom": plants.mushroom,
    "key": household.key,
    "cat": animals.cat,
    "rocket": aircraft.rocket,
    "tree": trees.tree,
    "boat": vehicles.boat,
    "bottle": household.bottle,
    "flower": plants.flower,
    "clock": furniture.clock,
    "butterfly": winged_animals.butterfly,
    "ladder": outdoors.ladder,
    "heart": treasures.heart,
    "chair": furniture.chair,
    "guitar": treasures.guitar,
    "cactus": plants.cactus,
    "moon": sky.moon,
    "apple": trees.apple,
    "bus": vehicles.bus,
    "bird": winged_animals.bird,
    "lamp": furniture.lamp,
    "hammer": tools.hammer,
    "crown": treasures.crown,
    "snail": shelled_animals.snail,
    "envelope": household.envelope,
    "leaf": trees.leaf,
    "scissors": tools.scissors,
    "balloon": aircraft.balloon,
    "airplane": aircraft.airplane,
    "tent": outdoors.tent,
    "glasses": tools.glasses,
    "turtle": shelled_animals.turtle,
    "anchor": outdoors.anchor,
    "bell": household.bell,
    "pencil": tools.pencil,
}
"""Class name -> function that records one random specimen with a `Pen`."""

_PAIRS = ("scissors", "glasses")


def class_name(class_id: int) -> str:
    """The name of class 1..40."""
    if not 1 <= class_id <= len(CLASS_NAMES):
        raise ValueError(f"class_id={class_id} is out of range: Scenes-10i has classes 1..40")
    return CLASS_NAMES[class_id - 1]


def class_id(name: str) -> int:
    """The id (1..40) of a class name."""
    if name not in CLASS_NAMES:
        raise ValueError(f"class name={name!r} is unknown; choose one of {CLASS_NAMES}")
    return CLASS_NAMES.index(name) + 1


def fold_class_ids(fold: int) -> tuple[int, ...]:
    """The ten class ids of a fold (0..3)."""
    if fold not in range(len(FOLDS)):
        raise ValueError(f"fold={fold} does not exist: Scenes-10i has folds 0, 1, 2 and 3")
    return tuple(range(10 * fold + 1, 10 * fold + 11))


def article(words: str) -> str:
    """Return "a" or "an", whichever fits in front of `words`."""
    return "an" if words[0] in "aeiou" else "a"


def noun_phrase(name: str, *adjectives: str) -> str:
    """A class with its article: "a red mug", "an anchor", "a pair of green glasses".

    Empty adjectives are skipped.
    """
    words = " ".join(word for word in (*adjectives, name) if word)
    if name in _PAIRS:
        return f"a pair of {words}"
    return f"{article(words)} {words}"
