"""What `fsslib segment` does with its options: a folder of answers, one for each query."""

from __future__ import annotations

import re
from argparse import Namespace
from pathlib import Path

from fsslib.own_pictures.segmenting import segment

_BOX = re.compile(r"-?\d+(\.\d+)?([ ,]+-?\d+(\.\d+)?){3}")


def segment_files(queries: list[Path], options: Namespace) -> None:
    """Segment every query by the same supports; a line on each, a folder of its own if several.

    Raises:
        ValueError, TypeError, WeightsError, OSError: as `segment`, for the query that has it.
    """
    names = _folders(queries)
    for query, name in zip(queries, names, strict=True):
        answer = segment(
            query,
            options.supports or None,
            [_mask(text) for text in options.masks] or None,
            options.names[0] if len(options.names) == 1 else options.names or None,
            options.method,
            weights=options.weights,
            image_size=options.image_size,
            tile=options.tile,
            device=options.device,
        )
        folder = options.out / name if len(queries) > 1 else options.out
        answer.save(folder)
        print(f"{query}: {answer}; see {folder}")


def _folders(queries: list[Path]) -> list[str]:
    """A name for each query's answers: its own, with its suffix where two would share one."""
    stems = [query.stem for query in queries]
    names = [query.name if stems.count(query.stem) > 1 else query.stem for query in queries]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two queries are called {twice}; give them in two commands")
    return names


def _mask(text: str) -> str | list[float]:
    """A path, or a box."""
    return [float(n) for n in re.split("[ ,]+", text)] if _BOX.fullmatch(text.strip()) else text
