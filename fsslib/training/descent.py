"""An optimiser with what belongs to every step of it: rates, precision, clipping, processes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from fsslib.settings import Precision


class Descent:
    """Steps of an optimiser.

    Gradients of several `backward` calls add up, also over processes; so give each loss its share.
    With precision="fp16" losses are scaled, and a step whose gradients overflow is left out.

    Args:
        optimizer: each of its groups has a `factor` of the learning rate; without, it is 1.
        max_grad_norm: of all gradients together; 0 leaves them as they are.
        accelerator: the processes whose gradients are added; None: this one alone.
        network: in whose order norms are added (to the last bit, a sum depends on its order); None:
            the optimiser's.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        precision: Precision = "fp32",
        max_grad_norm: float = 0.0,
        device: torch.device | str = "cpu",
        accelerator: Accelerator | None = None,
        network: nn.Module | None = None,
    ) -> None:
        kind = torch.device(device).type
        self.optimizer, self.max_grad_norm = optimizer, max_grad_norm
        self.accelerator = accelerator
        groups = optimizer.param_groups
        self.trained = [parameter for group in groups for parameter in group["params"]]
        if network is not None:
            ids = {id(parameter) for parameter in self.trained}
            self.trained = [p for p in network.parameters() if id(p) in ids]
        scaled = precision == "fp16" and kind != "cpu"
        self.scaler = torch.amp.GradScaler(kind if scaled else "cuda", enabled=scaled)

    def begin(self, rates: float | Sequence[float]) -> None:
        """Forget the gradients, and set one learning rate times each group's factor, or a rate for
        each group."""
        groups = self.optimizer.param_groups
        if isinstance(rates, int | float):
            rates = [rates * group.get("factor", 1.0) for group in groups]
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss."""
        self.scaler.scale(loss).backward()

    def finish(self) -> None:
        """One step along the gradients."""
        if self.accelerator is not None and self.accelerator.num_processes > 1:
            self._add_up()
        if self.max_grad_norm:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.trained, self.max_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def down(self, loss: Tensor, rates: float | Sequence[float]) -> None:
        """A whole step down one loss."""
        self.begin(rates)
        self.backward(loss)
        self.finish()

    def _add_up(self) -> None:
        """The gradients' sum over all processes; a weight that none of them used has none."""
        trained = self.trained
        used = torch.tensor([p.grad is not None for p in trained], device=trained[0].device)
        used = self.accelerator.reduce(used.float(), reduction="sum").tolist()
        shared = [p for p, count in zip(trained, used, strict=True) if count]
        for parameter in shared:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        flat = torch.cat([parameter.grad.flatten() for parameter in shared])
        flat = self.accelerator.reduce(flat, reduction="sum")
        sizes = [parameter.numel() for parameter in shared]
        for parameter, grad in zip(shared, flat.split(sizes), strict=True):
            parameter.grad.copy_(grad.view_as(parameter))
