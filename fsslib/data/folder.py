"""Your own data as a benchmark: one folder a class, images and binary masks by the same name.

    <root>/<class>/images/<name>.jpg     (jpg, jpeg, png, bmp, webp, tif or tiff)
    <root>/<class>/masks/<name>.png      0 background; 1 or 255 foreground

Masks hold {0,1}, {0,255} or {0,1,255}: where a 1 occurs 255 is ignored, in a mask without any 1
255 is the foreground. So a mask that only has border pixels to ignore must not be written as
{0,255}: leave that image out. Names that start with a dot are not read.

All classes are novel and both splits are all images, for testing and predicting, unless a file
`classes.yaml` names base classes (`fsslib.data.folder_classes`): then the train split is their
images, and the val split those of novel classes. An image that lies in two class folders is two
images; each mask speaks of its own class only. But where the same file lies in a base and in a
novel class, training knows the novel object, and treats it as the protocol's `novel_in_train` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from fsslib.config import ConfigError
from fsslib.data.benchmark import BENCHMARKS, BrokenFileError, Split
from fsslib.data.binary_masks import SUFFIXES, read_binary_mask, visible
from fsslib.data.folder_classes import (
    FILE,
    FolderClasses,
    class_name,
    read_classes,
    with_same_photographs,
)
from fsslib.data.labelled_files import FileBenchmark, Item, cache_folder

MOST_CLASSES = 254
LAYOUT = "<root>/<class>/images/<name>.jpg with <root>/<class>/masks/<name>.png"


@BENCHMARKS.register("folder")
class FolderBenchmark(FileBenchmark):
    """A folder of folders; classes are named after theirs (`_` reads as a space), in order.

    Raises:
        FileNotFoundError: no `root`, or no class folder in it.
        BrokenFileError: a class without images, or two images or two classes of one name.
        ConfigError: what `read_classes` raises about `classes.yaml`.
        ValueError: more than 254 classes.
    """

    usual: ClassVar = {"image_size": 473, "minimum_object_pixels": 1}
    identified_by_root = True
    val_has_base = False

    @classmethod
    def require_base(cls, root: Path | str | None) -> None:
        require_base_classes(root)

    @classmethod
    def identity(cls, root: Path | str | None) -> Any:
        """The folder, and what its `classes.yaml` says."""
        declared = Path(root).expanduser() / FILE
        return [super().identity(root), declared.read_text() if declared.is_file() else None]

    def __init__(self, root: Path | str) -> None:
        self.root = root = Path(root).expanduser()
        folders = [folder for folder in visible(root) if (folder / "images").is_dir()]
        if not folders:
            raise FileNotFoundError(f"{root} holds no class folders; expected {LAYOUT}")
        if len(folders) > MOST_CLASSES:
            raise ValueError(
                f"{root} holds {len(folders)} classes; label maps have room for {MOST_CLASSES}. "
                "Split the folder in two"
            )
        names = [class_name(folder.name) for folder in folders]
        twice = [f.name for f, name in zip(folders, names, strict=True) if names.count(name) > 1]
        if twice:
            raise BrokenFileError(
                f"{root}: the folders {twice} name the same class, as `_` reads as a space; "
                "expected one folder a class. Rename them, or put them into one"
            )
        items = [i for class_id, folder in enumerate(folders, 1) for i in _items(folder, class_id)]
        self.classes = read_classes(root, names)
        self.held_out_classes = self.classes.held_out if self.classes else ()
        super().__init__(
            "folder",
            names,
            _splits(items, self.classes),
            partial(read_binary_mask, fix="Save 0 for background and 1 or 255 for the object"),
            cache_folder(root),
            "Save the picture again, or remove it with its mask",
        )

    def novel_classes(self, fold: int) -> tuple[int, ...]:
        """Those of `classes.yaml`, else all; whatever the fold."""
        return self.classes.novel if self.classes else self.class_ids

    def unread_folders(self) -> Iterator[str]:
        """Folders that may be meant as a class and are none; what to do about each."""
        for folder in visible(self.root):
            if folder.is_dir() and not (folder / "images").is_dir():
                inside = [p for p in visible(folder) if p.is_dir() or p.suffix.lower() in SUFFIXES]
                if inside:
                    yield (
                        f"{folder} is not read as a class: it holds {_names(inside)}, and no "
                        f"folder `images`; expected {LAYOUT}. Rename what it holds, or move it away"
                    )

    def unread_files(self) -> Iterator[str]:
        """What lies in the class folders and is not read, a line for each folder."""
        items = {*self.items["train"], *self.items["val"]}
        read = {path for item in items for path in (item.image, item.label)}
        for images in sorted({item.image.parent for item in items}):
            masks = images.with_name("masks")
            for folder, expected in (
                (images.parent, "expected `images` and `masks`"),
                (images, f"expected pictures ({', '.join(SUFFIXES)})"),
                (masks, "expected a PNG by the name of each picture"),
            ):
                unread = [p for p in visible(folder) if p not in {*read, images, masks}]
                if unread:
                    yield f"{folder}: not read: {_names(unread)}; {expected}"


def require_base_classes(root: Path | str) -> tuple[str, ...]:
    """Names of the base classes that the folder's `classes.yaml` declares.

    Raises:
        ConfigError: it declares none; says how to.
        What `FolderBenchmark` raises.
    """
    benchmark = FolderBenchmark(root)
    if benchmark.classes is None:
        raise ConfigError(
            f"root={str(root)!r}: all classes are novel, there is none to train on; name base "
            f"classes in {benchmark.root / FILE}, such as `base: [{benchmark.class_names[0]}]`, or "
            "run evaluate"
        )
    return tuple(benchmark.name_of(class_id) for class_id in benchmark.classes.base)


def _splits(items: list[Item], classes: FolderClasses | None) -> dict[Split, list[Item]]:
    """All images in both splits, or those of base classes to train on and of novel ones to test."""
    if classes is None:
        return {"train": items, "val": items}
    novel = [item for item in items if item.class_id in classes.novel]
    base = [item for item in items if item.class_id not in classes.novel]
    return {"train": with_same_photographs(base, novel), "val": novel}


def _items(folder: Path, class_id: int) -> list[Item]:
    """The images of one class folder; masks are looked for when they are read."""
    images = [path for path in visible(folder / "images") if path.suffix.lower() in SUFFIXES]
    if not images:
        raise BrokenFileError(f"{folder / 'images'} holds no images; expected {LAYOUT}")
    stems = [path.stem for path in images]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise BrokenFileError(f"{folder / 'images'}: several images named {twice}; rename them")
    masks = folder / "masks"
    return [Item(p, masks / f"{p.stem}.png", f"{folder.name}/{p.stem}", class_id) for p in images]


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths[:4]) + (
        f" and {len(paths) - 4:,} more" if len(paths) > 4 else ""
    )
