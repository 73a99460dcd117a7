"""What the shapes of a state dict say of the network that it is of, in the words of its settings.

The same is read of a file and of a model, so that where the two do not fit, what differs can be
called by its setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from fsslib.interop.base_classes import counted
from fsslib.interop.parts import Encoder, backbone_below, clip_below, meta_backbone
from fsslib.methods import METHODS, ClipPrior
from fsslib.methods.base import FewShotSegmenter
from fsslib.methods.base_learner import BaseLearner
from fsslib.methods.prior_guided import PriorGuided
from fsslib.methods.shapes import OfficialNames, Shapes

EXTRACTOR = "prior.sources.region.extractor."
STEM = "stem.0.weight"
CLIP = "prior.clip.encoder.model."
CLASSIFIERS = ("base.classify.2.weight", "head.classify.2.weight")
"""Of a method's base learner, and of a base learner by itself."""
MOST_SHOTS = 20
Kind = type[FewShotSegmenter]


def official_kinds() -> tuple[Kind, ...]:
    """The classes that say how their released code spells their tensors."""
    kinds = [METHODS.get(name) for name in METHODS.names()]
    return (*(kind for kind in kinds if kind.official_names), BaseLearner)


@dataclass(frozen=True)
class Facts:
    """A state dict, read as one of a class's."""

    kind: Kind
    names: OfficialNames = field(repr=False)
    backbone: Encoder | None
    extractor: Encoder | None
    clip: Encoder | None
    classes: int | None
    """Base classes of its base learner."""
    base_dim: int | None
    """Channels of the base learner's embedding."""
    channels: int | None
    """Prior maps that the decoder reads."""
    prior: str
    """"own", "none", "pi_clip"; empty where none is read, or none has so many maps."""
    settings: dict[str, Any]
    """Of tuples whose values do not show, the number of entries."""

    def counts_only(self, name: str) -> bool:
        """Whether a setting is a tuple, and only its number of entries shows."""
        default = getattr(self.kind.config_class, name, None)
        return isinstance(default, tuple) and isinstance(self.settings.get(name), int)

    def described(self) -> dict[str, str]:
        """What shows, by what it is called."""
        encoders = {"backbone": self.backbone, "extractor": self.extractor, "clip": self.clip}
        words = {name: f"{name}={part.words}" for name, part in encoders.items() if part}
        for name, value in self.settings.items():
            words[name] = f"{value} {name}" if self.counts_only(name) else f"{name}={value}"
        if self.prior:
            words["prior"] = f"prior={self.prior}"
        elif self.channels is not None:
            words["prior"] = f"a decoder for {self.channels} prior maps"
        if self.classes is not None:
            words["classes"] = counted(self.classes)
            if not issubclass(self.kind, BaseLearner):  # whose own setting it is
                words["base_dim"] = f"a base learner with dim={self.base_dim}"
        return words


def facts_of(kind: Kind, state: Mapping[str, Tensor], official: bool = True) -> Facts:
    """Read a state dict as one of `kind`.

    Args:
        official: whether its keys are the released code's, or ours.
    """

    def shapes_on(network) -> Shapes:
        return Shapes(state, kind.official_names_on(network) if official else ())

    backbone = backbone_below("backbone.", shapes_on)
    shapes = Shapes(state, backbone[1]) if backbone else shapes_on(meta_backbone("resnet50"))
    extractor = None
    if EXTRACTOR + STEM in shapes:
        extractor = backbone_below(EXTRACTOR, shapes_on)
    classifier = next((shapes.pair(key) for key in CLASSIFIERS if key in shapes), None)
    settings = {k: v for k, v in kind.shown_settings(shapes).items() if v not in (None, 0, ())}
    clip = clip_below(CLIP, shapes) if shapes.any_below(CLIP) else None
    channels, prior = None, ""
    if issubclass(kind, PriorGuided):
        channels = kind.shown_channels(shapes)
        prior, shot = _prior(kind, channels, clip is not None)
        settings |= {"shot": shot} if shot else {}
    return Facts(
        kind,
        shapes.names,
        backbone[0] if backbone else None,
        extractor[0] if extractor else None,
        clip,
        classifier[0] - 1 if classifier else None,
        classifier[1] if classifier else None,
        channels,
        prior,
        settings,
    )


def _prior(kind: type[PriorGuided], channels: int | None, clip: bool) -> tuple[str, int | None]:
    """Which prior has so many maps, and with how many shots, where their number depends on it."""
    if channels is None or (channels == kind.own_channels and not clip):
        return "own", None
    if channels == 0:
        return "none", None
    options = kind.prior_options.get(ClipPrior.name, {})
    repeated, layers = (options.get(name, 1) for name in ("repeat_vtp", "vvp_layers"))
    shots = {repeated + layers * shot: shot for shot in range(1, MOST_SHOTS + 1)}
    return (ClipPrior.name, shots[channels]) if channels in shots else ("", None)


@dataclass(frozen=True)
class Difference:
    """One setting that a file and a model disagree on."""

    name: str
    file: str
    model: str
    change: str
    """What to build the model with."""


def differences(file: Facts, model: Facts) -> list[Difference]:
    """What to change of the model for the file to fit, as far as settings say it."""
    if file.backbone is None and file.classes is None and not file.settings:
        return []
    shown, built = file.described(), model.described()
    mismatches = []
    for name in (*shown, *(name for name in built if name not in shown)):
        if shown.get(name) == built.get(name) or (name == "backbone" and file.backbone is None):
            continue
        none = f"no {name}"
        change = _change(file, name)
        mismatches.append(Difference(name, shown.get(name, none), built.get(name, none), change))
    return mismatches


def _change(file: Facts, name: str) -> str:
    encoder = {"backbone": file.backbone, "extractor": file.extractor, "clip": file.clip}.get(name)
    if encoder is not None:
        return f"{name}={encoder.name!r}" if encoder.name else f"{name}= {encoder.words}"
    if name in ("extractor", "clip"):
        return f"no {name}"
    if name == "classes":
        return f"a base learner of {file.classes} classes" if file.classes else "no base learner"
    if name == "base_dim":
        return f"a base learner with dim={file.base_dim}"
    if name == "prior":
        return f"prior={file.prior!r}" if file.prior else f"a prior of {file.channels} maps"
    value = file.settings.get(name)
    if file.counts_only(name):
        return f"{name}= of {value} entries"
    return f"{name}={value!r}"
