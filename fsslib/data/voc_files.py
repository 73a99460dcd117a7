"""VOC 2012 and SBD as their archives unpack: where the lists are, the rules over them, .mat labels.

    <root>/VOCdevkit/VOC2012/{JPEGImages, SegmentationClass, ImageSets/{Segmentation,Main}}
    <root>/benchmark_RELEASE/dataset/{cls/*.mat, img, train.txt, val.txt}   (or <root>/sbd/…)

The training lists of the literature, derived here from the original lists:

- `sbd`, 5,953 images: SBD outside VOC's *detection* val list (5,623), and VOC train (1,464), of
  which 1,134 are in both. SBD's authors gave the first set as `train_noval.txt`; it can no longer
  be had from its address, so that the file is used where it lies beside SBD's lists and the rule
  otherwise. `OFFICIAL` tells whether the result is the list that PFENet published.
- `sbd_aug`, 10,582 images: all of SBD and VOC train without VOC's segmentation val list.
"""

from __future__ import annotations

import warnings
import zlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from fsslib.data.benchmark import BrokenFileError

TrainList = Literal["sbd", "sbd_aug"]

OFFICIAL = {
    "VOC train": (1464, "129f1fe991729b18"),
    "VOC val": (1449, "6f8edc37993764f6"),
    "SBD train": (8498, ""),
    "SBD val": (2857, ""),
    "SBD without VOC's detection val": (5623, "d8bc1441f65a8f21"),
    "training list sbd": (5953, "677f4a7eaef19497"),
    "training list sbd_aug": (10582, "855dff350b7f447b"),
}
"""Length and fingerprint (`list_fingerprint`) of the lists in the literature; the fingerprints
are those of the lists in PFENet's repository and of the usual `train_aug.txt`."""


@dataclass(frozen=True)
class VocFiles:
    """The two unpacked archives and their lists of image ids."""

    voc: Path
    sbd: Path

    @classmethod
    def find(cls, root: Path) -> VocFiles:
        """Look for both archives under `root`; FileNotFoundError says what is missing."""
        voc = root / "VOCdevkit" / "VOC2012"
        places = [root / "benchmark_RELEASE" / "dataset", root / "sbd", root]
        folders = [place for place in places if (place / "cls").is_dir()]
        missing = [] if voc.is_dir() else [f"VOC 2012 ({voc})"]
        missing += [] if folders else [f"SBD ({places[0]}/cls)"]
        if missing:
            raise FileNotFoundError(
                f"PASCAL-5i: no {' and no '.join(missing)}. Get both with "
                f"`python -m fsslib.data download pascal5i --root {root}` (3.4 GB), or unpack "
                "VOCtrainval_11-May-2012.tar and SBD's benchmark.tgz there"
            )
        return cls(voc, folders[0])

    @cached_property
    def voc_train(self) -> frozenset[str]:
        return read_list(self.voc / "ImageSets" / "Segmentation" / "train.txt")

    @cached_property
    def voc_val(self) -> frozenset[str]:
        return read_list(self.voc / "ImageSets" / "Segmentation" / "val.txt")

    @cached_property
    def sbd_train(self) -> frozenset[str]:
        return read_list(self.sbd / "train.txt")

    @cached_property
    def sbd_val(self) -> frozenset[str]:
        return read_list(self.sbd / "val.txt")

    @cached_property
    def sbd_train_noval(self) -> frozenset[str]:
        """SBD's images outside VOC's detection val list: the authors' file, or the rule."""
        path = self.sbd / "train_noval.txt"
        if path.is_file():
            return read_list(path)
        return (self.sbd_train | self.sbd_val) - read_list(
            self.voc / "ImageSets" / "Main" / "val.txt"
        )

    def training_ids(self, train_list: TrainList) -> frozenset[str]:
        """The ids of a training list, by the rules at the head of this file.

        Raises:
            ValueError: unknown list, or ids that are also in VOC val.
        """
        if train_list == "sbd":
            ids = self.sbd_train_noval | self.voc_train
        elif train_list == "sbd_aug":
            ids = ((self.sbd_train | self.sbd_val) - self.voc_val) | self.voc_train
        else:
            raise ValueError(f"train_list={train_list!r}: expected 'sbd' or 'sbd_aug'")
        shared = sorted(ids & self.voc_val)
        if shared:
            raise ValueError(
                f"{len(shared)} images are in the training list {train_list!r} and in VOC val "
                f"({', '.join(shared[:3])}, …): training would see test images. Unpack the "
                f"original lists again under {self.voc / 'ImageSets'} and {self.sbd}"
            )
        return ids

    def lists(self) -> dict[str, frozenset[str]]:
        """Every list by its name in `OFFICIAL`."""
        return {
            "VOC train": self.voc_train,
            "VOC val": self.voc_val,
            "SBD train": self.sbd_train,
            "SBD val": self.sbd_val,
            "SBD without VOC's detection val": self.sbd_train_noval,
            "training list sbd": self.training_ids("sbd"),
            "training list sbd_aug": self.training_ids("sbd_aug"),
        }


def read_list(path: Path) -> frozenset[str]:
    """Image ids, one a line; BrokenFileError if the file is missing or empty. One that is named
    several times counts once, with a warning: it would otherwise be drawn as often."""
    try:
        lines = Counter(line.strip() for line in path.read_text().splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise BrokenFileError(
            f"{path} cannot be read ({error}); unpack its archive again"
        ) from None
    if not lines:
        raise BrokenFileError(f"{path} is empty; unpack its archive again")
    if twice := [name for name, number in lines.items() if number > 1]:
        warnings.warn(
            f"{path} names {len(twice)} images more than once ({', '.join(twice[:3])}"
            f"{', …' * (len(twice) > 3)}); each of them counts once",
            stacklevel=2,
        )
    return frozenset(lines)


def read_sbd_mat(path: Path) -> UInt8[np.ndarray, "h w"]:
    """The class label of one of SBD's .mat files: 0 and 1 to 20; SBD marks no 255 border.

    Raises:
        BrokenFileError: missing, broken, or without the `GTcls.Segmentation` of SBD.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    broken = (OSError, ValueError, KeyError, IndexError, TypeError, NotImplementedError)
    fix = "Unpack SBD's benchmark.tgz again"
    try:
        label = np.asarray(loadmat(path)["GTcls"][0]["Segmentation"][0])
    except (*broken, MatReadError, zlib.error) as error:
        raise BrokenFileError(f"{path} is not an SBD class label ({error}). {fix}") from error
    if label.ndim != 2 or label.size == 0 or label.min() < 0 or label.max() > 20:
        raise BrokenFileError(
            f"{path}: shape {label.shape}, values {label.min(initial=0)} to "
            f"{label.max(initial=0)}; expected (h, w) with 0 to 20. {fix}"
        )
    return label.astype(np.uint8)


def download(root: Path) -> None:
    """Fetch and unpack both archives (3.4 GB) under `root`; torchvision knows addresses and MD5s.

    An archive that is already there and whole is not fetched again, only unpacked.
    """
    from torchvision.datasets import SBDataset, VOCSegmentation
    from torchvision.datasets.utils import download_and_extract_archive

    root.mkdir(parents=True, exist_ok=True)
    VOCSegmentation(root, year="2012", image_set="val", download=True)
    # Not SBDataset(download=True): it moves the folders about and cannot be run twice.
    download_and_extract_archive(
        SBDataset.url, str(root), filename=SBDataset.filename, md5=SBDataset.md5
    )
