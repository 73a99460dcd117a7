"""One evaluation by several processes: each takes whole batches, and every episode counts once.

Whole batches, because the last bit of a prediction may depend on what is predicted beside it; the
counts, and every score made of them, are then those of one process.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from operator import itemgetter

from fsslib.evaluation.map_scores import MapMeter
from fsslib.evaluation.meter import Meter
from fsslib.training.processes import Share, everyones


def own_episodes(count: int, batch_size: int, share: Share) -> list[int]:
    """Numbers of the episodes that one of several processes looks at: the batches in turn."""
    batches = [range(count)[i : i + batch_size] for i in range(0, count, batch_size)]
    return [number for batch in share.part(batches) for number in batch]


def together(
    own: list[int], meter: Meter, maps: Mapping[str, MapMeter]
) -> tuple[Meter, dict[str, MapMeter]]:
    """What all processes counted, as if one had gone through the list; all of them must ask.

    Args:
        own: the numbers of the episodes in `meter`.

    Raises:
        ValueError: an episode that is missing, or counted twice.
    """
    rows = zip(own, meter.classes, meter.counts, strict=True)
    records = (meter.queries, meter.sureness)
    mine = [
        (number, *row, *(each.get(place) for each in records))
        for place, (number, *row) in enumerate(rows)
    ]
    on_host = {
        name: [
            (scores.cpu(), counts.cpu()) for scores, counts in zip(m.scores, m.counts, strict=True)
        ]
        for name, m in maps.items()
    }
    answers = everyones((mine, on_host))
    every, whole = [row for rows, _ in answers for row in rows], Meter()
    for number, classes, counts, query, confidence in sorted(every, key=itemgetter(0)):
        if number != len(whole):
            raise ValueError(f"episode {number} where {len(whole)} was expected: share them anew")
        whole.classes.append(classes)
        whole.counts.append(counts)
        if query is not None:
            whole.queries[number] = query
        if confidence is not None:
            whole.sureness[number] = confidence
    return whole, {name: _joined([maps[name] for _, maps in answers]) for name in maps}


def _joined(batches: list[list[tuple]]) -> MapMeter:
    """One meter of what each process has of its batches, in the order of the list."""
    whole = MapMeter()
    for scores, counts in (one for turn in zip_longest(*batches) for one in turn if one):
        whole.scores.append(scores)
        whole.counts.append(counts)
    return whole
