"""One step of a training: a batch in parts, their losses, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from accelerate.utils import send_to_device
from torch import Tensor

from fsslib.training.whole_batch import as_one

if TYPE_CHECKING:
    from fsslib.training.engine import Engine

Weigh = Callable[[str, Any], Tensor | float]
"""Of a term's name and a part of a batch: how many things that term is a mean over."""


def send(part: Any, device: torch.device) -> Any:
    """Tensors, and what holds them, to a device; from pinned memory without waiting."""
    return send_to_device(part, device, non_blocking=True)


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
        self._totals: dict[str, Tensor] = {}
        self._looked: dict[str, float] | None = None

    def learn(
        self,
        loss: Callable[[Any], Loss],
        weigh: Weigh | None = None,
        place: Callable[[Any, torch.device], Any] = send,
    ) -> None:
        """Take the step: gradients of every part, then the optimiser.

        The parts together give the gradient of the whole batch: each term is weighed by its share
        of what it is a mean over, as `weigh` counts it in a part; without it all parts count alike.

        Args:
            place: brings a part to the device. All are brought before the first is learned from,
                for what is to be counted may be made there; it is the activations that are large.
        """
        engine = self.engine
        engine.descent.begin(engine.rates(self.number))
        parts = [place(part, engine.device) for part in self.parts]
        weigh = None if weigh is None else partial(self._shared, parts, weigh)
        for number, part in enumerate(parts, self.number * len(parts)):
            with as_one(engine.share, number, engine.device):
                terms, facts = loss(part)
            terms = self._weighed(terms, part, weigh)
            total = torch.stack(list(terms.values())).sum()
            engine.descent.backward(total)
            self._add({"loss": total, **self._weighed(facts, part, weigh)})
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

    def _weighed(
        self, values: dict[str, Tensor], part: Any, share: Weigh | None
    ) -> dict[str, Tensor]:
        """A part's means as its share of the whole batch's."""
        number = self.engine.parts_per_step
        if number == 1:
            return values
        if share is None:
            return {name: value / number for name, value in values.items()}
        return {name: value * share(name, part) for name, value in values.items()}

    def _shared(self, parts: Sequence[Any], weigh: Weigh, name: str, part: Any) -> Tensor:
        """What a part has of the things that a term is a mean over; nothing is waited for."""
        if name not in self._totals:
            counts = [torch.as_tensor(weigh(name, each)).float() for each in parts]
            count = torch.stack([each.to(self.engine.device) for each in counts]).sum()
            self._totals[name] = self.engine.total(count).clamp_min(1)
        return weigh(name, part) / self._totals[name]

    def _add(self, facts: dict[str, Tensor]) -> None:
        for name, value in facts.items():
            value = value.detach()
            self.facts[name] = self.facts[name] + value if name in self.facts else value
