"""Your own data as a benchmark: one folder a class, images and binary masks by the same name.

    <root>/<class>/images/<name>.jpg     (jpg, jpeg, png, bmp, webp, tif or tiff)
    <root>/<class>/masks/<name>.png      0 background; 1 or 255 foreground

Masks hold {0,1}, {0,255} or {0,1,255}: where a 1 occurs 255 is ignored, in a mask without any 1
255 is the foreground. So a mask that only has border pixels to ignore must not be written as
{0,255}: leave that image out. All classes are novel, and both splits are all images, so this is
for testing and predicting, not for training. An image that lies in two class folders is two
images; each mask speaks of its own class only. Names that start with a dot are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fsslib.data.benchmark import BrokenFileError
from fsslib.data.episode import IGNORE
from fsslib.data.labelled_files import FileBenchmark, Item, cache_folder
from fsslib.data.pictures import read_mask

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
MOST_CLASSES = 254
LAYOUT = "<root>/<class>/images/<name>.jpg with <root>/<class>/masks/<name>.png"


class FolderBenchmark(FileBenchmark):
    """A folder of folders; classes are named after theirs (`_` reads as a space), in order.

    Raises:
        FileNotFoundError: no `root`, or no class folder in it.
        BrokenFileError: a class without images, or two images or two classes of one name.
        ValueError: more than 254 classes.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = root = Path(root).expanduser()
        folders = [folder for folder in _visible(root) if (folder / "images").is_dir()]
        if not folders:
            raise FileNotFoundError(f"{root} holds no class folders; expected {LAYOUT}")
        if len(folders) > MOST_CLASSES:
            raise ValueError(
                f"{root} holds {len(folders)} classes; label maps have room for {MOST_CLASSES}. "
                "Split the folder in two"
            )
        names = [folder.name.replace("_", " ") for folder in folders]
        twice = [f.name for f, name in zip(folders, names, strict=True) if names.count(name) > 1]
        if twice:
            raise BrokenFileError(
                f"{root}: the folders {twice} name the same class, as `_` reads as a space; "
                "expected one folder a class. Rename them, or put them into one"
            )
        items = [i for class_id, folder in enumerate(folders, 1) for i in _items(folder, class_id)]
        super().__init__(
            "folder",
            names,
            {"train": items, "val": items},
            partial(read_binary_mask, fix="Save 0 for background and 1 or 255 for the object"),
            cache_folder(root),
            "Save the picture again, or remove it with its mask",
        )

    def novel_classes(self, fold: int) -> tuple[int, ...]:
        """All classes, whatever the fold."""
        return self.class_ids

    def unread_folders(self) -> Iterator[str]:
        """Folders that may be meant as a class and are none; what to do about each."""
        for folder in _visible(self.root):
            if folder.is_dir() and not (folder / "images").is_dir():
                inside = [p for p in _visible(folder) if p.is_dir() or p.suffix.lower() in SUFFIXES]
                if inside:
                    yield (
                        f"{folder} is not read as a class: it holds {_names(inside)}, and no "
                        f"folder `images`; expected {LAYOUT}. Rename what it holds, or move it away"
                    )

    def unread_files(self) -> Iterator[str]:
        """What lies in the class folders and is not read, a line for each folder."""
        items = self.items["val"]
        read = {path for item in items for path in (item.image, item.label)}
        for images in sorted({item.image.parent for item in items}):
            masks = images.with_name("masks")
            for folder, expected in (
                (images.parent, "expected `images` and `masks`"),
                (images, f"expected pictures ({', '.join(SUFFIXES)})"),
                (masks, "expected a PNG by the name of each picture"),
            ):
                unread = [p for p in _visible(folder) if p not in {*read, images, masks}]
                if unread:
                    yield f"{folder}: not read: {_names(unread)}; {expected}"


def _items(folder: Path, class_id: int) -> list[Item]:
    """The images of one class folder; masks are looked for when they are read."""
    images = [path for path in _visible(folder / "images") if path.suffix.lower() in SUFFIXES]
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
        BrokenFileError: other values than {0,1}, {0,255} or {0,1,255}, and says which were found;
            a mask that is missing or misnamed, or what `read_mask` raises.
    """
    _refuse_misnamed(item)
    mask = read_mask(item.label, fix)
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


def _refuse_misnamed(item: Item) -> None:
    """BrokenFileError if the mask is not there but a file called much like it is."""
    mask = item.label
    if mask.exists():
        return
    pattern = re.compile(re.escape(mask.stem) + r"([._-].*)?", re.IGNORECASE)
    near = [p for p in _visible(mask.parent) if p.suffix.lower() in SUFFIXES]
    near = [p for p in near if pattern.fullmatch(p.stem)]
    pictures = {p.stem for p in _visible(item.image.parent)} - {mask.stem} if near else set()
    for path in near:
        if path.stem not in pictures:  # else it is the mask of another picture
            how = "rename it to" if path.suffix.lower() == ".png" else "save it as a PNG called"
            raise BrokenFileError(
                f"{mask} is missing; expected a PNG by its image's name. If {path.name} in the "
                f"same folder is meant, {how} {mask.name}"
            )


def _visible(folder: Path) -> list[Path]:
    """What a folder holds but for hidden files and folders; nothing if there is no such folder."""
    return sorted(folder.glob("[!.]*"))


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths[:4]) + (
        f" and {len(paths) - 4:,} more" if len(paths) > 4 else ""
    )
