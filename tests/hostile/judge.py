"""Hostile cases in a process apart, and what became of each.

Three outcomes are known: *handled* (it came back), *refused* (an error of the package's own in one
sentence), and a failure of the suite, which is everything else: another exception, a sentence that
is none, a crash of compiled code, a hang, too much memory, code that ran.
"""

from __future__ import annotations

import json
import linecache
import os
import resource
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fsslib.config import ConfigError
from fsslib.data.benchmark import BrokenFileError
from fsslib.encoders.weights import WeightsError
from fsslib.files import PACKAGE
from fsslib.runs.status import RunError
from fsslib.training.checkpoint import CheckpointError
from fsslib.training.journal import JournalError, TrainingDiverged

OWN = (
    *(ConfigError, BrokenFileError, WeightsError, RunError),
    *(CheckpointError, JournalError, TrainingDiverged),
)
"""The package's own errors; ValueError, TypeError and FileNotFoundError count where a `raise` of
the package raised them."""
PLAIN = (ValueError, TypeError, FileNotFoundError)
LONGEST = 1000
"""Characters of a sentence, paths of the case's own folder left out."""
SECONDS = 30
MEMORY = 6 * 2**30
"""Bytes of address space that a case may ask for beyond what the process has."""


@dataclass(frozen=True)
class Case:
    """Something hostile, and what may come of it."""

    area: str
    name: str
    act: Callable[[Path], Any]
    """Is given an empty folder. A folder `executed` in it afterwards is code that ran."""
    expected: Literal["handled", "refused", "either"] = "either"


@dataclass(frozen=True)
class Verdict:
    outcome: Literal["handled", "refused", "failed"]
    text: str = ""


def judged(cases: Sequence[Case], folder: Path) -> list[Verdict]:
    """Try cases one after the other in a forked process, and in another one from the case on that
    follows one which ended it."""
    verdicts: list[Verdict] = []
    while len(verdicts) < len(cases):
        reader, writer = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _in_child(cases[len(verdicts) :], folder / str(len(verdicts)), writer)
        os.close(writer)
        with os.fdopen(reader, "r", encoding="utf-8", errors="replace") as pipe:
            verdicts += [Verdict(*json.loads(line)) for line in pipe]
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if len(verdicts) < len(cases):
            name = signal.Signals(-status).name if status < 0 else f"status {status}"
            verdicts.append(Verdict("failed", f"the process ended by {name}"))
    return verdicts


def _in_child(cases: Sequence[Case], folder: Path, writer: int) -> None:
    """Never returns."""
    status = 1
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        _limit_memory()
        devnull = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(devnull, stream)
        warnings.simplefilter("ignore")
        for number, case in enumerate(cases):
            signal.alarm(SECONDS)
            os.write(writer, (json.dumps(_verdict(case, folder / str(number))) + "\n").encode())
        status = 0
    finally:
        os._exit(status)


def _verdict(case: Case, folder: Path) -> tuple[str, str]:
    folder.mkdir(parents=True)
    os.chdir(folder)
    outcome, _, text = _told(case, folder).partition(" ")
    if (folder / "executed").exists():
        outcome, text = "failed", "code in the file was run"
    elif case.expected not in ("either", outcome) and outcome != "failed":
        outcome, text = "failed", f"was {outcome}, expected {case.expected}: {text}"
    os.chdir("/")
    shutil.rmtree(folder, ignore_errors=True)
    return outcome, text[:2000]


def _limit_memory() -> None:
    statistics = Path("/proc/self/statm")
    if not statistics.exists():  # Linux's
        return
    pages = int(statistics.read_text().split()[0])
    resource.setrlimit(
        resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + MEMORY, resource.RLIM_INFINITY)
    )


def _told(case: Case, folder: Path) -> str:
    try:
        case.act(folder)
    except BaseException as error:
        trouble = no_refusal(error, folder)
        text = f"{type(error).__name__}: {error}"
        return f"failed {trouble}: {text}" if trouble else f"refused {text}"
    return "handled"


def no_refusal(error: BaseException, folder: Path) -> str:
    """Why an exception is no refusal in one sentence; empty if it is one."""
    if not isinstance(error, OWN) and not (isinstance(error, PLAIN) and _raised_here(error)):
        return "not the package's own error"
    text = str(error).replace(str(folder), "")
    if not text.strip() or "\n" in text:
        return "no sentence"
    if len(text) > LONGEST:
        return f"a sentence of {len(text)} characters"
    if "weights_only" in text or "Traceback" in text:
        return "somebody else's words"
    return ""


def _raised_here(error: BaseException) -> bool:
    """Whether a `raise` in the package made it: no library did, nor an operation that failed."""
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    file = trace.tb_frame.f_code.co_filename
    line = linecache.getline(file, trace.tb_lineno).strip()
    return file.startswith(str(PACKAGE)) and line.startswith("raise")
