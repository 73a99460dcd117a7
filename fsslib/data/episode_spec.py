"""An episode by numbers, and the name of a list of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from fsslib.data.benchmark import Split

LATER = ("shown", "named", "cut_out")
"""Fields that came later: left out of a list's name where they say nothing."""


@dataclass(frozen=True)
class EpisodeSpec:
    """An episode by numbers: image indices of one split."""

    split: Split
    query: int
    classes: tuple[int, ...]
    """Global class ids, N of them."""
    supports: tuple[tuple[int, ...], ...]
    """K image indices for each class; distinct over the whole episode, never the query."""
    shown: tuple[int, ...] | None = None
    """Class ids that the supports show where these are strangers; None: the episode's own."""
    named: tuple[int, ...] | None = None
    """Class ids whose names methods are told; None: the episode's own."""
    cut_out: bool = False
    """Whether supports show their object alone, on grey."""


def list_hash(episodes: Sequence[EpisodeSpec]) -> str:
    """Twelve hexadecimal digits that name an episode list."""
    rows = [
        {name: value for name, value in asdict(episode).items() if value or name not in LATER}
        for episode in episodes
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:12]
