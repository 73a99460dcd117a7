"""How long commands take to answer `--help`, or a wrong argument.

    python tests/benchmarks/bench_commands.py [--rounds 5]

Each is started as a process of its own, all of them in turn. `processor` is the time that a core
worked for it, which a busy machine changes little; `wall` is what somebody waits.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from statistics import median
from time import perf_counter

COMMANDS = (
    "--help",
    "segment --help",
    "run --help",
    "run train --help",
    "runs study --help",
    "status --help",
    "data check --help",
    "interop inspect --help",
    "bench methods --help",
    "run nosuch",
    "run train -p lr=fast",
    "run evaluate -p method=pfnet",
    "study nosuch",
    "segment nosuch.jpg",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    times = {command: [] for command in COMMANDS}
    for _ in range(rounds):
        for command, measured in times.items():
            measured.append(answer_of(command))
    print(f"{'fsslib …':<32} processor    wall   (seconds, median of {rounds})")
    for command, measured in times.items():
        processor, wall = (median(column) for column in zip(*measured, strict=True))
        print(f"{command:<32} {processor:9.2f} {wall:7.2f}")


def answer_of(command: str) -> tuple[float, float]:
    """Seconds of the processor, and on the wall, that one command takes."""
    before, begin = os.times(), perf_counter()
    words = [sys.executable, "-m", "fsslib", *command.split()]
    subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    after, end = os.times(), perf_counter()
    user = after.children_user - before.children_user
    return user + after.children_system - before.children_system, end - begin


if __name__ == "__main__":
    main()
