"""Pictures and classes of a benchmark by the names that lists call them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from fsslib.config import shown
from fsslib.data.benchmark import Benchmark, Split, nearest


class PictureNames:
    """From names to picture numbers of one split, and to class ids.

    A picture is named by its id, or by a file name, with or without folders and suffix.
    """

    def __init__(self, benchmark: Benchmark, split: Split) -> None:
        self.benchmark, self.split = benchmark, split
        self._numbers = {name: i for i, name in enumerate(benchmark.picture_ids(split))}
        self._classes = {name: i for i, name in enumerate(benchmark.class_names, 1)}

    def picture(self, name: str) -> int:
        """ValueError for a picture that is not in the split, with the nearest names."""
        if not isinstance(name, str):
            raise ValueError(f"{shown(name)} is no name of a picture")
        for form in (name, PurePosixPath(name).stem):
            if form in self._numbers:
                return self._numbers[form]
        raise ValueError(
            f"there is no picture {name!r} in {self.benchmark.name} {self.split}"
            f"{nearest(PurePosixPath(name).stem, self._numbers)}"
        )

    def class_id(self, name: str | int) -> int:
        """A class by name (`_` reads as a space) or by number from 1; ValueError if unknown."""
        name = str(name)
        for form in (name, name.replace("_", " ")):
            if form in self._classes:
                return self._classes[form]
        if name.isdecimal() and int(name) in self.benchmark.class_ids:
            return int(name)
        raise ValueError(
            f"there is no class {name!r} in {self.benchmark.name}, whose numbers are 1 to "
            f"{len(self._classes)}{nearest(name, self._classes)}"
        )

    def is_class(self, name: str) -> bool:
        """Whether this names a class and no picture."""
        if name in self._numbers:
            return False
        try:
            return bool(self.class_id(name))
        except ValueError:
            return False


def without_labels(names: Sequence[str]) -> list[str]:
    """The names but for label files: a PNG in another folder, right after the picture it labels."""
    pictures: list[str] = []
    for name in names:
        path, before = PurePosixPath(name), PurePosixPath(pictures[-1] if pictures else "")
        if not (path.suffix == ".png" and path.stem == before.stem and path != before):
            pictures.append(name)
    return pictures
