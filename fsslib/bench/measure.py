"""Rows of a table: every case of a sweep, timed in turn with the others and held against the
machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import torch

from fsslib.bench.config import Counted
from fsslib.bench.counting import Counts, count
from fsslib.bench.machine import Rates, onednn_convolutions
from fsslib.bench.memory import peak_memory
from fsslib.bench.timing import alternated, require_clock
from fsslib.bench.work import Case, Work
from fsslib.runs.machine import environment, pick_device

Builder = Callable[[Case, str], Work]
Report = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """One case, measured."""

    what: Case
    """Its settings, by which other results' rows are recognised."""
    milliseconds: list[float]
    """Of a call, once a round."""
    units: int
    """Pictures or episodes in a call."""
    unit: str
    operations: int | None = None
    bytes: int | None = None
    peak_mib: float | None = None
    convolved: int | None = None
    """Operations of its forward convolutions."""
    onednn: list[float] = field(default_factory=list)
    """Milliseconds of those convolutions, as oneDNN makes them."""
    processor: list[float] = field(default_factory=list)
    """Milliseconds of the processor, where those above are the wall's."""
    share_waiting: float | None = None
    """Of a training's time: what passed until a batch was there."""

    @property
    def per_second(self) -> float:
        return 1000 * self.units / median(self.milliseconds)

    @property
    def onednn_ratio(self) -> float | None:
        """Of the call to all its operations at the rate that oneDNN reaches on its convolutions,
        the median over rounds; None where most operations are others."""
        if not self.onednn or 2 * self.convolved < self.operations:
            return None
        share, pairs = (
            self.convolved / self.operations,
            zip(self.milliseconds, self.onednn, strict=True),
        )
        return median(share * own / other for own, other in pairs)


@dataclass(frozen=True)
class Results:
    """A sweep, measured on one machine."""

    topic: str
    settings: dict[str, Any]
    clock: str
    """"processor" or "wall" time, or "events" of a device."""
    machine: dict[str, Any]
    rows: list[Row]
    operations_per_second: list[float] = field(default_factory=list)
    """The machine's rate in each round: a matrix product's."""
    bytes_per_second: list[float] = field(default_factory=list)
    """A copy's."""

    def floors(self, row: Row) -> list[float]:
        """Milliseconds that the row would take at the machine's rates, in each round."""
        if row.operations is None:
            return []
        rates = zip(self.operations_per_second, self.bytes_per_second, strict=True)
        return [1000 * max(row.operations / o, row.bytes / b) for o, b in rates]

    def floor_ratio(self, row: Row) -> float | None:
        """Of the row to its floor, the median over rounds."""
        pairs = zip(row.milliseconds, self.floors(row), strict=False)
        ratios = [own / floor for own, floor in pairs if floor]
        return median(ratios) if ratios else None

    def in_products(self, row: Row) -> list[float]:
        """The row's times as so many operations of a matrix product in the same round, so that a
        machine that was busy does not count; milliseconds where none was measured."""
        if not self.operations_per_second:
            return row.milliseconds
        pairs = zip(row.milliseconds, self.operations_per_second, strict=True)
        return [time * rate for time, rate in pairs]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Results:
        return cls(**content | {"rows": [Row(**row) for row in content["rows"]]})


def measure(topic: str, sweep: Counted, build: Builder, report: Report = print) -> Results:
    """Build every case of a sweep, count and time it."""
    device = pick_device(sweep.device)
    require_clock(device)
    cases = sweep.cases()
    works = [build(case, device) for case in cases]
    report(f"{len(works)} rows built; {sweep.rounds} rounds of them")
    for work in works:
        work.call()  # what is made once and kept, such as embedded names, counts for nobody
    counts = [count(work.call) for work in works]
    peaks = [peak_memory(work.call, device) if sweep.memory else None for work in works]
    rates = Rates(device)
    onednn_calls = [onednn_convolutions(each.convolutions) for each in counts]
    onednn_calls = onednn_calls if sweep.onednn and device == "cpu" else []
    calls = [*rates.calls, *(work.call for work in works), *onednn_calls]
    product, copied, *times = alternated(calls, device, sweep.rounds)
    own, alone = times[: len(works)], times[len(works) :] or [[]] * len(works)
    columns = zip(cases, works, counts, peaks, own, alone, strict=True)
    rows = [_row(*values) for values in columns]
    return Results(
        topic,
        sweep.how(),
        "processor" if device == "cpu" else "events",
        surroundings(device),
        rows,
        *rates.per_second([product, copied]),
    )


def _row(
    case: Case, work: Work, counts: Counts, peak: float | None, times: list, alone: list
) -> Row:
    facts = (counts.operations, counts.bytes, peak, counts.convolved, alone)
    return Row(case, times, work.units, work.unit, *facts)


def surroundings(device: str) -> dict[str, Any]:
    """Device, threads, versions and revision."""
    return environment(device) | {"threads": torch.get_num_threads()}
