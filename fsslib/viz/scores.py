"""Scores of a lesson's own episodes: mIoU with its interval and paired differences, as a table; the
same differences of a published study's rows; and how alike two maps are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor

from fsslib.data.episode import Episode
from fsslib.evaluation.comparison import Difference, compare
from fsslib.evaluation.episode_table import EpisodeTable
from fsslib.evaluation.meter import Meter
from fsslib.runs.differences import Results, difference, points_text, share_supports
from fsslib.runs.results import folds_text
from fsslib.viz.prose import Prose, table


def metered(masks: UInt8[Tensor, "e h w"], episodes: Episode) -> Meter:
    """What answers to stacked episodes count against their ground truth, at its size.

    Raises:
        ValueError: not a mask for each episode.
    """
    meter = Meter()
    for labels, one in zip(masks, episodes, strict=True):
        meter.add(labels, one.query_mask, one.class_ids.tolist(), one.ids[0])
    return meter


def gain(a: Meter, b: Meter) -> Float64[np.ndarray, "3"]:
    """How much more mIoU `a` has than `b` on the same episodes, and the ends of its paired 95 %
    interval (`compare`), in points. An episode whose query is not known is a picture of its own.

    Raises:
        ValueError: the episodes are not the same.
    """
    return _points(compare(_listed(a), _listed(b)).miou)


def published_gain(a: Results, b: Results) -> Float64[np.ndarray, "3"]:
    """The same of two rows of a study, as `study_results` reads them, on the folds that both have;
    rows with other numbers of shots are paired by their queries.

    Raises:
        ConfigError: no fold in common, or other lists.
    """
    return _points(difference(a, b, share_supports(a, b)).miou)


def published_gain_text(a: Results, b: Results) -> str:
    """The same in words, with the folds that both have and what its interval says:
    `+1.2 [−0.3, 2.7] points (folds 0 and 1), not distinguishable from zero`."""
    values = published_gain(a, b)
    folds = folds_text({result["fold"] for result in a} & {result["fold"] for result in b})
    negation = "not " if values[1] <= 0 <= values[2] else ""
    return f"{gain_text(values)} points ({folds}), {negation}distinguishable from zero"


def published_gain_by_fold(a: Results, b: Results) -> str:
    """The same for each fold by itself: `fold 0 +1.1 [0.8, 1.4]; fold 1 −0.3 [−0.7, 0.1]`."""
    folds = sorted({result["fold"] for result in a} & {result["fold"] for result in b})
    pairs = [[[r for r in of if r["fold"] == fold] for of in (a, b)] for fold in folds]
    texts = [gain_text(published_gain(*pair)) for pair in pairs]
    return "; ".join(f"fold {fold} {text}" for fold, text in zip(folds, texts, strict=True))


def gain_text(values: Float64[np.ndarray, "3"]) -> str:
    """A gain as text, in the form of the studies' tables: `+1.2 [−0.3, 2.7]`."""
    return points_text(*values)


def score_text(meter: Meter) -> str:
    """mIoU in percent with its 95 % interval: `42.6 [36.5, 48.7]`."""
    low, high = (100 * end for end in meter.interval("miou"))
    return f"{100 * meter.miou():.1f} [{low:.1f}, {high:.1f}]"


def score_table(meters: Mapping[str, Meter], reference: str, title: str = "") -> Prose:
    """mIoU of each row with its 95 % interval, and the paired difference to the row `reference`."""
    rows = []
    for name, meter in meters.items():
        difference = "" if name == reference else gain_text(gain(meter, meters[reference]))
        rows.append([name, score_text(meter), difference])
    return table(["", "mIoU, % [95 %]", f"minus “{reference}” [95 %]"], rows, title)


def correlation(one: Float[Tensor, "*cells"], other: Float[Tensor, "*cells"]) -> float:
    """Of two maps over their cells, −1 to 1. It sees no scale: a map that is almost flat correlates
    with another one as well as its contrast a thousand times as large."""
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])


def _points(known: Difference) -> Float64[np.ndarray, "3"]:
    return 100 * np.array([known.difference, *known.interval])


def _listed(meter: Meter) -> EpisodeTable:
    """Its episodes by their query pictures; a meter knows no supports."""
    queries = tuple(meter.queries.get(number, f"#{number}") for number in range(len(meter)))
    return EpisodeTable(
        queries, ((),) * len(meter), np.array(meter.classes), np.stack(meter.counts)
    )
