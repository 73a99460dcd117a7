"""From COCO's `instances_*.json` to one label map an image.

Objects overlap in COCO, a label map has one class a pixel: larger objects are drawn first, smaller
ones over them (ties: by annotation id), so that a fork on a table stays. Areas are those of the
decoded masks. Crowd regions (`iscrowd`) are 255 wherever no object claims the pixel: they are
outlines of many objects with gaps, good for neither foreground nor background.
"""

from __future__ import annotations

import json
import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from fsslib.data.benchmark import BrokenFileError
from fsslib.data.folds import COCO_CLASSES


@dataclass(frozen=True)
class ImageAnnotations:
    """What the JSON says of one image."""

    source: str
    """The JSON file, for error messages."""
    image_id: int
    file_name: str
    height: int
    width: int
    objects: tuple[tuple[int, dict[str, Any]], ...]
    """(class id from 1 to 80, annotation)"""


def read_instances(path: Path) -> list[ImageAnnotations]:
    """All images of a JSON file in the order of their ids.

    Class ids are 1 to 80 in the order of COCO's category ids, which have gaps (1 to 90).

    Raises:
        BrokenFileError: not an instances file, or not COCO's 80 categories.
    """
    try:
        content = json.loads(path.read_bytes())
        images, annotations = content["images"], content["annotations"]
        class_of = _class_ids(content["categories"], path)
        objects = defaultdict(list)
        for annotation in annotations:
            entry = (class_of[annotation["category_id"]], annotation)
            objects[annotation["image_id"]].append(entry)
        read = [
            ImageAnnotations(
                str(path),
                image["id"],
                image["file_name"],
                image["height"],
                image["width"],
                tuple(objects[image["id"]]),
            )
            for image in images
        ]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise BrokenFileError(
            f"{path} is not a COCO instances file ({type(error).__name__}: {error}); unpack "
            "annotations_trainval*.zip again"
        ) from error
    return sorted(read, key=lambda image: image.image_id)


def _class_ids(categories: list[dict[str, Any]], path: Path) -> dict[int, int]:
    ordered = sorted(categories, key=lambda category: category["id"])
    names = tuple(category["name"] for category in ordered)
    if names != COCO_CLASSES:
        wrong = sorted(set(names) ^ set(COCO_CLASSES))
        raise BrokenFileError(
            f"{path} has {len(names)} categories (differences: {wrong[:5]}); expected COCO's 80. "
            "Use `folder` for other classes"
        )
    return {category["id"]: number for number, category in enumerate(ordered, 1)}


def draw_labels(image: ImageAnnotations) -> UInt8[np.ndarray, "h w"]:
    """The label map of one image; BrokenFileError names the annotation that cannot be drawn."""
    from pycocotools import mask as coco_mask  # compiled; only needed when labels are made

    label = np.zeros((image.height, image.width), np.uint8)
    objects = []
    for class_id, annotation in image.objects:
        encoded = _encode(annotation, image)
        if encoded is None:
            continue
        if annotation.get("iscrowd", 0):
            label[_decode(encoded)] = 255
        else:
            area = int(coco_mask.area(encoded))
            objects.append((-area, annotation["id"], class_id, encoded))
    for _, _, class_id, encoded in sorted(objects, key=lambda entry: entry[:2]):
        label[_decode(encoded)] = class_id
    return label


def _decode(encoded: dict[str, Any]) -> Bool[np.ndarray, "h w"]:
    from pycocotools import mask as coco_mask

    with warnings.catch_warnings():  # pycocotools' array class is older than NumPy 2
        warnings.simplefilter("ignore", DeprecationWarning)
        return coco_mask.decode(encoded).astype(bool)


def _encode(annotation: dict[str, Any], image: ImageAnnotations) -> dict[str, Any] | None:
    """The annotation as pycocotools' run-length code; None if it encloses nothing."""
    from pycocotools import mask as coco_mask

    size = [image.height, image.width]
    try:
        segmentation = annotation["segmentation"]
        if isinstance(segmentation, list):
            # pycocotools reads lists of four numbers as boxes; two points enclose nothing anyway
            polygons = [polygon for polygon in segmentation if len(polygon) >= 6]
            if not polygons:
                return None
            return coco_mask.merge(coco_mask.frPyObjects(polygons, *size))
        if list(segmentation["size"]) != size:
            raise ValueError(f"mask is {segmentation['size']}, image {size} (height, width)")
        if isinstance(segmentation["counts"], list):
            if sum(segmentation["counts"]) != image.height * image.width:
                raise ValueError("run lengths do not add up to the image")
            return coco_mask.frPyObjects(segmentation, *size)
        return segmentation
    except Exception as error:  # pycocotools raises bare Exception on what it does not know
        raise BrokenFileError(
            f"{image.source}: annotation {annotation.get('id')} of {image.file_name} cannot be "
            f"drawn ({error}); unpack annotations_trainval*.zip again"
        ) from error
