"""Miniature VOC, SBD and COCO trees in the true formats, and a `folder` tree.

Every picture is 96 x 80 pixels; objects are rectangles of at least 2,048 pixels. Each class has
two images or more in each split, so that 1-shot episodes can be drawn.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat
from scipy.sparse import csc_matrix

from fsslib.data.folds import COCO_CLASSES, PASCAL_CLASSES
from fsslib.data.pictures import voc_palette

HEIGHT, WIDTH = 80, 96
COCO_CATEGORY_IDS = sorted(set(range(1, 91)) - {12, 26, 29, 30, 45, 66, 68, 69, 71, 83})

VOC_TRAIN = [f"2008_{n:06d}" for n in range(1, 41)]
VOC_VAL = [f"2008_{n:06d}" for n in range(1001, 1041)]
SBD_ONLY = [f"2009_{n:06d}" for n in range(2001, 2021)]
SBD_DETECTION_VAL = [f"2010_{n:06d}" for n in range(3001, 3011)]
"""In SBD and in VOC's detection val list: only in the longer training list."""


def write_jpeg(path: Path, seed: int = 0, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = np.random.default_rng(seed).integers(0, 256, 3).tolist()
    Image.new("RGB", size, tuple(colour)).save(path)


def write_index_png(path: Path, label: np.ndarray) -> None:
    """A palette PNG like VOC's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(label)
    picture.putpalette(voc_palette().tobytes())
    picture.save(path)


def object_label(class_id: int, border: bool) -> np.ndarray:
    """One rectangle of a class, 50 x 60 pixels, inside a two-pixel 255 border if asked."""
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    if border:
        label[8:62, 8:72] = 255
    label[10:60, 10:70] = class_id
    return label


def class_of(number: int, classes: int = len(PASCAL_CLASSES)) -> int:
    return number % classes + 1


def write_voc(root: Path) -> None:
    voc = root / "VOCdevkit" / "VOC2012"
    for names in (VOC_TRAIN, VOC_VAL):
        for number, name in enumerate(names):
            write_jpeg(voc / "JPEGImages" / f"{name}.jpg", number)
            label = object_label(class_of(number), border=True)
            write_index_png(voc / "SegmentationClass" / f"{name}.png", label)
    for number, name in enumerate(SBD_ONLY):
        write_jpeg(voc / "JPEGImages" / f"{name}.jpg", number)
    write_list(voc / "ImageSets/Segmentation/train.txt", VOC_TRAIN)
    write_list(voc / "ImageSets/Segmentation/val.txt", VOC_VAL)
    write_list(voc / "ImageSets/Main/val.txt", VOC_VAL + SBD_DETECTION_VAL)


def write_sbd(root: Path) -> None:
    """SBD overlaps both VOC lists, as it does in truth; its labels there differ from VOC's."""
    sbd = root / "benchmark_RELEASE" / "dataset"
    train = VOC_TRAIN[:20] + VOC_VAL[:5] + SBD_ONLY
    for number, name in enumerate(train + SBD_DETECTION_VAL):
        write_jpeg(sbd / "img" / f"{name}.jpg", number)
        write_sbd_mat(sbd / "cls" / f"{name}.mat", object_label(class_of(number), border=False))
    write_list(sbd / "train.txt", train)
    write_list(sbd / "val.txt", SBD_DETECTION_VAL)


def write_sbd_mat(path: Path, label: np.ndarray) -> None:
    """The nested struct of SBD: GTcls with sparse Boundaries, Segmentation, CategoriesPresent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    boundaries = np.empty((20, 1), object)
    for row in range(20):
        boundaries[row, 0] = csc_matrix(label.shape, dtype=float)
    present = np.unique(label[label > 0])
    struct = {"Boundaries": boundaries, "Segmentation": label, "CategoriesPresent": present}
    savemat(path, {"GTcls": struct}, do_compression=True)


def write_pascal(root: Path) -> Path:
    write_voc(root)
    write_sbd(root)
    return root


def write_list(path: Path, names: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names))


def coco_categories() -> list[dict]:
    pairs = zip(COCO_CATEGORY_IDS, COCO_CLASSES, strict=True)
    return [{"id": number, "name": name, "supercategory": "thing"} for number, name in pairs]


def rectangle(x: int, y: int, width: int, height: int) -> list[float]:
    """A polygon around the pixels from (x, y) on."""
    return [float(v) for v in (x, y, x + width, y, x + width, y + height, x, y + height)]


def write_coco(root: Path, year: int = 2017, images: int = 80) -> Path:
    """Image n holds classes 2n+1 and 2n+2 side by side; image 0 a crowd over all of itself, too,
    and one more image holds nothing."""
    for split, first in (("train", 1), ("val", 100_001)):
        prefix = f"COCO_{split}{year}_" if year == 2014 else ""
        listed, annotations = [], []
        for number in range(images + 1):
            image_id = first + number
            name = f"{prefix}{image_id:012d}.jpg"
            write_jpeg(root / f"{split}{year}" / name, number)
            listed.append({"id": image_id, "file_name": name, "height": HEIGHT, "width": WIDTH})
            if number < images:
                annotations += _coco_objects(number, image_id)
        content = {"images": listed, "annotations": annotations, "categories": coco_categories()}
        target = root / "annotations" / f"instances_{split}{year}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(content))
    return root


def _coco_objects(number: int, image_id: int) -> list[dict]:
    objects = []
    for side in range(2):
        objects.append(
            {
                "id": image_id * 10 + side,
                "image_id": image_id,
                "category_id": COCO_CATEGORY_IDS[(2 * number + side) % 80],
                "iscrowd": 0,
                "segmentation": [rectangle(2 + 48 * side, 4, 42, 70)],
            }
        )
    if number == 0:
        crowd = {"size": [HEIGHT, WIDTH], "counts": [0, HEIGHT * WIDTH]}
        entry = {"iscrowd": 1, "segmentation": crowd, "category_id": 1}
        objects.append({"id": image_id * 10 + 9, "image_id": image_id, **entry})
    return objects


def write_folder(root: Path, classes: tuple[str, ...] = ("cat", "red_mug")) -> Path:
    """Three images a class; the masks of a class are {0,1}, {0,255} and {0,1,255}."""
    for place, folder in enumerate(classes):
        for number in range(3):
            write_jpeg(root / folder / "images" / f"picture{number}.jpg", 10 * place + number)
            label = object_label(1, border=number == 2)
            if number == 1:
                label = label * 255
            path = root / folder / "masks" / f"picture{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(label).save(path)
    return root
