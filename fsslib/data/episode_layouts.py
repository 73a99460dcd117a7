"""How episode files are laid out, and the checks that every episode of one must pass."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fsslib.config import ConfigError, shown
from fsslib.data.benchmark import Benchmark, Split
from fsslib.data.official_lists import PFENET_WORKERS, Drawn, hsnet_coco, hsnet_pascal, pfenet
from fsslib.data.picture_names import PictureNames, without_labels
from fsslib.data.protocol import Protocol
from fsslib.data.sampler import ClassSplit, EpisodeSpec


class Layout:
    """What the layouts share: from names to numbers, and the checks of an episode."""

    def __init__(self, path: Path, benchmark: Benchmark, protocol: Protocol) -> None:
        self.path, self.benchmark, self.protocol = path, benchmark, protocol
        self.novel = ClassSplit.of(benchmark, protocol).novel
        self.names = PictureNames(benchmark, "val")

    @contextmanager
    def _at(self, place: str) -> Iterator[None]:
        """Errors inside are about this place in the file."""
        try:
            yield
        except ValueError as error:
            raise ConfigError(f"{self.path}, {place}: {error}") from error

    def _spec(
        self, query: str, classes: Iterable[str | int], supports: Iterable[Iterable[str]]
    ) -> EpisodeSpec:
        """ValueError if this is no episode of the protocol."""
        class_ids = tuple(self._novel(name) for name in classes)
        rows = tuple(tuple(self.names.picture(name) for name in row) for row in supports)
        spec = EpisodeSpec(self.names.split, self.names.picture(query), class_ids, rows)
        way, shots = self.protocol.way, {len(row) for row in rows}
        if (len(class_ids), len(rows)) != (way, way):
            raise ValueError(f"{len(class_ids)}-way with supports for {len(rows)}; expected {way}")
        if shots != {self.protocol.shot}:
            raise ValueError(f"{max(shots)} supports a class; expected shot={self.protocol.shot}")
        if any(spec.query in row for row in rows):
            raise ValueError(f"the query {query!r} is its own support")
        if not any(self._shows(spec.query, c) for c in class_ids):
            raise ValueError(f"the query {query!r} shows none of the episode's classes")
        for class_id, row in zip(class_ids, rows, strict=True):
            for picture in row:
                self._require_shown(picture, class_id)
        return spec

    def _novel(self, name: str | int) -> int:
        class_id = self.names.class_id(name)
        if self.names.split == "val" and class_id not in self.novel:
            raise ValueError(
                f"class {self.benchmark.name_of(class_id)!r} ({class_id}) is not novel in fold "
                f"{self.protocol.fold}; is this the list of another fold?"
            )
        return class_id

    def _shows(self, picture: int, class_id: int) -> bool:
        return bool(self.benchmark.areas(self.names.split)[picture, class_id - 1])

    def _require_shown(self, picture: int, class_id: int) -> None:
        if not self._shows(picture, class_id):
            name = self.benchmark.picture_ids(self.names.split)[picture]
            raise ValueError(f"{name!r} does not show {self.benchmark.name_of(class_id)!r}")

    def _drawn(self, episodes: Iterator[Drawn]) -> list[EpisodeSpec]:
        """Episodes that a released code's draws make of a list of pictures."""
        with self._at("drawing its episodes"):
            if self.protocol.way != 1:
                raise ValueError(
                    f"the released codes are 1-way; the protocol is way={self.protocol.way}"
                )
            return [EpisodeSpec("val", query, (c,), (row,)) for query, c, row in episodes]


