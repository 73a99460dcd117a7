"""Scores of a lesson's own episodes: mIoU with its interval and paired differences, as a table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64, UInt8
from torch import Tensor

from fsslib.data.episode import Episode
from fsslib.evaluation.comparison import compare
from fsslib.evaluation.episode_table import EpisodeTable
from fsslib.evaluation.meter import Meter
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
    interval (`compare`), in points.

    Raises:
        ValueError: the episodes are not the same.
    """
    known = compare(_listed(a), _listed(b)).miou
    return 100 * np.array([known.difference, *known.interval])


def gain_text(values: Float64[np.ndarray, "3"]) -> str:
    """A gain as text: `+1.2 (−0.3 to +2.7)`."""
    difference, low, high = (round(value, 1) + 0.0 for value in values)
    return f"{difference:+.1f} ({low:+.1f} to {high:+.1f})".replace("-", "\N{MINUS SIGN}")


def score_table(meters: Mapping[str, Meter], reference: str, title: str = "") -> Prose:
    """mIoU of each row with its 95 % interval, and the paired difference to the row `reference`."""
    rows = []
    for name, meter in meters.items():
        low, high = (100 * end for end in meter.interval("miou"))
        difference = "" if name == reference else gain_text(gain(meter, meters[reference]))
        rows.append([name, f"{100 * meter.miou():.1f}", f"{low:.1f} to {high:.1f}", difference])
    return table(["", "mIoU, %", "95 %", f"minus “{reference}” (95 %)"], rows, title)


def _listed(meter: Meter) -> EpisodeTable:
    """Its episodes by their query pictures; a meter knows no supports."""
    queries = tuple(meter.queries[number] for number in range(len(meter)))
    return EpisodeTable(
        queries, ((),) * len(meter), np.array(meter.classes), np.stack(meter.counts)
    )
