"""The Protocol: everything about an experiment that moves its score without being the method.

Two numbers can be compared if their protocols are equal; the hash travels with every result. Each
switch says which papers stand on which side, so that a quarrel is a setting and not a secret.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from fsslib.config import Bound, ConfigError, strict
from fsslib.data.benchmarks import BENCHMARKS
from fsslib.settings import Count, Natural, Settings

NovelInTrain = Literal["background", "drop", "ignore"]
Selection = Literal["last", "held_out_base", "test_fold"]
Question = Literal["as_drawn", "stranger", "wrong_word", "no_background"]
LATER = ("question", "queries")
"""Fields that came later: left out of the hash where they have their default, so that older results
keep theirs."""


@dataclass(frozen=True)
class Protocol(Settings):
    """A frozen description of data, episodes and scoring. The test list is a function of it."""

    benchmark: str
    """A name of `BENCHMARKS`, or module:Class."""
    fold: Annotated[int, Bound(least=0, most=3)] = 0
    """Which quarter of the classes is novel: 0 to 3 (`folder`: ignored, see
    `fsslib.data.folder_classes`)."""
    way: Count = 1
    """Classes in an episode, N. The query shows at least one of them; false positives of the others
    count all the same. Supports say nothing (255) where they show another of the N classes."""
    shot: Count = 1
    """Support images per class at test time, K."""
    episodes: Count = 1000
    """Test episodes. PFENet tests 5,000 (PASCAL) and 20,000 (COCO), BAM 1,000, HSNet 1,000;
    1,000 on COCO swings by points."""
    seed: Natural = 0
    """Seed of the test list. Results over several seeds are several protocols."""
    image_size: Annotated[int, Bound(least=33, most=8192)] = 473
    """Side of the square network input in pixels; PFENet, BAM, QGNet need (size - 1) % 8 == 0."""
    fit: Literal["pad", "stretch"] = "pad"
    """How an image becomes square: `pad` keeps its proportions (PFENet, BAM, QGNet), `stretch`
    does not (HDMNet, PI-CLIP, HSNet)."""
    resolution: Literal["original", "resized"] = "original"
    """Where predictions are compared with labels: at the photograph's own size (PFENet and its
    line) or at the network's (HSNet at 400). With `pad`, PFENet's way back displaces what it found
    by up to seven pixels of the input, little at 473 and much at 97; it is kept for parity on all
    benchmarks but `folder`, where the way back is exact."""
    border: Literal["ignore", "background"] = "ignore"
    """What 255 pixels are. Ignored by everyone who reports high numbers; counting them as
    background moved PFENet from 60.8 to 56.2 on PASCAL."""
    novel_in_train: NovelInTrain = "background"
    """Training images that hold novel objects: kept with those pixels as background (PFENet,
    QGNet), dropped (BAM, HDMNet, PI-CLIP: worth about three points), or kept with those pixels
    ignored. Base classes kept out of training by `held_out` are treated the same way."""
    minimum_object_pixels: Natural = 2048
    """A class counts as present in an image from this area on (PFENet: 2 * 32 * 32)."""
    sampling: Literal["balanced", "image_first"] = "balanced"
    """Test episodes: every novel class equally often, or go through the images and draw a class
    present in each, however small (PFENet and its line)."""
    scarce_classes: Literal["error", "skip"] = "error"
    """Classes with too few images for an episode: stop and name them, or leave them out (a
    small collection of one's own); scores are then over fewer classes, and results say which."""
    query_labels: Literal["none", "oracle"] = "none"
    """Whether a method may read which classes the query image holds. PI-CLIP's released code
    does (`oracle`); such results are marked."""
    selection: Selection = "last"
    """Which checkpoint is reported: the last; the best on base classes kept out of training; or
    the best on the test fold itself, which is what the papers do."""
    held_out: Natural = 0
    """Number of base classes kept out of training for `selection="held_out_base"`."""
    coco_folds: Literal["interleaved", "contiguous"] = "interleaved"
    """COCO-20i convention; see `fsslib.data.folds`."""
    train_list: Literal["sbd", "sbd_aug"] = "sbd"
    """PASCAL-5i training images: 5,953 (`sbd`: PFENet's line) or 10,582 (`sbd_aug`)."""
    question: Question = "as_drawn"
    """What is done to the test's supports, to see what they are worth: supports of another class in
    their place (`stranger`), the name of another class (`wrong_word`), or everything but the object
    painted grey (`no_background`). Queries, and what is right in them, stay."""
    queries: Literal["present", "half_absent"] = "present"
    """Whether the test's queries hold a class of their episode (all papers), or every second one,
    beside the supports of the one before it, holds none: then "not there" is scored, too."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.selection == "held_out_base") != (self.held_out > 0):
            raise ConfigError(
                f"selection={self.selection!r} with held_out={self.held_out}: "
                "'held_out_base' needs held_out >= 1, the other selections held_out=0"
            )
        if self.queries == "half_absent" and self.episodes % 2:
            raise ConfigError(
                f"episodes={self.episodes} with queries='half_absent': expected an even number, "
                "half with an object and half without"
            )
        kind = BENCHMARKS.get(self.benchmark)
        object.__setattr__(self, "benchmark", kind.name)
        for name in ("coco_folds", "train_list"):
            if name not in kind.reads and getattr(self, name) != getattr(type(self), name):
                raise ConfigError(
                    f"{name}={getattr(self, name)!r}: {kind.name} reads none; leave it out"
                )
        if kind.rendered and self.minimum_object_pixels:
            raise ConfigError(
                f"minimum_object_pixels={self.minimum_object_pixels}: {kind.name} has no area "
                "rule, every planned object is visible; write 0"
            )

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """The usual protocol of each benchmark."""
        kinds = {name: BENCHMARKS.get(name) for name in BENCHMARKS.names()}
        return {name: {"benchmark": name, **kind.usual} for name, kind in kinds.items()}

    @classmethod
    def preset(cls, name: str, /, **changes: Any) -> Protocol:
        """A benchmark's usual protocol with `changes` on top; also of `module:Class`.

        Raises:
            ConfigError: no such benchmark, unknown names, values that do not fit.
        """
        return strict(cls, {"benchmark": name, **BENCHMARKS.get(name).usual, **changes})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that name this protocol in results."""
        usual = {name: getattr(type(self), name) for name in LATER}
        text = json.dumps(
            {k: v for k, v in self.to_dict().items() if usual.get(k) != v}, sort_keys=True
        )
        return hashlib.sha256(text.encode()).hexdigest()[:12]
