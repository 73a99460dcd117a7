"""Prompts: the templates and class names that the papers put around and into CLIP's text tower."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from open_clip import OPENAI_IMAGENET_TEMPLATES
from torch import Tensor

IMAGENET_TEMPLATES: tuple[str, ...] = tuple(
    template("{}") for template in OPENAI_IMAGENET_TEMPLATES
)
"""CLIP's 80 ImageNet templates, from open_clip, each with one {}."""

SCENE_TEMPLATES: tuple[str, ...] = (
    "there is a {} in the scene.",
    "there is the {} in the scene.",
    "this is a {} in the scene.",
    "this is the {} in the scene.",
    "this is one {} in the scene.",
)
"""What MaskCLIP (and LFSS) append to the 80."""

TARGET_TEMPLATE = "a photo of {}."
NON_TARGET_TEMPLATE = "a photo without {}."
"""PI-CLIP's pair. The paper prints it without the final full stop, the code has it."""

TEMPLATES: dict[str, tuple[str, ...]] = {
    "imagenet": IMAGENET_TEMPLATES,
    "maskclip": IMAGENET_TEMPLATES + SCENE_TEMPLATES,
    "photo": ("a photo of a {}.",),
    "laion": ("a photo of a {}", "a photo of an {}"),
    "plain": ("a {}",),
    "target": (TARGET_TEMPLATE,),
    "non_target": (NON_TARGET_TEMPLATE,),
    "clip_es": ("a clean origami {}.",),
}
"""Template lists by name: "imagenet" (CLIP; CLIP-DINOiser's reported results), "maskclip" (the 85
of MaskCLIP and LFSS), "laion" and "plain" (CLIP-DINOiser's demos), "target" and "non_target"
(PI-CLIP), "clip_es" (its ancestor)."""

Templates = str | Sequence[str]

_PERSON = "person with clothes,people,human"
CLASS_WORDS: dict[str, dict[str, str]] = {
    "raw": {},
    "maskclip": {
        "aeroplane": "airplane",
        "diningtable": "dining table",
        "pottedplant": "potted plant",
        "tvmonitor": "tv monitor",
    },
    "clip_dinoiser": {"diningtable": "dining table", "pottedplant": "potted plant"},
    "clip_es": {
        "person": _PERSON,
        "bird": "bird avian",
        "chair": "chair seat",
        "tvmonitor": "tvmonitor screen",
        "tv": "tvmonitor screen",
        "airplane": "aeroplane",
        "motorcycle": "motorbike",
        "couch": "sofa",
        "potted plant": "pottedplant",
        "dining table": "diningtable",
        "backpack": "backpack,bag",
        "umbrella": "umbrella,parasol",
        "handbag": "handbag,purse",
        "tie": "necktie",
        "snowboard": "sknowboard",
        "baseball glove": "glove",
        "spoon": "dessertspoon",
        "remote": "remote control",
        "hair drier": "hairdrier,blowdrier",
    },
}
"""What a paper's code calls a class, by the benchmark's name; classes not listed keep theirs. "raw"
(IMR-HSNet), "maskclip" (LFSS uses it), "clip_dinoiser", "clip_es" (PI-CLIP; spelling as there)."""


def class_words(names: Sequence[str], style: str = "raw") -> list[str]:
    """The words that stand for class `names` in a paper's prompts; `style` of `CLASS_WORDS`."""
    if style not in CLASS_WORDS:
        raise ValueError(f"class words {style!r}: expected one of {sorted(CLASS_WORDS)}")
    return [CLASS_WORDS[style].get(name, name) for name in names]


_CLIP_ES_BACKGROUNDS = (
    *("ground", "land", "grass", "tree", "building", "wall", "sky", "lake", "water", "river"),
    *("sea", "railway", "railroad", "keyboard", "helmet", "cloud", "house", "mountain", "ocean"),
    *("road", "rock", "street", "valley", "bridge", "sign"),
)
BACKGROUND_NAMES: dict[str, tuple[str, ...]] = {
    "pascal5i": _CLIP_ES_BACKGROUNDS,
    "folder": _CLIP_ES_BACKGROUNDS,
    "coco20i": tuple(n for n in _CLIP_ES_BACKGROUNDS if n not in ("keyboard", "sign")),
    "scenes10i": (
        *("brick wall", "gravel", "grass", "wooden table", "garage", "stained tissue"),
        *("old coins", "fabric", "sky full of galaxies", "retina scan", "printed page"),
        *("handwritten note", "rainbow colours", "tiles", "stripes", "background"),
        "cloudy background",
    ),
}
"""Names of what is no object, by benchmark: CLIP-ES's 25 for PASCAL VOC and one's own pictures, its
23 that clash with no class of COCO, and what Scenes-10i's captions call their grounds."""


def resolve_templates(templates: Templates) -> tuple[str, ...]:
    """A named list, or the templates as given.

    Raises:
        ValueError: an unknown name, an empty list, or a template without exactly one {}.
    """
    if isinstance(templates, str):
        if templates not in TEMPLATES:
            raise ValueError(
                f"templates={templates!r}: expected one of {sorted(TEMPLATES)} or a list of texts"
            )
        return TEMPLATES[templates]
    wrong = [template for template in templates if template.count("{}") != 1]
    if wrong or not templates:
        raise ValueError(f"templates {wrong or 'are empty'}: each needs exactly one {{}}")
    return tuple(templates)


def prompt_ensemble(
    embeddings: Float[Tensor, "names templates d"],
) -> Float[Tensor, "names d"]:
    """Normalise each prompt, average over templates, normalise again."""
    return F.normalize(F.normalize(embeddings, dim=-1).mean(1), dim=-1)
