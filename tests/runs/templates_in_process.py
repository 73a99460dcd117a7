"""Run templates in a process of their own that costs no start: forked, cells instead of a kernel.

A kernel takes seconds to start, and what is killed twenty times must start twenty times. Here a
fork server has imported everything once; a child of it runs `runner.run` as it is, with the cells
of the template executed in the child itself. Killing the child kills runner and kernel at once.
"""

import ctypes
import io
import itertools
import multiprocessing
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from fsslib.runs import executing, runner
from fsslib.runs.status import RunError
from fsslib.training.step import Loss, Step

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__, "fsslib.runs.experiment", "fsslib.viz.runs"])


@dataclass(frozen=True)
class Stop:
    """Where a process kills itself: "before a rename" or "after a rename", the `number`-th of those
    that put a whole file into place; or "in a save", its `number`-th checkpoint just begun."""

    where: str
    number: int


@dataclass(frozen=True)
class Attempt:
    """A run of a template in a child.

    Attributes:
        stop: where it kills itself; None: nowhere.
        broken: of nothing -> nothing, called in the child before the run: breaks something.
        largest_file: in bytes; writing on fails as on a full disk.
    """

    template: str
    parameters: Mapping[str, Any]
    folder: Path
    stop: Stop | None = None
    broken: Callable[[], None] | None = None
    largest_file: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self) -> multiprocessing.Process:
        child = CONTEXT.Process(target=_run, args=(self,))
        child.start()
        return child

    def end(self, after: float | None = None) -> int:
        """Exit code of the child, which is killed `after` seconds: 0 well, 1 a run that failed in
        one sentence (in `error.txt`), 70 anything else, negative a signal."""
        child = self.start()
        child.join(after)
        if child.is_alive():
            os.kill(child.pid, signal.SIGKILL)
        child.join()
        return child.exitcode


def _run(attempt: Attempt) -> None:
    attempt.folder.parent.mkdir(parents=True, exist_ok=True)
    log = attempt.folder.parent / "child.txt"
    os.environ.update({"FSSLIB_PROGRESS": "lines", **attempt.environment})
    sys.stdout = sys.stderr = io.TextIOWrapper(log.open("ab"), write_through=True)
    runner.execute = _execute
    if attempt.stop:
        _stop_at(attempt.stop)
    if attempt.largest_file:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (attempt.largest_file, attempt.largest_file))
    if attempt.broken:
        attempt.broken()
    try:
        runner.run(attempt.template, dict(attempt.parameters), attempt.folder)
    except RunError as error:
        (attempt.folder.parent / "error.txt").write_text(str(error))
        sys.exit(1)
    except Exception:
        traceback.print_exc()
        sys.exit(70)


def _execute(template: str, parameters: dict[str, Any], folder: Path) -> None:
    """In place of papermill's: the same cells with the same parameters in the same folder."""
    book = load_notebook_node(str(executing.template_path(template)))
    namespace = {"__name__": "__main__"}
    os.chdir(folder)
    for cell in parameterize_notebook(book, parameters).cells:
        if cell.cell_type == "code":
            try:
                exec(compile(cell.source, template, "exec"), namespace)
            except Exception as error:
                traceback.print_exc()
                name = type(error).__name__
                raise executing.failure(template, folder, name, str(error)) from error


def _stop_at(stop: Stop) -> None:
    """Let this process kill itself there."""
    counts = {"rename": 0, "save": 0}
    rename, save = Path.replace, torch.save

    def reached(what: str, where: str) -> bool:
        return where == stop.where and counts[what] == stop.number

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def counted_rename(self: Path, target: Path) -> Path:
        counts["rename"] += 1
        if reached("rename", "before a rename"):
            die()
        result = rename(self, target)
        if reached("rename", "after a rename"):
            die()
        return result

    def counted_save(*arguments: Any, **options: Any) -> None:
        counts["save"] += 1
        if reached("save", "in a save"):
            die()
        save(*arguments, **options)

    Path.replace, torch.save = counted_rename, counted_save


def without_memory() -> None:
    """From the third step on the GPU's memory is full."""
    at_step(3, torch.OutOfMemoryError(_CUDA_SAYS))


def without_numbers() -> None:
    """The third step's loss is NaN."""
    at_step(3, None)


def as_everybody() -> None:
    """Root, too, heeds from now on what a folder allows: without the capabilities 1 and 2, which
    pass over it (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH)."""
    version_3, words = 0x20080522, (ctypes.c_uint32 * 6)()
    header, library = (ctypes.c_uint32 * 2)(version_3, 0), ctypes.CDLL(None)
    library.capget(header, words)
    words[0] &= ~0b110  # of those in effect
    if library.capset(header, words):
        raise OSError("capabilities cannot be given up")


def at_step(number: int, error: Exception | None) -> None:
    """In the step of this number, from 1 on, an error is raised, or the loss is NaN."""
    learn, steps = Step.learn, itertools.count(1)

    def broken(self: Step, loss: Callable[[Any], Loss], *rest: Any) -> None:
        def wrong(part: Any) -> Loss:
            if error:
                raise error
            terms, facts = loss(part)
            return Loss({name: term * torch.nan for name, term in terms.items()}, facts)

        learn(self, wrong if next(steps) == number else loss, *rest)

    Step.learn = broken


_CUDA_SAYS = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB of "
    "which 1.02 GiB is free. Process 7 has 78.08 GiB memory in use. If reserved but unallocated "
    "memory is large try setting PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid "
    "fragmentation.  See documentation for Memory Management  (https://pytorch.org/docs/stable/"
    "notes/cuda.html#environment-variables)"
)
