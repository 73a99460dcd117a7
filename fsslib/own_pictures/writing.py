"""What `fsslib segment` leaves behind: a folder of answers, one for each query."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fsslib.own_pictures.segmenting import segment


def segment_files(queries: list[Path], out: Path, **arguments: Any) -> None:
    """Segment every query by the same supports; a line on each, a folder of its own if several.

    Args:
        arguments: arguments of `segment`.

    Raises:
        ValueError, TypeError, WeightsError, OSError: as `segment`, for the query that has it.
    """
    names = _folders(queries)
    for query, name in zip(queries, names, strict=True):
        answer = segment(query, **arguments)
        folder = out / name if len(queries) > 1 else out
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
