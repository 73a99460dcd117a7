"""One step of a training: a batch in parts, their losses, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from accelerate.utils import send_to_device
from torch import Tensor

if TYPE_CHECKING:
    from fsslib.training.engine import Engine

Weigh = Callable[[str, Any], float]
"""Of a term's name and a part of a batch: how many things that term is a mean over."""


class Loss(NamedTuple):
    """What a training makes of a batch, or of a part of one.

    Attributes:
        terms: scalars, summed and minimised.
        facts: scalars for the journal; their `loss` is the sum of the terms unless it is given.
    """

    terms: dict[str, Tensor]
    facts: dict[str, Tensor]


class Step:
    """A step of an `Engine`.

    Attributes:
        number: from 0 on.
        parts: of the step's batch, in the host's memory.
        facts: of the whole batch, on the device; `look` gives them as numbers.
    """

    def __init__(self, engine: Engine, number: int, parts: Sequence[Any]) -> None:
        self.engine, self.number, self.parts = engine, number, parts
        self.facts: dict[str, Tensor] = {}
        self.rows: list[dict[str, Any]] = []
        self.remark = ""
        self._totals: dict[str, float] = {}
        self._looked: dict[str, float] | None = None

    def learn(self, loss: Callable[[Any], Loss], weigh: Weigh | None = None) -> None:
        """Take the step: gradients of every part, then the optimiser.

        The parts together give the gradient of the whole batch: each term is weighed by its share
        of what it is a mean over, as `weigh` counts it in a part; without it all parts count alike.
        """
        engine = self.engine
        engine.descent.begin(engine.rates(self.number))
        for part in self.parts:
            batch = send_to_device(part, engine.device, non_blocking=True)
            terms, facts = loss(batch)
            terms = {name: self._shared(value, name, part, weigh) for name, value in terms.items()}
            total = torch.stack(list(terms.values())).sum()
            engine.descent.backward(total)
            facts = {name: self._shared(value, name, part, weigh) for name, value in facts.items()}
            self._add({"loss": total, **facts})
        engine.descent.finish()
        engine.moved(self.number, self.facts)

    def note(self, **values: Any) -> None:
        """A further line of the journal, after the step's own."""
        self.rows.append(values)

    def look(self) -> dict[str, float]:
        """The facts as numbers; waits for the device once."""
        if self._looked is None:
            self._looked = self.engine.look(self.facts)
        return self._looked

    def _shared(self, value: Tensor, name: str, part: Any, weigh: Weigh | None) -> Tensor:
        """A part's mean as its share of the whole batch's."""
        parts = self.engine.parts_per_step
        if parts == 1:
            return value
        if weigh is None:
            return value / parts
        if name not in self._totals:
            self._totals[name] = self.engine.total(sum(weigh(name, each) for each in self.parts))
        return value * (weigh(name, part) / max(self._totals[name], 1))

    def _add(self, facts: dict[str, Tensor]) -> None:
        for name, value in facts.items():
            value = value.detach()
            self.facts[name] = self.facts[name] + value if name in self.facts else value
