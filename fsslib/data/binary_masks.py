"""Binary masks of one's own folder: reading them, and telling a misnamed one from a missing one."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fsslib.data.benchmark import IGNORE, BrokenFileError
from fsslib.data.labelled_files import Item
from fsslib.data.pictures import read_mask

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def read_binary_mask(item: Item, fix: str) -> UInt8[np.ndarray, "h w"]:
    """A binary mask as a label map: 0, the item's class id, 255; where it shows nothing, what the
    masks of `item.also` show.

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
    label = table[mask]
    for other in item.also:
        shown = read_binary_mask(other, fix)
        if shown.shape != label.shape:
            raise BrokenFileError(
                f"{other.label} and {item.label} are masks of one photograph, but differ in size. "
                "Make both on the photograph's stored pixels"
            )
        label = np.where(label == 0, shown, label)
    return label


def _refuse_misnamed(item: Item) -> None:
    """BrokenFileError if the mask is not there but a file called much like it is."""
    mask = item.label
    if mask.exists():
        return
    pattern = re.compile(re.escape(mask.stem) + r"([._-].*)?", re.IGNORECASE)
    near = [p for p in visible(mask.parent) if p.suffix.lower() in SUFFIXES]
    near = [p for p in near if pattern.fullmatch(p.stem)]
    pictures = {p.stem for p in visible(item.image.parent)} - {mask.stem} if near else set()
    for path in near:
        if path.stem not in pictures:  # else it is the mask of another picture
            how = "rename it to" if path.suffix.lower() == ".png" else "save it as a PNG called"
            raise BrokenFileError(
                f"{mask} is missing; expected a PNG by its image's name. If {path.name} in the "
                f"same folder is meant, {how} {mask.name}"
            )


def visible(folder: Path) -> list[Path]:
    """What a folder holds but for hidden files and folders; nothing if there is no such folder."""
    return sorted(folder.glob("[!.]*"))
