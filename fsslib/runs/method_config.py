"""Which method a run asks, and what its parameters say of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import open_clip

from fsslib.config import ConfigError, parse_changes, parse_preset, require_known, strict
from fsslib.encoders import BACKBONES
from fsslib.encoders.clip_small import SMALL_CLIPS
from fsslib.methods import (
    BASELINES,
    METHODS,
    PRIOR_GUIDED,
    THRESHOLDED,
    TRAINED,
    WITH_DINOISER,
    WITH_WORDS,
    ThresholdConfig,
)
from fsslib.methods.clip_dinoiser.config import DinoiserConfig
from fsslib.methods.lfss.config import Guidance
from fsslib.methods.pi_clip.config import ClipPriorConfig
from fsslib.methods.prior_guided import Prior
from fsslib.methods.words import WordConfig

_NO_BACKBONE = ("all_foreground", "clip_prior")  # nor support masks


def require_clip(name: str, model: str) -> None:
    """ConfigError for a CLIP that nobody knows; run folders are named after it."""
    if model not in SMALL_CLIPS and model not in open_clip.list_models():
        known = sorted(SMALL_CLIPS)
        raise ConfigError(f"{name}={model!r}: expected one of {known} or a model of open_clip")


@dataclass(frozen=True)
class MethodConfig:
    """A method with its encoders, weights and settings."""

    method: str = "prototype"
    preset: str = "scenes"
    backbone: str = "scenes-resnet"
    weights: str = "scenes"
    settings: str = ""
    """Changes to the method's preset, "dps=false window=1"; of `prior_threshold` and `clip_prior`
    where they cut: "threshold=0.3"."""
    head: str | None = None
    """Trained head: a `.safetensors` file, or "shipped"."""
    prior: Prior = "own"
    """Of PFENet, BAM and HDMNet: as published, PI-CLIP's in its place, or none."""
    base: str = "shipped"
    """Base learner of BAM and HDMNet: a `.safetensors` file of `train_base`, or "shipped", which
    finds the one of the fold in `methods/weights`."""
    extractor: str = "scenes-moco"
    extractor_weights: str = "scenes"
    """Prior extractor of QGNet, as backbone and weights: one that learned without labels, such as a
    checkpoint of MoCo, of which the key encoder is taken."""
    heads: str = "shipped"
    """CLIP-DINOiser's: a `.safetensors` file of `train_dinoiser`, the published checkpoint,
    "shipped", or "teachers", which asks DINO and FOUND instead."""
    guidance: Guidance | None = None
    """What says where the supports' object is: an annotated mask, or a word (LFSS's tables: "P" and
    "I"). None: LFSS reads a word, all others a mask."""
    words: str = "scenes"
    """Preset of how a word becomes a mask, and changes to it: "paper background=names"."""
    clip_model: str | None = None
    clip_weights: str = "scenes"
    """CLIP of priors and words: model and weights tag of open_clip, or an embedded one. None:
    `scenes-clip-vit` for priors, `scenes-clip-rn` for words."""
    pi_clip: str = "scenes"
    """Preset of PI-CLIP's priors, and changes to it: "scenes vvp=false candidate_classes=all"."""
    shot: int = 1
    """Supports of a class; three of the methods are built for a number of them."""

    def __post_init__(self) -> None:
        require_known("method", self.method, METHODS)
        require_known("backbone", self.backbone, sorted(BACKBONES))
        require_known("extractor", self.extractor, sorted(BACKBONES))
        require_clip("clip_model", self.clip_model or "scenes-clip-vit")
        embedded = [name.startswith("scenes") for name in (self.backbone, self.extractor)]
        if self.method == "qgnet" and embedded[0] != embedded[1]:
            raise ConfigError(
                f"extractor={self.extractor!r} beside backbone={self.backbone!r}: one of them is "
                "the embedded benchmark's; name the extractor, such as extractor=resnet50 with "
                "extractor_weights=PATH of a MoCo checkpoint"
            )
        self._require_settings()
        if self.prior != "own" and self.method not in PRIOR_GUIDED:
            raise ConfigError(f"prior={self.prior!r}: method {self.method!r} reads no prior")
        blind = self.method in _NO_BACKBONE or self._maskless is not None
        if self.guidance is not None and blind:
            raise ConfigError(f"guidance={self.guidance!r}: {self.label!r} reads no support mask")
        self.word_masks()

    def _require_settings(self) -> None:
        """That the method knows its preset and all `settings`."""
        if self.method in TRAINED or self.method == "word_mask":
            kind = "lfss" if self.method == "word_mask" else self.method
            TRAINED[kind].preset(self.preset, **self.method_settings())
        elif self.method in WITH_DINOISER:
            self.dinoiser()
        elif self.method in THRESHOLDED:
            strict(ThresholdConfig, self.method_settings())
        elif self.settings:
            raise ConfigError(f"settings={self.settings!r}: {self.method!r} has none")

    @property
    def reads_clip(self) -> bool:
        """Whether PI-CLIP's priors are needed."""
        return self.prior == "pi_clip" or self.method == "clip_prior"

    def clip_priors(self) -> ClipPriorConfig:
        """The settings of PI-CLIP's priors that `pi_clip` describes."""
        preset, changes = parse_preset("pi_clip", self.pi_clip)
        return ClipPriorConfig.preset(preset, **changes)

    def word_masks(self) -> WordConfig:
        """How words become masks, as `words` describes it."""
        preset, changes = parse_preset("words", self.words)
        return WordConfig.preset(preset, **changes)

    def dinoiser(self) -> DinoiserConfig:
        """The settings of CLIP-DINOiser with supports that `preset` and `settings` describe."""
        return DinoiserConfig.preset(self.preset, **self.method_settings())

    @property
    def class_names_read(self) -> bool:
        """Whether a method reads the names of an episode's classes."""
        if self.method in WITH_DINOISER:
            return self.dinoiser().variant in ("text", "fusion", "finetuned")
        return self.reads_words or self.reads_clip

    @property
    def guided_by(self) -> str:
        """`guidance`, or what the method's paper has: a mask, a word, a whole "image"."""
        return self.guidance or self._maskless or self._usual_guidance

    @property
    def _usual_guidance(self) -> Guidance:
        return "word" if self.method in WITH_WORDS else "mask"

    @property
    def _maskless(self) -> str | None:
        """What guides the variants of CLIP-DINOiser that read no support mask."""
        if self.method not in WITH_DINOISER:
            return None
        return {"text": "word", "global_image": "image"}.get(self.dinoiser().variant)

    @property
    def supervision(self) -> str:
        """What the head learned from: `gt`, masks of base classes; `pseudo`, masks that words gave;
        `none` without training."""
        if self.method in BASELINES:
            return "none"
        return self.method_settings().get("supervision", "gt")

    @property
    def reads_words(self) -> bool:
        """Whether masks are made of words: also LFSS's of the query."""
        return self.method in WITH_WORDS or self.guidance == "word"

    @property
    def encoders(self) -> list[tuple[str, str]]:
        """The frozen encoders that are asked, and their weights; two may be of one kind."""
        without = self.method in WITH_DINOISER or self.method in _NO_BACKBONE
        known = [] if without else [(self.backbone, self.weights)]
        if self.method == "qgnet":
            known.append((self.extractor, self.extractor_weights))
        if self.reads_words:
            known.append((self.clip_model or "scenes-clip-rn", self.clip_weights))
        if self.reads_clip or self.method in WITH_DINOISER:
            known.append((self.clip_model or "scenes-clip-vit", self.clip_weights))
        return known

    def method_settings(self) -> dict[str, Any]:
        """Changes to the method's preset: those given, and those that other parameters imply."""
        settings = parse_changes("settings", self.settings.split())
        if self.method in PRIOR_GUIDED:
            settings |= {"prior": self.prior, "shot": self.shot}
        if self.method in WITH_WORDS:
            settings["guidance"] = self.guided_by
        if self.method in WITH_DINOISER:
            trained = self.method == "clip_dinoiser_finetuned"
            variant = settings.get("variant", "finetuned" if trained else "prototype")
            if (variant == "finetuned") != trained:
                raise ConfigError(
                    f"settings={self.settings!r} with method {self.method!r}: finetuned is the "
                    "variant of 'clip_dinoiser_finetuned' alone, and the only one it has"
                )
            if trained:
                settings["variant"] = variant
        return settings

    @property
    def label(self) -> str:
        """The method, where its prior comes from, what guides it if that is not what its paper has,
        and whether it learned from pseudo masks: `hdmnet`, `hdmnet+pi_clip`, `panet+word`,
        `lfss+mask`, `lfss+pseudo`."""
        label = self.method if self.prior == "own" else f"{self.method}+{self.prior}"
        if self.method == "clip_dinoiser":
            label = f"{label}+{self.dinoiser().variant}"
        usual = self.guidance in (None, self._usual_guidance)
        label = label if usual else f"{label}+{self.guidance}"
        return f"{label}+pseudo" if self.supervision == "pseudo" else label
