"""Scenes-10i: renders scene `index` of a split, with its label map and what there is to say of it.

A scene is a pure function of (split, seed, index, objects); `size` only sets the resolution.
What is in it is decided in `plan.py`, where in `layout.py`; this module puts the pieces together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import PIL
import skimage

from fsslib.data.scenes.background import random_background
from fsslib.data.scenes.captions import describe
from fsslib.data.scenes.classes import class_name
from fsslib.data.scenes.facts import SceneObject
from fsslib.data.scenes.layout import Layout, Placement
from fsslib.data.scenes.lighting import Light, expose, random_light, stamp
from fsslib.data.scenes.pen import Look
from fsslib.data.scenes.plan import ScenePlan, plan_scene, scene_generator
from fsslib.data.scenes.raster import Drawing
from fsslib.data.scenes.specimen import random_distractor, random_object

BORDER = 255
"""Label of the narrow rim around every object, which evaluation ignores (as in VOC)."""

SMALLEST_SIZE = 16
_DISTRACTORS = (0, 0, 1, 1, 2, 3)


@dataclass(frozen=True)
class Scene:
    """A rendered scene.

    Attributes:
        plan: its address and classes.
        image: (size, size, 3) uint8 RGB.
        label: (size, size) uint8: 0 background, 1..40 class, 255 border.
        objects: facts about each object, back to front.
        background: what lies behind, with article: "grass", "a brick wall", ...
    """

    plan: ScenePlan
    image: np.ndarray
    label: np.ndarray
    objects: tuple[SceneObject, ...]
    background: str

    @cached_property
    def captions(self) -> tuple[str, ...]:
        """Four or five wordings of what the scene shows, made when first asked for."""
        rng = scene_generator(self.plan.split, self.plan.seed, self.plan.index, "captions")
        return describe(self.objects, self.background, rng)


def renderer() -> str:
    """The packages that decide about pixels, and their versions: Pillow draws scenes, scikit-image
    lends photographs. For names of files that hold scenes."""
    return f"pillow{PIL.__version__}_skimage{skimage.__version__}"


def render_scene(
    split: str, seed: int, index: int, size: int = 128, objects: tuple[int, int] = (1, 4)
) -> Scene:
    """Render one scene.

    Args:
        split, seed, index, objects: see `plan_scene`; the scene holds exactly the plan's classes.
        size: side of the square picture in pixels, 16 or more.

    Raises:
        ValueError: naming the argument that is out of range.
    """
    if size < SMALLEST_SIZE:
        raise ValueError(f"size={size} is too small: use {SMALLEST_SIZE} pixels or more")
    plan = plan_scene(split, seed, index, objects)
    rng = scene_generator(split, seed, index, "picture")
    canvas, background = random_background(rng, size)
    light = random_light(rng)
    _scatter_distractors(canvas, light, rng)
    drawings, looks = _make_objects(plan, background.colours, rng)
    placements = Layout(drawings, rng).place()
    owner = _stamp_all(canvas, drawings, placements, light)
    return Scene(
        plan=plan,
        image=expose(canvas, rng),
        label=label_map(owner, plan.class_ids),
        objects=_facts(plan, looks, placements),
        background=background.words,
    )


def label_map(owner: np.ndarray, class_ids: tuple[int, ...]) -> np.ndarray:
    """Turn "which object" (0 none, 1 + position) into class ids with a border of 255.

    The border is about 1 % of the image wide: one pixel at 96. An object so thin that the border
    would swallow it keeps its pixels.
    """
    table = np.array([0, *class_ids], np.uint8)
    label = table[owner]
    least = most = owner
    for axis in (0, 1):
        first_least, first_most = least, most
        for step in range(1, max(1, round(len(owner) / 96)) + 1):
            least = np.minimum(least, _moved(first_least, step, axis))
            most = np.maximum(most, _moved(first_most, step, axis))
    bordered = np.where(least != most, np.uint8(BORDER), label)
    for number, left in enumerate(np.bincount(bordered.ravel(), minlength=256)[table[1:]], 1):
        if not left:
            bordered[owner == number] = table[number]
    return bordered


def _moved(array: np.ndarray, step: int, axis: int) -> np.ndarray:
    """`array` shifted towards lower coordinates; at the far edge its last line is repeated."""
    place = np.minimum(np.arange(array.shape[axis]) + step, array.shape[axis] - 1)
    return array.take(place, axis)


def _scatter_distractors(canvas: np.ndarray, light: Light, rng: np.random.Generator) -> None:
    size = len(canvas)
    for _ in range(_DISTRACTORS[int(rng.integers(len(_DISTRACTORS)))]):
        drawing = random_distractor(rng)
        x, y, scale = rng.random(3).tolist()
        sprite = drawing.sprite((0.08 + 0.2 * scale) * size, x * size, y * size, size)
        if sprite is not None:
            stamp(canvas, sprite, light)


def _make_objects(
    plan: ScenePlan, avoid: tuple[str, ...], rng: np.random.Generator
) -> tuple[list[Drawing], list[Look]]:
    """The plan's objects, each of another main colour, so that captions can tell them apart."""
    drawings, looks = [], []
    for class_id in plan.class_ids:
        drawing, look = random_object(class_name(class_id), rng, avoid)
        avoid = (*avoid, look.colour_name)
        drawings.append(drawing)
        looks.append(look)
    return drawings, looks


def _stamp_all(
    canvas: np.ndarray, drawings: list[Drawing], placements: list[Placement], light: Light
) -> np.ndarray:
    """Draw the objects back to front; returns (size, size) uint8, 1 + position of the owner."""
    size = len(canvas)
    owner = np.zeros((size, size), np.uint8)
    for number, (drawing, placement) in enumerate(zip(drawings, placements, strict=True), 1):
        sprite = drawing.sprite(
            placement.scale * size, placement.x * size, placement.y * size, size
        )
        stamp(canvas, sprite, light)
        owner[sprite.window][sprite.alpha > 127] = number
    return owner


def _facts(
    plan: ScenePlan, looks: list[Look], placements: list[Placement]
) -> tuple[SceneObject, ...]:
    return tuple(
        SceneObject(
            class_id=class_id,
            name=class_name(class_id),
            colour=look.colour_name,
            pattern=look.pattern_name,
            area=placement.area,
            hidden=placement.hidden,
            box=placement.box,
            in_front_of=tuple(plan.class_ids[i] for i in placement.in_front_of),
        )
        for class_id, look, placement in zip(plan.class_ids, looks, placements, strict=True)
    )
