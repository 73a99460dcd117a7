"""Which runs stand beside each other in a paired comparison, and whether their lists are one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool

from fsslib.evaluation.episode_table import EpisodeTable
from fsslib.evaluation.resampling import numbered

Runs = Mapping[tuple[int, int], EpisodeTable]
"""Tables of one row: (fold, seed) -> episodes."""
Pairs = dict[tuple[int, int], tuple[EpisodeTable, EpisodeTable]]
Owners = dict[tuple[int, int], np.ndarray]


def as_runs(tables: EpisodeTable | Runs) -> Runs:
    """One run as a row of one fold and seed; ValueError for none."""
    runs = {(0, 0): tables} if isinstance(tables, EpisodeTable) else tables
    if not runs:
        raise ValueError("no run to compare; give one table of episodes at least")
    return runs


def paired(a: Runs, b: Runs) -> Pairs:
    """Runs of one fold and seed beside each other, fold by fold.

    Raises:
        ValueError: other folds, or several seeds that are not the same.
    """
    folds = [sorted({fold for fold, _ in runs}) for runs in (a, b)]
    if folds[0] != folds[1]:
        raise ValueError(f"folds {folds[0]} beside {folds[1]}; compare runs of the same folds")
    pairs: Pairs = {}
    for fold in folds[0]:
        ones, others = ({seed: t for (f, seed), t in runs.items() if f == fold} for runs in (a, b))
        if len(ones) > 1 and len(others) > 1 and ones.keys() != others.keys():
            raise ValueError(
                f"fold {fold}: seeds {sorted(ones)} beside {sorted(others)}; compare the same "
                "seeds, or one with several"
            )
        for seed in sorted(ones if len(ones) >= len(others) else others):
            pairs[fold, seed] = (_of_seed(ones, seed), _of_seed(others, seed))
    return pairs


def _of_seed(runs: Mapping[int, EpisodeTable], seed: int) -> EpisodeTable:
    """The run of a seed; a single one stands beside all."""
    return runs[seed] if len(runs) > 1 else next(iter(runs.values()))


def picture_numbers(pairs: Pairs) -> tuple[Owners, int]:
    """The number of each episode's query picture over all lists, and how many pictures there are;
    a picture that several lists hold is one."""
    owner = numbered([query for one, _ in pairs.values() for query in one.queries])
    ends = np.cumsum([len(one) for one, _ in pairs.values()])
    parts = np.split(owner, ends[:-1])
    return dict(zip(pairs, parts, strict=True)), int(owner.max()) + 1


def require_same_list(
    a: EpisodeTable, b: EpisodeTable, where: str = "", same_supports: bool = True
) -> None:
    """ValueError unless both are of the same episodes in the same order; names the first that is
    not."""
    fix = "; a paired difference needs both evaluated on one protocol"
    if a.areas.shape != b.areas.shape:
        sizes = " and ".join(f"{len(t)} of {t.classes.shape[1]} classes" for t in (a, b))
        raise ValueError(f"{where}the episode lists differ in size ({sizes}){fix}")
    columns = {"class": a.classes != b.classes, "query": _unequal(a.queries, b.queries)}
    if same_supports:
        columns["supports"] = _unequal(a.supports, b.supports)
    for name, differs in columns.items():
        if differs.any():
            number = int(np.argwhere(differs)[0][0])
            raise ValueError(f"{where}the episode lists differ: {name} of episode {number}{fix}")


def _unequal(a: Sequence, b: Sequence) -> Bool[np.ndarray, " episodes"]:
    return np.array([one != other for one, other in zip(a, b, strict=True)])
