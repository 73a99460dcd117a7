"""Differences of published rows, for claims: paired where both rows kept their episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np

from fsslib.config import ConfigError
from fsslib.runs.claim_rules import LEVEL, Measured
from fsslib.runs.differences import NoEpisodes, difference, share_supports
from fsslib.runs.study_tables import study_results

Runs = dict[tuple[int, int], dict[str, Any]]
"""A row's results by fold and seed."""
HALVES = NormalDist().inv_cdf((1 + LEVEL) / 2)
"""Of a 95 % interval in standard errors."""


@dataclass(frozen=True)
class Term:
    """A published row's score, or a number."""

    study: str = ""
    row: str = ""
    score: str = "miou"
    constant: float | None = None

    @classmethod
    def parse(cls, text: str) -> Term:
        """`STUDY/ROW`, `STUDY/ROW:fb_iou`, `STUDY/ROW:MAP.auroc` or a number; ConfigError else."""
        try:
            return cls(constant=float(text))
        except ValueError:
            place, _, score = text.partition(":")
            study, slash, row = place.partition("/")
            if not slash or (score not in ("", "miou", "fb_iou") and "." not in score):
                raise ConfigError(
                    f"{text!r}: expected STUDY/ROW, then :fb_iou or :MAP.auroc for another score"
                ) from None
            return cls(study, row, score or "miou")

    def value(self, result: dict[str, Any]) -> float:
        """In points; KeyError where the result has no such score."""
        if "." not in self.score:
            return 100 * result[self.score]
        name, _, kind = self.score.partition(".")
        kind, at, threshold = kind.partition("@")
        facts = result["maps"][name]
        return 100 * (
            facts[kind][facts["thresholds"].index(float(threshold))] if at else facts[kind]
        )

    def half(self, result: dict[str, Any]) -> float | None:
        """Half of its 95 % interval over test pictures, in points; None where there is none."""
        name, dot, kind = self.score.partition(".")
        bounds = (result["maps"][name] if dot else result).get(f"{kind or name}_interval")
        return None if bounds is None else 100 * (bounds[1] - bounds[0]) / 2


@cache
def published_rows(study: str) -> dict[str, Runs]:
    """What is published of a study, row by row; read once."""
    return {
        row: {(result["fold"], result["seed"]): result for result in results}
        for row, results in study_results(study).items()
    }


def runs_of(study: str, row: str) -> Runs:
    """What is published of a row; nothing of one that is not."""
    return published_rows(study).get(row, {})


def measure(terms: Sequence[tuple[int, Term]]) -> Measured | str:
    """A sum of rows' scores with signs, or a sentence that says why it cannot be told."""
    rows = [(sign, term, runs_of(term.study, term.row)) for sign, term in terms if term.row]
    if missing := [f"{term.study}/{term.row}" for _, term, runs in rows if not runs]:
        return f"not published: {', '.join(missing)}"
    if not (keys := _common([runs for _, _, runs in rows])):
        return "no fold that all of these rows have"
    fixed = sum(sign * term.constant for sign, term in terms if term.constant is not None)
    if (paired := _paired(rows)) is not None:
        return paired
    try:
        parts = [
            _mean(term, [runs[key] for key in keys[i]]) for i, (_, term, runs) in enumerate(rows)
        ]
    except (KeyError, ValueError) as error:
        return f"a result has no {error}"
    if any(error is None for _, error in parts):
        return "one seed, and no interval of this score"
    estimate = fixed + sum(sign * mean for (sign, _, _), (mean, _) in zip(rows, parts, strict=True))
    return Measured(float(estimate), float(np.sqrt(sum(error**2 for _, error in parts))))


def _common(rows: Sequence[Runs]) -> list[list[tuple[int, int]]]:
    """Each row's runs on the folds that all have; with the seeds that all have, or all its own."""
    folds = set.intersection(*({fold for fold, _ in runs} for runs in rows))
    seeds = set.intersection(*({seed for _, seed in runs} for runs in rows))
    if not folds:
        return []
    return [
        [key for key in sorted(runs) if key[0] in folds and (not seeds or key[1] in seeds)]
        for runs in rows
    ]


def _paired(rows: Sequence[tuple[int, Term, Runs]]) -> Measured | None:
    """Of two rows that kept their episodes on one list; None for any others."""
    scores = {term.score for _, term, _ in rows}
    if [sign for sign, _, _ in rows] != [1, -1] or not scores < {"miou", "fb_iou"}:
        return None
    a, b = (list(runs.values()) for _, _, runs in rows)
    try:
        compared = difference(a, b, share_supports(a, b))
    except (NoEpisodes, ConfigError):
        return None
    one = compared.miou if scores == {"miou"} else compared.fb_iou
    low, high = one.interval
    return Measured(100 * one.difference, 100 * (high - low) / 2 / HALVES, True)


def _mean(term: Term, results: Sequence[dict[str, Any]]) -> tuple[float, float | None]:
    """Mean over folds of means over seeds, and its standard error: of test pictures, and of
    training seeds where there are several; None where neither is known."""
    means, variances = [], []
    for fold in sorted({result["fold"] for result in results}):
        own = [result for result in results if result["fold"] == fold]
        values = [term.value(result) for result in own]
        halves = [term.half(result) for result in own]
        if None in halves and len(own) < 2:
            return float(np.mean(values)), None
        pictures = 0.0 if None in halves else float(np.mean(halves)) / HALVES
        seeds = float(np.var(values, ddof=1)) / len(own) if len(own) > 1 else 0.0
        means.append(np.mean(values))
        variances.append(pictures**2 + seeds)
    return float(np.mean(means)), float(np.sqrt(sum(variances))) / len(means)
