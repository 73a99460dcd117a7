"""From COCO's `instances_*.json` to one label map an image.

Objects overlap in COCO, a label map has one class a pixel: larger objects are drawn first, smaller
ones over them (ties: by annotation id), so that a fork on a table stays. Areas are those of the
decoded masks. Crowd regions (`iscrowd`) are 255 wherever no object claims the pixel: they are
outlines of many objects with gaps, good for neither foreground nor background.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from fsslib.data.benchmark import BrokenFileError
from fsslib.data.coco_schema import (
    ANNOTATION,
    CATEGORY,
    IMAGE,
    polygons,
    require_entries,
    run_lengths,
)
from fsslib.data.folds import COCO_CLASSES
from fsslib.data.pictures import MOST_PIXELS
from fsslib.files import read_json


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
        BrokenFileError: not an instances file (see `coco_schema`), or not COCO's 80 categories.
    """
    try:
        content = read_json(path, dict)
        images = require_entries("image", content.get("images"), IMAGE)
        annotations = require_entries("annotation", content.get("annotations"), ANNOTATION)
        class_of = _class_ids(require_entries("category", content.get("categories"), CATEGORY))
        objects = _objects(images, annotations, class_of)
    except ValueError as error:
        raise BrokenFileError(
            f"{path} is not a COCO instances file ({error}); unpack annotations_trainval*.zip "
            "again, or look at what wrote it"
        ) from error
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
    return sorted(read, key=lambda image: image.image_id)


def _objects(
    images: list[dict[str, Any]], annotations: list[dict[str, Any]], class_of: dict[int, int]
) -> dict[int, list[tuple[int, dict[str, Any]]]]:
    """Class id and annotation by image; ValueError for what no image or no category has."""
    objects = {image["id"]: [] for image in images}
    if not objects:
        raise ValueError("it lists no image")
    for image in images:
        if image["height"] * image["width"] > MOST_PIXELS:
            raise ValueError(f"image {image['id']} has more than {MOST_PIXELS:,} pixels")
    for annotation in annotations:
        for name, known in (("image_id", objects), ("category_id", class_of)):
            if annotation[name] not in known:
                raise ValueError(f"annotation {annotation['id']}: no {name} {annotation[name]}")
        entry = (class_of[annotation["category_id"]], annotation)
        objects[annotation["image_id"]].append(entry)
    return objects


def _class_ids(categories: list[dict[str, Any]]) -> dict[int, int]:
    ordered = sorted(categories, key=lambda category: category["id"])
    names = tuple(category["name"] for category in ordered)
    if names != COCO_CLASSES:
        wrong = sorted(set(names) ^ set(COCO_CLASSES))
        raise ValueError(
            f"it has {len(names)} categories (differences: {[w[:40] for w in wrong[:5]]}), "
            "expected COCO's 80: use `folder` for other classes"
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

    size = (image.height, image.width)
    try:
        segmentation = annotation["segmentation"]
        if isinstance(segmentation, dict):
            counts = run_lengths(segmentation, *size)
            return coco_mask.frPyObjects({"size": list(size), "counts": counts}, *size)
        if not isinstance(segmentation, list):
            raise ValueError(f"its segmentation is a {type(segmentation).__name__}")
        outlines = polygons(segmentation, *size)
        return coco_mask.merge(coco_mask.frPyObjects(outlines, *size)) if outlines else None
    except Exception as error:  # pycocotools raises bare Exception on what it does not know
        raise BrokenFileError(
            f"{image.source}: annotation {annotation.get('id')} of {image.file_name} cannot be "
            f"drawn ({error}); unpack annotations_trainval*.zip again"
        ) from error
