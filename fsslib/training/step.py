"""One step of a training: a batch in parts, their losses, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from accelerate.utils import send_to_device
from torch import Tensor

from fsslib.training.ahead import Batch
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
        loaded: parts of the step's batch, in the host's memory.
        parts: the same on the device. All are there before the first is learned from, for what is
            to be counted may be made there; it is the activations that are large.
        facts: of the whole batch, on the device; `look` gives them as numbers.
    """

    def __init__(self, engine: Engine, number: int, batch: Batch) -> None:
        self.engine, self.number = engine, number
        self.loaded, self.parts = batch
        self.facts: dict[str, Tensor] = {}
        self.rows: list[dict[str, Any]] = []
        self.remark = ""
        self._counts: dict[str, tuple[Tensor, Tensor]] = {}
        self._looked: dict[str, float] | None = None

    def learn(self, loss: Callable[[Any], Loss], weigh: Weigh | None = None) -> None:
        """Take the step: gradients of every part, then the optimiser; the next batch is loaded
        meanwhile.

        The parts together give the gradient of the whole batch: each term is weighed by its share
        of what it is a mean over, as `weigh` counts it in a part; without it all parts count alike.
        """
        engine = self.engine
        engine.descent.begin(engine.rates(self.number))
        with engine.ahead.beside():
            for which, part in enumerate(self.parts):
                number = self.number * len(self.parts) + which
                with as_one(engine.share, number, engine.device) as whole:
                    terms, facts = loss(part)
                share = weigh and partial(self._share, weigh, which, whole.means)
                terms = self._weighed(terms, share)
                total = torch.stack(list(terms.values())).sum()
                engine.descent.backward(total)
                self._add({"loss": total, **self._weighed(facts, share)})
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
        self, values: dict[str, Tensor], share: Callable[[str], Tensor] | None
    ) -> dict[str, Tensor]:
        """A part's means as its share of the whole batch's."""
        number = self.engine.parts_per_step
        if number == 1:
            return values
        if share is None:
            return {name: value / number for name, value in values.items()}
        return {name: value * share(name) for name, value in values.items()}

    def _share(self, weigh: Weigh, number: int, as_whole: bool, name: str) -> Tensor:
        """What part `number` has of the things that a term is a mean over, or (`as_whole`) what the
        parts of all processes have beside it, in equal shares; nothing is waited for."""
        if name not in self._counts:
            counts = [torch.as_tensor(weigh(name, each)).float() for each in self.parts]
            own = torch.stack([each.to(self.engine.device) for each in counts])
            self._counts[name] = own, self.engine.total(own)
        own, everyones = self._counts[name]
        part = everyones[number] / self.engine.share.of if as_whole else own[number]
        return part / everyones.sum().clamp_min(1)

    def _add(self, facts: dict[str, Tensor]) -> None:
        for name, value in facts.items():
            value = value.detach()
            self.facts[name] = self.facts[name] + value if name in self.facts else value
