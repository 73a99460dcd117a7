"""Scenes-10i, the embedded benchmark: a renderer of pictures, label maps and captions.

Forty classes in four folds of ten, drawn from parametric vector parts; nothing is downloaded.
"""

from fsslib.data.scenes.classes import (
    CLASS_NAMES,
    FOLDS,
    article,
    class_id,
    class_name,
    fold_class_ids,
    noun_phrase,
)
from fsslib.data.scenes.facts import SceneObject
from fsslib.data.scenes.plan import ScenePlan, plan_scene
from fsslib.data.scenes.scene import BORDER, Scene, render_scene
from fsslib.data.scenes.sheet import contact_sheet, portrait

__all__ = [
    "BORDER",
    "CLASS_NAMES",
    "FOLDS",
    "Scene",
    "SceneObject",
    "ScenePlan",
    "article",
    "class_id",
    "class_name",
    "contact_sheet",
    "fold_class_ids",
    "noun_phrase",
    "plan_scene",
    "portrait",
    "render_scene",
]
