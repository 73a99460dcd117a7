"""Means over the last steps, which stay on the device until somebody asks."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import torch
from torch import Tensor


class Recent:
    """The last `length` values of some facts.

    Args:
        begin: what `state` gave, to go on from.
    """

    def __init__(
        self, names: tuple[str, ...], length: int, begin: Mapping[str, list[float]]
    ) -> None:
        self.values: dict[str, deque[Tensor | float]] = {
            name: deque(begin.get(name, ()), length) for name in names
        }

    def add(self, facts: Mapping[str, Tensor]) -> None:
        """The facts of one more step."""
        for name, values in self.values.items():
            values.append(facts[name].detach())

    def means(self) -> dict[str, float]:
        """The mean of every fact."""
        return {name: sum(values) / len(values) for name, values in self.state().items() if values}

    def state(self) -> dict[str, list[float]]:
        """Plain numbers; what was a tensor is one from now on."""
        for values in self.values.values():
            on_device = [value for value in values if isinstance(value, Tensor)]
            if on_device:
                numbers = torch.stack(on_device).tolist()
                known = [value for value in values if not isinstance(value, Tensor)]
                values.clear()
                values.extend([*known, *numbers])
        return {name: list(values) for name, values in self.values.items()}
