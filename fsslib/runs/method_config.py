"""Parameters of `evaluate.ipynb`, which `train.ipynb` shares: a method and a benchmark.

None means "as the preset of this benchmark or recipe says"; everything that is given wins over the
preset.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from fsslib.config import ConfigError, parse_changes, require_known, strict
from fsslib.data.protocol import BenchmarkName, NovelInTrain, Protocol, Selection
from fsslib.encoders import BACKBONES
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
from fsslib.methods.dinoiser_config import DinoiserConfig
from fsslib.methods.lfss_config import Guidance
from fsslib.methods.pi_clip_config import ClipPriorConfig
from fsslib.methods.prior_guided import Prior
from fsslib.methods.words import WordConfig

_NO_BACKBONE = ("all_foreground", "clip_prior")  # nor support masks


@dataclass(frozen=True)
class EvaluateConfig:
    """Parameters of `evaluate.ipynb`: a method on a protocol, trained elsewhere or not at all."""

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
    clip_cache: int = 0
    """MiB of memory for what frozen encoders have said of pictures before."""
    feature_cache: int = 0
    """GiB on disk for what frozen encoders said of pictures, kept from run to run and in
    place of `clip_cache`; Scenes-10i is then rendered once and kept, too. Pays without
    augmentation."""
    benchmark: BenchmarkName = "scenes10i"
    root: str | None = None
    fold: int = 0
    way: int = 1
    shot: int = 1
    episodes: int | None = None
    episode_seed: int = 0
    image_size: int | None = None
    minimum_object_pixels: int | None = None
    scarce_classes: Literal["error", "skip"] = "error"
    sampling: Literal["balanced", "image_first"] = "balanced"
    resolution: Literal["original", "resized"] = "original"
    border: Literal["ignore", "background"] = "ignore"
    coco_folds: Literal["interleaved", "contiguous"] = "interleaved"
    train_list: Literal["sbd", "sbd_aug"] = "sbd"
    fit: Literal["pad", "stretch"] = "pad"
    novel_in_train: NovelInTrain | None = None
    selection: Selection = "last"
    held_out: int = 0
    batch_size: int = 8
    workers: int = 1
    device: str = "auto"

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("workers", 0), ("clip_cache", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name}={getattr(self, name)}: expected at least {least}")
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            raise ConfigError(f"device={self.device!r}: expected auto, cpu, cuda or cuda:1")
        require_known("method", self.method, METHODS)
        require_known("backbone", self.backbone, sorted(BACKBONES))
        require_known("extractor", self.extractor, sorted(BACKBONES))
        embedded = [name.startswith("scenes") for name in (self.backbone, self.extractor)]
        if self.method == "qgnet" and embedded[0] != embedded[1]:
            raise ConfigError(
                f"extractor={self.extractor!r} beside backbone={self.backbone!r}: one of them is "
                "the embedded benchmark's; name the extractor, such as extractor=resnet50 with "
                "extractor_weights=PATH of a MoCo checkpoint"
            )
        trainable = self.method not in BASELINES
        if trainable:
            TRAINED[self.method].preset(self.preset, **self.method_settings())
        elif self.method == "word_mask":
            TRAINED["lfss"].preset(self.preset, **self.method_settings())
        elif self.method in WITH_DINOISER:
            self.dinoiser()
        elif self.method in THRESHOLDED:
            strict(ThresholdConfig, self.method_settings())
        elif self.settings:
            raise ConfigError(f"settings={self.settings!r}: {self.method!r} has none")
        if self.prior != "own" and self.method not in PRIOR_GUIDED:
            raise ConfigError(f"prior={self.prior!r}: method {self.method!r} reads no prior")
        blind = self.method in _NO_BACKBONE or self._maskless is not None
        if self.guidance is not None and blind:
            raise ConfigError(f"guidance={self.guidance!r}: {self.label!r} reads no support mask")
        self.word_masks()
        original = self.reads_clip and self.clip_priors().vtp_size == "original"
        if original and self.fit == "pad" and self.benchmark != "scenes10i":
            raise ConfigError(
                f"pi_clip={self.pi_clip!r} with fit='pad': a padded square has not the shape of "
                "its photograph; use fit=stretch, or add vtp_size=tensor (the code's on COCO)"
            )
        if type(self) is EvaluateConfig and trainable != (self.head is not None):
            need = "needs head=: a trained file, or 'shipped'" if trainable else "has no head"
            raise ConfigError(f"head={self.head!r}: method {self.method!r} {need}")
        self.protocol()

    def protocol(self) -> Protocol:
        """The protocol that these parameters describe."""
        names = ("fold", "way", "shot", "sampling", "resolution", "border", "coco_folds")
        names += ("selection", "held_out", "scarce_classes", "train_list", "fit")
        values = {name: getattr(self, name) for name in names}
        for name in ("episodes", "image_size", "minimum_object_pixels", "novel_in_train"):
            if getattr(self, name) is not None:
                values[name] = getattr(self, name)
        if self.reads_clip and self.clip_priors().candidate_classes == "oracle":
            values["query_labels"] = "oracle"
        return Protocol.preset(self.benchmark, seed=self.episode_seed, **values)

    @property
    def reads_clip(self) -> bool:
        """Whether PI-CLIP's priors are needed."""
        return self.prior == "pi_clip" or self.method == "clip_prior"

    def clip_priors(self) -> ClipPriorConfig:
        """The settings of PI-CLIP's priors that `pi_clip` describes."""
        preset, *changes = self.pi_clip.split()
        return ClipPriorConfig.preset(preset, **parse_changes("pi_clip", changes))

    def word_masks(self) -> WordConfig:
        """How words become masks, as `words` describes it."""
        preset, *changes = self.words.split()
        return WordConfig.preset(preset, **parse_changes("words", changes))

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
    def encoders(self) -> dict[str, str]:
        """The frozen encoders that are asked, and their weights."""
        without = self.method in WITH_DINOISER or self.method in _NO_BACKBONE
        known = {} if without else {self.backbone: self.weights}
        if self.method == "qgnet":
            known[self.extractor] = self.extractor_weights
        if self.reads_words:
            known[self.clip_model or "scenes-clip-rn"] = self.clip_weights
        if self.reads_clip or self.method in WITH_DINOISER:
            known[self.clip_model or "scenes-clip-vit"] = self.clip_weights
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

    @property
    def run_name(self) -> str:
        """`pfenet/scenes10i_f0_1shot_scenes-resnet`: the folder of runs that belong together."""
        way = f"{self.way}way_" if self.way > 1 else ""
        clip = self.method in WITH_DINOISER
        network = self.clip_model or "scenes-clip-vit" if clip else self.backbone
        return f"{self.label}/{self.benchmark}_f{self.fold}_{way}{self.shot}shot_{network}"
