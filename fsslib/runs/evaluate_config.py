"""Parameters of `evaluate.ipynb`, which `train.ipynb` shares: a method on a benchmark.

None means "as the preset of this benchmark or recipe says"; everything that is given wins over the
preset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fsslib.config import ConfigError, require_least
from fsslib.data.folds import COCO_CLASSES, FOLDS, PASCAL_CLASSES
from fsslib.data.protocol import BenchmarkName, NovelInTrain, Protocol, Selection
from fsslib.data.scenes import CLASS_NAMES
from fsslib.methods import BASELINES, WITH_DINOISER
from fsslib.runs.machine import require_device
from fsslib.runs.method_config import MethodConfig

_CLASSES = {"scenes10i": CLASS_NAMES, "pascal5i": PASCAL_CLASSES, "coco20i": COCO_CLASSES}


def require_root(benchmark: str, root: str | None) -> None:
    """ConfigError for a root where there can be none, and for none where there has to be one."""
    if benchmark == "scenes10i" and root is not None:
        raise ConfigError(f"root={root!r}: Scenes-10i is rendered; leave the root out")
    if benchmark == "folder" and root is None:
        raise ConfigError("benchmark='folder' needs root=, the folder that holds its files")


@dataclass(frozen=True)
class EvaluateConfig(MethodConfig):
    """Parameters of `evaluate.ipynb`: a method on a protocol, trained elsewhere or not at all."""

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
        require_least(self, batch_size=1, workers=0, clip_cache=0, feature_cache=0)
        require_device(self.device)
        require_root(self.benchmark, self.root)
        novel = len(_CLASSES.get(self.benchmark, ())) // FOLDS
        if novel and self.way > novel:
            raise ConfigError(
                f"way={self.way}: a fold of {self.benchmark} has {novel} novel classes; expected "
                "at most as many"
            )
        super().__post_init__()
        original = self.reads_clip and self.clip_priors().vtp_size == "original"
        if original and self.fit == "pad" and self.benchmark != "scenes10i":
            raise ConfigError(
                f"pi_clip={self.pi_clip!r} with fit='pad': a padded square has not the shape of "
                "its photograph; use fit=stretch, or add vtp_size=tensor (the code's on COCO)"
            )
        trainable = self.method not in BASELINES
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
    def run_name(self) -> str:
        """`pfenet/scenes10i_f0_1shot_scenes-resnet`: the folder of runs that belong together."""
        way = f"{self.way}way_" if self.way > 1 else ""
        clip = self.method in WITH_DINOISER
        network = self.clip_model or "scenes-clip-vit" if clip else self.backbone
        return f"{self.label}/{self.benchmark}_f{self.fold}_{way}{self.shot}shot_{network}"
