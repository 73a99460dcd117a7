"""The step engine: what all trainings share, so that each of them only says what a loss is.

    engine = Engine(plan, folder, settings, {"model": model}, optimizer, rates, device)
    for step in engine.steps(lambda begin: item_loader(pictures(begin), batch_size)):
        step.learn(lambda batch: Loss({"loss": loss_of(model, batch)}))

It goes on where a checkpoint stopped, sets the learning rates, cuts a step's batch into parts and
adds their gradients, writes journal and checkpoints, and stops a training that diverged. It waits
for the device only where something is logged, reported or saved: losses stay on it until then, and
so does the number of the first step whose loss was not finite. The next batch is loaded while a
step is taken (`ahead.py`); how long steps stood still for theirs stands in the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from fsslib.training.ahead import Ahead
from fsslib.training.checkpoint import go_on, save_checkpoint
from fsslib.training.descent import Descent
from fsslib.training.journal import Journal, diverged
from fsslib.training.plan import Plan, learns_statistics
from fsslib.training.precision import autocast
from fsslib.training.processes import Share, processes
from fsslib.training.recent import Recent
from fsslib.training.step import Step, send


class Engine:
    """Steps of a training, from `folder/checkpoint.pt` if there is one.

    Args:
        settings: what must be equal for a training to go on; see `checkpoint.CHANGES_NOTHING`.
        parts: what learns and what follows it, by name: their states make the checkpoint. They are
            on the device; the first network among them is the one that learns.
        rates: of step -> learning rate, or a rate for each of the optimiser's groups.
        fresh: what else is to be remembered in `state`, as it is at the beginning.
        extras: further values for the journal, asked for when a step is logged.

    Attributes:
        state: plain values that are saved: `step`, `seconds`, `waited_seconds` of them in which a
            step stood still for its batch, `facts` of the last step that was looked at, and what
            `fresh` names.
        parts_per_step: parts that a step's batch is to be cut into, for all processes.
        share: which of them this process learns from.

    Raises:
        CheckpointError: the folder holds another run.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        settings: Mapping[str, Any],
        parts: Mapping[str, Any],
        optimizer: torch.optim.Optimizer,
        rates: Callable[[int], float | Sequence[float]],
        device: torch.device | str = "cpu",
        fresh: Mapping[str, Any] | None = None,
        extras: Callable[[], Mapping[str, Any]] = dict,
        report: Callable[[str], None] = print,
    ) -> None:
        self.plan, self.rates, self.extras = plan, rates, extras
        self.device = torch.device(device)
        self.accelerator = processes(self.device)
        self.share = Share(self.accelerator.process_index, self.accelerator.num_processes)
        self.parts_per_step = plan.accumulate * self.share.of
        self.descent = Descent(
            optimizer,
            plan.precision,
            plan.max_grad_norm,
            self.device,
            self.accelerator,
            next((part for part in parts.values() if isinstance(part, nn.Module)), None),
        )
        self.autocast = partial(autocast, plan.precision, self.device)
        self.path, self.parts = folder / "checkpoint.pt", {**parts, "optimizer": optimizer}
        self.settings = dict(settings)
        if plan.accumulate > 1 and learns_statistics(parts.values()):
            self.settings["parts that BatchNorm sees"] = plan.accumulate
        clocks = {"seconds": 0.0, "waited_seconds": 0.0}
        beginning = {"step": 0, **clocks, "facts": {}, "recent": {}, **(fresh or {})}
        self.state = go_on(self.path, self.settings, beginning, self.parts, self.device)
        if scaler := self.state.pop("scaler", None):  # empty where the run was on a CPU
            self.descent.scaler.load_state_dict(scaler)
        self.recent = Recent(*plan.smooth, self.state.pop("recent"))
        self.main = self.accelerator.is_main_process
        self.report = report if self.main else lambda _: None
        self.journal = Journal(folder / "metrics.jsonl", self.state["step"]) if self.main else None
        self.over = self.state["step"] >= plan.steps
        if self.state["step"] and not self.over:
            self.report(f"going on after step {self.state['step']} of {plan.steps}")
        self.first_broken = torch.full((), -1, device=self.device)
        self._start, self._waited = 0.0, self.state["waited_seconds"]

    def steps(
        self,
        loader: Callable[[int], Iterable[Sequence[Any]]],
        place: Callable[[Any, torch.device], Any] = send,
    ) -> Iterator[Step]:
        """The steps that are left. After what a `for` loop does with one it is logged and saved.

        Args:
            loader: of step -> this process's parts of its batch, of the next one's, and so on.
            place: brings a part to the device, in a thread beside a step.
        """
        if self.over:
            return
        begin, self._start = self.state["step"], perf_counter() - self.state["seconds"]
        placed, threaded = partial(place, device=self.device), not self.plan.draws_globally
        with Ahead(loader(begin), placed, self.device, threaded) as self.ahead:
            for number, batch in enumerate(self.ahead, begin):
                step = Step(self, number, batch)
                yield step
                self._finish(step)
                if self.over:
                    return

    def stop(self) -> None:
        """Make the present step the last one."""
        self.over = True

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is done inside is no time of the training."""
        begin = perf_counter()
        yield
        self._start += perf_counter() - begin

    def moved(self, number: int, facts: dict[str, Tensor]) -> None:
        """A step was taken; nothing here waits for the device."""
        values = torch.stack([value.detach().float() for value in facts.values()])
        if self.share.of > 1:  # each has its part of them
            values = self.total(values)
            facts.update(zip(facts, values, strict=True))
        fresh = (self.first_broken < 0) & ~values.isfinite().all()
        self.first_broken = torch.where(fresh, number, self.first_broken)
        self.recent.add(facts)
        self.over = number + 1 >= self.plan.steps
        waited = self._waited + self.ahead.waited
        self.state.update(
            step=number + 1, seconds=perf_counter() - self._start, waited_seconds=waited
        )

    def look(self, facts: Mapping[str, Tensor]) -> dict[str, float]:
        """Facts as numbers, in one transfer.

        Raises:
            TrainingDiverged: a loss up to here was not finite.
        """
        values = [value.float() for value in facts.values()]
        *numbers, broken = torch.stack([*values, self.first_broken.float()]).tolist()
        scalars = dict(zip(facts, numbers, strict=True))
        if broken >= 0:
            raise diverged(int(broken), self._rate(int(broken)), scalars)
        self.state["facts"] = scalars | self.recent.means()
        return scalars

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a tensor over all processes."""
        return self.total(value) / self.share.of

    def total(self, value: Tensor) -> Tensor:
        """The sum of a tensor over all processes."""
        alone = self.share.of == 1
        return value if alone else self.accelerator.reduce(value, reduction="sum")

    def _finish(self, step: Step) -> None:
        """Journal, checkpoint and a line on the screen, where they are due."""
        count, plan = step.number + 1, self.plan
        logged = count % plan.log_every == 0 or self.over
        saved = count % plan.checkpoint_every == 0 or self.over
        printed = count % (plan.report_every or plan.checkpoint_every) == 0 or bool(step.remark)
        if logged or saved or printed:
            step.look()
        if logged and self.main:
            row = self.state["facts"] | _plain(self.extras()) | {"lr": self._rate(step.number)}
            clocks = {name: self.state[name] for name in ("seconds", "waited_seconds")}
            self.journal.write(count, **row, **clocks)
        for row in step.rows if self.main else ():
            self.journal.write(count, **row)
        if saved:
            self._save()
        if printed or (self.over and plan.report_every is None):
            self.report(self._line(count, step.remark))

    def _save(self) -> None:
        if self.main:
            content = {**self.state, "recent": self.recent.state()}
            content["scaler"] = self.descent.scaler.state_dict()
            save_checkpoint(self.path, content, self.settings, self.parts, self.device)
        self.accelerator.wait_for_everyone()

    def _line(self, count: int, remark: str) -> str:
        shown = [name for name in self.plan.smooth[0] if name != "loss"]
        texts = [f"{name} {self.state['facts'][name]:.4f}" for name in ("loss", *shown)]
        texts += [remark] * bool(remark) + [f"{self.state['seconds']:.0f} s"]
        return "  ".join([f"step {count}/{self.plan.steps}", *texts])

    def _rate(self, number: int) -> float:
        """For the journal: the largest of the groups'."""
        rates = self.rates(number)
        return rates if isinstance(rates, int | float) else max(rates)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v.item() if isinstance(v, Tensor) else v for k, v in values.items()}
