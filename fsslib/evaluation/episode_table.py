"""What an evaluation counted, episode by episode: a small table beside `results.json`.

A gzipped CSV of UTF-8 text, about 10 kB for a thousand episodes of one class and one support, a
row an episode and class:

    episode                  0 for the first; rows of one episode follow each other
    class                    its id in the benchmark
    query, supports          pictures by their ids in the benchmark; several supports have `|`
                             between them
    pixels                   that were counted in the episode: all but the ignored ones
    intersection, union, target    of the class, in pixels; `target` is the object's ground truth,
                             0 where the query does not show the class
    foreground_intersection, foreground_union    of all classes of the episode together

The background follows: its intersection is `pixels` without the union of the foreground, its union
`pixels` without the foreground's intersection. Other columns may stand beside these; readers here
leave them alone.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64

from fsslib.files import atomic_path

NUMBERS = (
    *("episode", "class", "pixels", "intersection", "union", "target"),
    *("foreground_intersection", "foreground_union"),
)
COLUMNS = ("episode", "class", "query", "supports", *NUMBERS[2:])
LARGEST = 256 * 2**20
"""Bytes of text that are read at most: a broken or hostile archive may unfold to any size."""


@dataclass(frozen=True, eq=False)
class EpisodeTable:
    """The episodes of one evaluation, in the order of its list."""

    queries: tuple[str, ...]
    """Query picture of each episode."""
    supports: tuple[tuple[tuple[str, ...], ...], ...]
    """Support pictures of each of an episode's classes."""
    classes: Int64[np.ndarray, "episodes way"]
    areas: Int64[np.ndarray, "episodes rows 3"]
    """Intersection, union and target in pixels; rows: background, all foreground, each class."""

    def __len__(self) -> int:
        return len(self.queries)

    def class_ids(self) -> list[int]:
        """Class ids that occur, in increasing order."""
        return np.unique(self.classes).tolist()

    def by_class(self) -> Int64[np.ndarray, "episodes classes 2"]:
        """Intersection and union, a row for each of `class_ids()`; 0 for what an episode is not
        about."""
        column = np.searchsorted(self.class_ids(), self.classes)
        table = np.zeros((len(self), len(self.class_ids()), 2), np.int64)
        np.put_along_axis(table, column[..., None], self.areas[:, 2:, :2], axis=1)
        return table

    def sizes(self) -> Float64[np.ndarray, " episodes"]:
        """Fraction of each query's pixels that its objects take, of all classes that are asked
        for; pixels that are not scored count in neither."""
        pixels = self.areas[:, 0, 1] + self.areas[:, 1, 0]
        return self.areas[:, 1, 2] / np.maximum(pixels, 1)

    def subset(self, chosen: Bool[np.ndarray, " episodes"]) -> EpisodeTable:
        """Those episodes alone, in their order."""
        numbers = np.flatnonzero(chosen)
        return EpisodeTable(
            tuple(self.queries[number] for number in numbers),
            tuple(self.supports[number] for number in numbers),
            self.classes[numbers],
            self.areas[numbers],
        )

    def pooled(self) -> Int64[np.ndarray, "episodes 2 2"]:
        """Intersection and union of background and foreground."""
        return self.areas[:, :2, :2]


def write_table(table: EpisodeTable, path: Path) -> None:
    """The file, whole or not at all; equal tables give equal bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, (areas, classes) in enumerate(zip(table.areas, table.classes, strict=True)):
        pixels, foreground = areas[0, 0] + areas[1, 1], areas[1, :2]
        for place, class_id in enumerate(classes):
            pictures = table.queries[number], "|".join(table.supports[number][place])
            writer.writerow((number, class_id, *pictures, pixels, *areas[2 + place], *foreground))
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(text.getvalue().encode(), 9, mtime=0))


def read_table(path: Path) -> EpisodeTable:
    """The table that a file holds.

    Raises:
        ValueError: what lies there is no such table, or not a whole one; names the file.
    """
    try:
        with gzip.open(path) as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise ValueError(f"more than {LARGEST} bytes of text")
        return _table(list(csv.DictReader(io.StringIO(text.decode()))))
    except (
        *(ValueError, TypeError, OverflowError),
        *(EOFError, zlib.error, gzip.BadGzipFile, csv.Error),
    ) as error:
        raise ValueError(
            f"{path} is no whole table of episodes ({error}); repeat the evaluation that made it"
        ) from error


def _table(rows: Sequence[dict[str, str]]) -> EpisodeTable:
    if not rows:
        raise ValueError("it has no rows")
    if missing := [name for name in COLUMNS if name not in rows[0]]:
        raise ValueError(f"it has no column {missing[0]!r}")
    numbers = np.array([[int(row[name]) for name in NUMBERS] for row in rows], np.int64)
    if (numbers < 0).any():
        raise ValueError("it has numbers below zero")
    episodes = int(numbers[-1, 0]) + 1
    way = len(rows) // episodes  # 0 for numbers beyond all rows, which no array shall be made of
    if not way or not np.array_equal(numbers[:, 0], np.repeat(np.arange(episodes), way)):
        raise ValueError(f"its {len(rows)} rows are not those of {episodes} episodes of one way")
    each = numbers.reshape(episodes, way, -1)
    supports = [tuple(row["supports"].split("|")) for row in rows]
    return EpisodeTable(
        tuple(row["query"] for row in rows[::way]),
        tuple(tuple(supports[i : i + way]) for i in range(0, len(rows), way)),
        each[..., 1],
        _areas(each),
    )


def _areas(each: Int64[np.ndarray, "episodes way columns"]) -> Int64[np.ndarray, "episodes rows 3"]:
    """Of background, foreground and classes from the columns; ValueError if they cannot be."""
    of_class, pixels, merged = each[..., 3:6], each[:, 0, 2], each[:, 0, 6:8]
    target = of_class[..., 2].sum(1)
    foreground = np.stack([merged[:, 0], merged[:, 1], target], 1)
    background = np.stack([pixels - merged[:, 1], pixels - merged[:, 0], pixels - target], 1)
    areas = np.concatenate([background[:, None], foreground[:, None], of_class], 1)
    if (areas < 0).any() or (areas[..., 0] > areas[..., 1]).any():
        raise ValueError("it has an intersection beyond its union, or a union beyond its picture")
    return areas
