"""Settings of QGNet's pretraining: MoCo-v2 on pictures, and the same contrast on superpixels.

MoCo-v2's numbers are of its code; the paper gives K = M = 65,536, epochs, and that the two losses
weigh the same. Everything else about patches is silent there and chosen here, also that the two
"local patches" of its Figure 3 are two views of one patch, because Eq. 6 defines the positive so.

65,536 keys are eleven epochs of PASCAL's 5,953 pictures: most negatives of a picture's query would
be other views of many pictures, and ten of the same one. `auto` keeps a queue below a quarter of
the instances; patches are some thirty times as many, which favours the local queue.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fsslib.config import Bound
from fsslib.settings import (
    Count,
    Natural,
    NonNegative,
    Pixels,
    Positive,
    Precision,
    Settings,
    Share,
)
from fsslib.training.schedule import cosine, step_decay

if TYPE_CHECKING:
    from fsslib.training.views import ViewConfig

Queue = Natural | Literal["auto"]
LARGEST = 65_536
"""Keys in MoCo's and QGNet's queues."""


@dataclass(frozen=True)
class MocoConfig(Settings):
    """Settings of the pretraining; `preset` names the recipes."""

    backbone: str = "scenes-moco"
    epochs: Count = 16
    """Passes over all pictures; the last ragged batch of each is left out."""
    batch_size: Count = 64
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: Positive = 0.03
    weight_decay: NonNegative = 1e-4
    schedule: Literal["cosine", "step"] = "cosine"
    """Learning rate of an epoch."""
    milestones: tuple[Natural, ...] = (120, 160)
    """Epochs from which the step schedule is tenfold lower (MoCo's)."""
    size: Pixels = 64
    """Side of the global views in pixels."""
    scale: tuple[Share, Share] = (0.2, 1.0)
    """Of a global crop, in parts of the picture's area."""
    local_size: Pixels = 48
    """Side of the local views in pixels."""
    local_scale: tuple[Share, Share] = (0.5, 1.0)
    """Of a local crop, in parts of its patch's area."""
    blur: tuple[NonNegative, NonNegative] = (0.1, 2.0)
    dim: Count = 128
    momentum: Annotated[float, Bound(least=0, below=1)] = 0.99
    """Of the key encoder."""
    copy_buffers: bool = False
    """Whether the key encoder takes over BatchNorm's statistics instead of having its own."""
    bn_splits: Count = 1
    """Parts of a batch that BatchNorm sees one by one; keys are shuffled among them."""
    temperature: Positive = 0.2
    queue: Queue = "auto"
    """K, keys of pictures."""
    global_weight: NonNegative = 1.0
    """Of the loss on pictures; 0 leaves that branch out (Table VI's local row)."""
    local_temperature: Positive = 0.2
    local_queue: Queue = "auto"
    """M, keys of patches."""
    local_weight: NonNegative = 1.0
    """Of the loss on patches; 0 leaves that branch out (Table VI's global row)."""
    patches: Count = 1
    """Patches of a picture in a step."""
    draw: Literal["uniform", "area"] = "uniform"
    """Chances of a picture's eligible segments: equal, or in proportion to their areas."""
    same_image_negatives: bool = False
    """Whether the other patches of a picture are negatives; needs two or more."""
    fill: Literal["none", "mean"] = "none"
    """What is put where a patch's box shows other segments. The mean colour shows the network a
    silhouette, the same in both views: an ablation, not a default."""
    separate_heads: bool = False
    masked_pool: bool = False
    """Instead of patches of their own, segments seen in both global views, pooled under their
    masks: cheaper, and not the paper's."""
    min_cells: Count = 8
    """With `masked_pool`: a segment's smallest area in a view, in cells of 8 x 8 pixels."""
    max_grad_norm: NonNegative = 0.0
    """Largest gradient norm; 0 leaves gradients as they are."""
    precision: Precision = "fp32"
    """Of the backbone, by autocast; fp16 on GPUs alone. There is no `accumulate` here: the keys
    of a batch are shuffled for BatchNorm and enter the queue together; `bn_splits` is the parts
    that there are."""
    encoder: Literal["key", "query"] = "key"
    """Which one is released and monitored: QGNet reads the key encoder, MoCo transfers the
    other."""
    seed: Natural = 0
    checkpoint_every: Count = 100
    monitor_every: Count = 500
    """Steps between looks at what the features are good for."""
    workers: Natural = 0

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`paper`: ResNet-50 as published, on PASCAL; `paper_coco`: its 200 epochs on COCO.
        `auto` and `auto_coco`: the same with queues that fit the data. `scenes`: the embedded
        extractor, 96-pixel scenes and one core: with so few steps AdamW, since SGD at MoCo's rate
        hardly moves; queues of 32 steps, a third of the key encoder's memory of 1 / (1 - m) steps,
        because in longer ones (512 steps were tried) keys are told by their age."""
        paper: dict[str, Any] = {
            **{"backbone": "resnet50", "epochs": 1000, "batch_size": 256},
            **{"size": 224, "local_size": 96, "momentum": 0.999, "bn_splits": 8},
        }
        long = {"queue": LARGEST, "local_queue": LARGEST}
        return {
            "paper": {**paper, **long},
            "paper_coco": {**paper, **long, "epochs": 200},
            "auto": paper,
            "auto_coco": {**paper, "epochs": 200},
            "scenes": {
                **{"queue": 2048, "local_queue": 2048, "scale": (0.4, 1.0)},
                **{"optimizer": "adamw", "lr": 1e-3, "temperature": 0.1, "local_temperature": 0.1},
                **{"bn_splits": 4, "blur": (0.1, 0.6), "min_cells": 4, "epochs": 8},
            },
        }

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_branches()

    def _check_branches(self) -> None:
        weights = (self.global_weight, self.local_weight)
        if min(weights) < 0 or max(weights) == 0:
            raise ValueError(
                f"global_weight={weights[0]}, local_weight={weights[1]}: expected one above 0, "
                "none below"
            )
        if self.same_image_negatives and self.patches < 2:
            raise ValueError(
                f"same_image_negatives needs patches of the same picture, but patches="
                f"{self.patches}; use 2"
            )
        if self.batch_size % self.bn_splits or self.batch_size == self.bn_splits:
            raise ValueError(
                f"bn_splits={self.bn_splits}: batch_size={self.batch_size} does not divide into "
                "so many parts of two pictures at least"
            )
        if self.masked_pool and self.fill != "none":
            raise ValueError(f"fill={self.fill!r} is for patches; masked_pool cuts none")

    @property
    def branches(self) -> tuple[str, ...]:
        """Those with a weight."""
        weights = {"global": self.global_weight, "local": self.local_weight}
        return tuple(name for name, weight in weights.items() if weight)

    @property
    def views(self) -> ViewConfig:
        """Of whole pictures."""
        from fsslib.training.views import ViewConfig

        return ViewConfig(self.size, self.scale, blur=self.blur)

    @property
    def local_views(self) -> ViewConfig:
        """Of patches."""
        from fsslib.training.views import ViewConfig

        return ViewConfig(self.local_size, self.local_scale, blur=self.blur)

    def lr_at(self, epoch: int) -> float:
        """The learning rate of an epoch from 0 on."""
        if self.schedule == "cosine":
            return self.lr * cosine(epoch, self.epochs)
        return self.lr * step_decay(epoch, self.milestones)

    def queue_lengths(self, pictures: int, segments: float) -> dict[str, int]:
        """Length of each branch's queue.

        Args:
            segments: eligible ones in a picture, on average.

        Raises:
            ValueError: one that is no multiple of what a step adds to it.
        """
        automatic = {
            "global": automatic_length(pictures),
            "local": automatic_length(pictures, max(segments, 1), LARGEST),
        }
        requested = {"global": self.queue, "local": self.local_queue}
        added = {"global": self.batch_size, "local": self.batch_size * self.patches}
        lengths = {}
        for branch in self.branches:
            length = requested[branch] if requested[branch] != "auto" else automatic[branch]
            if length < 1 or length % added[branch]:
                raise ValueError(
                    f"the {branch} queue of {length} is no multiple of the {added[branch]} keys "
                    "that a step adds; choose batch_size, patches and queue so (powers of two do)"
                )
            lengths[branch] = length
        return lengths


def automatic_length(pictures: int, segments: float = 1.0, largest: int | None = None) -> int:
    """The largest power of two that is at most a quarter of all instances.

    A longer queue holds older keys of the same pictures, which then count as negatives.

    Args:
        segments: instances in a picture: 1 for whole pictures.
        largest: no longer than this.
    """
    quarter = pictures * segments / 4
    if quarter < 1:
        raise ValueError(f"{pictures} pictures are too few for a queue; at least 4 are needed")
    length = 2 ** int(log2(quarter))
    return length if largest is None else min(length, largest)
