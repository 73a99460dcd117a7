"""Your own data as a benchmark: one folder a class, images and binary masks by the same name.

    <root>/<class>/images/<name>.jpg     (jpg, jpeg, png, bmp, webp, tif or tiff)
    <root>/<class>/masks/<name>.png      0 background; 1 or 255 foreground

Masks hold {0,1}, {0,255} or {0,1,255}: where a 1 occurs 255 is ignored, in a mask without any 1
255 is the foreground. So a mask that only has border pixels to ignore must not be written as
{0,255}: leave that image out. All classes are novel, and both splits are all images, so this is
for testing and predicting, not for training. An image that lies in two class folders is two
images; each mask speaks of its own class only.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fsslib.data.benchmark import BrokenFileError
from fsslib.data.episode import IGNORE
from fsslib.data.labelled_files import FileBenchmark, Item, cache_folder
from fsslib.data.pictures import read_indices

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
MOST_CLASSES = 254
LAYOUT = "<root>/<class>/images/<name>.jpg with <root>/<class>/masks/<name>.png"


class FolderBenchmark(FileBenchmark):
    """A folder of folders; classes are named after theirs (`_` reads as a space), in order.

    Raises:
        FileNotFoundError: no `root`, or no class folder in it.
        BrokenFileError: a class without images, or two images of one name.
        ValueError: more than 254 classes.
    """

    def __init__(self, root: Path | str) -> None:
        root = Path(root).expanduser()
        folders = sorted(path.parent for path in root.glob("*/images") if path.is_dir())
        if not folders:
            raise FileNotFoundError(f"{root} holds no class folders; expected {LAYOUT}")
        if len(folders) > MOST_CLASSES:
            raise ValueError(
                f"{root} holds {len(folders)} classes; label maps have room for {MOST_CLASSES}. "
                "Split the folder in two"
            )
        items = [i for class_id, folder in enumerate(folders, 1) for i in _items(folder, class_id)]
        super().__init__(
            "folder",
            [folder.name.replace("_", " ") for folder in folders],
            {"train": items, "val": items},
            partial(read_binary_mask, fix="Save 0 for background and 1 or 255 for the object"),
            cache_folder(root),
            "Save the picture again, or remove it with its mask",
        )

    def novel_classes(self, fold: int) -> tuple[int, ...]:
        """All classes, whatever the fold."""
        return self.class_ids


def _items(folder: Path, class_id: int) -> list[Item]:
    """The images of one class folder; masks are looked for when they are read."""
    images = sorted(
        path
        for path in (folder / "images").iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )
    if not images:
        raise BrokenFileError(f"{folder / 'images'} holds no images; expected {LAYOUT}")
    stems = [path.stem for path in images]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise BrokenFileError(f"{folder / 'images'}: several images named {twice}; rename them")
    masks = folder / "masks"
    return [Item(p, masks / f"{p.stem}.png", f"{folder.name}/{p.stem}", class_id) for p in images]


def read_binary_mask(item: Item, fix: str) -> UInt8[np.ndarray, "h w"]:
    """A binary mask as a label map: 0, the item's class id, 255.

    Raises:
        BrokenFileError: other values than {0,1}, {0,255} or {0,1,255}; says which were found.
    """
    mask = read_indices(item.label, fix)
    values = np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist()
    if not set(values) <= {0, 1, 255}:
        raise BrokenFileError(
            f"{item.label} holds the values {values[:8]}{' …' if len(values) > 8 else ''}; "
            f"expected {{0,1}}, {{0,255}} or {{0,1,255}}. {fix}"
        )
    table = np.zeros(256, np.uint8)
    table[1] = item.class_id
    table[255] = IGNORE if 1 in values else item.class_id
    return table[mask]