class LineLayout(Layout):
    def read(self, text: str) -> list[EpisodeSpec]:
        lines = {f"line {n}": line.split() for n, line in enumerate(text.splitlines(), 1)}
        lines = {place: names for place, names in lines.items() if names}
        if not lines:
            raise ConfigError(f"{self.path} is empty; expected a list of episodes")
        first = next(iter(lines.values()))
        if len(first) == 1:
            return self._hsnet(lines)
        if len(first) == 2 and len(without_labels(first)) == 1:
            return self._pfenet(lines)
        specs = []
        for place, names in lines.items():
            with self._at(place):
                specs.append(self._episode(without_labels(names)))
        return specs

    def _episode(self, names: list[str]) -> EpisodeSpec:
        places = [
            place for place in (-1, 1) if len(names) > 2 and self.names.is_class(names[place])
        ]
        if not places:
            raise ValueError(
                "expected `query support … class`, the class by name or number from 1, last or "
                "after the query"
            )
        class_name = names.pop(places[0])
        return self._spec(names[0], [class_name], [names[1:]])

    def _hsnet(self, lines: dict[str, list[str]]) -> list[EpisodeSpec]:
        listed = []
        for place, names in lines.items():
            with self._at(place):
                name, separator, class_name = names[0].rpartition("__")
                if len(names) > 1 or not separator:
                    raise ValueError(f"{' '.join(names)!r}; expected picture__class")
                picture, class_id = self.names.picture(name), self._novel(class_name)
                self._require_shown(picture, class_id)
                listed.append((picture, class_id))
        protocol = self.protocol
        return self._drawn(hsnet_pascal(listed, protocol.shot, protocol.episodes, protocol.seed))

    def _pfenet(self, lines: dict[str, list[str]]) -> list[EpisodeSpec]:
        pictures = []
        for place, names in lines.items():
            with self._at(place):
                if len(names) != 2:
                    raise ValueError(f"{' '.join(names)!r}; expected a picture and its label")
                pictures.append(self.names.picture(names[0]))
        protocol, areas = self.protocol, self.benchmark.areas("val")
        large = areas >= max(protocol.minimum_object_pixels, 1)
        settings = (self.novel, protocol.shot, protocol.episodes, protocol.seed)
        workers = PFENET_WORKERS.get(self.benchmark.name, 1)
        return self._drawn(pfenet(pictures, areas > 0, large, *settings, workers))


class JsonLayout(Layout):
    def read(self, text: str) -> list[EpisodeSpec]:
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{self.path} is broken JSON ({error})") from error
        if isinstance(content, dict) and isinstance(content.get("episodes"), list):
            return self._own(content)
        if isinstance(content, dict) and all(key.isdecimal() for key in content):
            return self._hsnet(content)
        raise ConfigError(
            f"{self.path} holds neither `episodes` nor pictures by class number; expected what "
            "`python -m fsslib.data export-episodes` writes, or HSNet's list for COCO"
        )

    def _own(self, content: dict[str, Any]) -> list[EpisodeSpec]:
        if content.get("benchmark") != self.benchmark.name:
            raise ConfigError(
                f"{self.path} is a list for {content.get('benchmark')!r}; the protocol is for "
                f"{self.benchmark.name!r}"
            )
        split: Split = "train" if content.get("split") == "train" else "val"
        self.names = PictureNames(self.benchmark, split)
        specs = []
        for number, row in enumerate(content["episodes"], 1):
            with self._at(f"episode {number}"):
                if not (isinstance(row, dict) and {"query", "classes", "supports"} <= row.keys()):
                    raise ValueError("expected query, classes and supports")
                _require_lists(row["classes"], row["supports"])
                _require_lists(*row["supports"])
                specs.append(self._spec(row["query"], row["classes"], row["supports"]))
        return specs

    def _hsnet(self, content: dict[str, list[str]]) -> list[EpisodeSpec]:
        pictures = {}
        for key, names in content.items():
            if int(key) + 1 in self.novel:
                with self._at(f"class {key}"):
                    _require_lists(names)
                    pictures[int(key) + 1] = [self.names.picture(name) for name in names]
        if missing := [c - 1 for c in self.novel if not pictures.get(c)]:
            raise ConfigError(
                f"{self.path} has no pictures of classes {missing} (from 0), which are novel in "
                f"fold {self.protocol.fold}; is this the list of another fold?"
            )
        protocol = self.protocol
        return self._drawn(hsnet_coco(pictures, protocol.shot, protocol.episodes, protocol.seed))


def _require_lists(*values: Any) -> None:
    for value in values:
        if not isinstance(value, list):
            raise ValueError(f"{shown(value)} is no list of names")
