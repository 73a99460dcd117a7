"""`fsslib`: everything from the command line. `fsslib COMMAND --help` tells more.

fsslib segment query.jpg --support cup.jpg --mask cup.png --out out
fsslib run train -p fold=1 -p shot=5
fsslib study pi_clip --table
fsslib data check coco20i --root /data/coco
fsslib interop inspect weights.pth
"""

from __future__ import annotations

import difflib
import importlib
import sys

from fsslib import __version__

RUNS = "fsslib.runs.__main__"
COMMANDS = {
    "segment": ("fsslib.own_pictures.command", "find in pictures what another picture shows"),
    "run": (RUNS, "train, evaluate, pretrain: execute a run template"),
    "runs": (RUNS, "the same and what follows, in one command: fsslib runs study NAME"),
    "status": (RUNS, "state of every run below a folder"),
    "table": (RUNS, "scores of every run below a folder"),
    "compare": (RUNS, "how much better one run is than another, and how surely"),
    "study": (RUNS, "run and publish a study"),
    "sweep": (RUNS, "the runs of a file of yours, here or on a cluster"),
    "results": (RUNS, "list all published results anew"),
    "claims": (RUNS, "what the papers claim, and what the published rows say of it"),
    "demo": (RUNS, "train PFENet and compare it with its baselines"),
    "methods": (RUNS, "what can be set: methods"),
    "priors": (RUNS, "… prior sources"),
    "recipes": (RUNS, "… recipes of trainings"),
    "backbones": (RUNS, "… networks and their weights"),
    "protocols": (RUNS, "… benchmarks and how they are scored"),
    "machine": (RUNS, "… devices, workers, caches"),
    "templates": (RUNS, "write the parameters cells of the run templates"),
    "data": ("fsslib.data.__main__", "check, download and list benchmarks"),
    "interop": ("fsslib.interop.__main__", "say what files of weights are"),
    "bench": (
        "fsslib.bench.__main__",
        "how fast, how much memory, how near to the machine's floor",
    ),
}
"""Where each command lives. Those of `fsslib.runs` are commands of one parser, which needs their
names; they may stand after `runs` as well."""


def main(arguments: list[str] | None = None) -> int:
    """Exit status of the command; 2 for one that there is not, 130 for one that Ctrl-C stopped."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0 if words else 2
    if words[0] == "--version":
        print(f"fsslib {__version__}")
        return 0
    if words[0] not in COMMANDS:
        near = difflib.get_close_matches(words[0], COMMANDS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        expected = f"error: command {words[0]!r}: expected one of {', '.join(COMMANDS)}{hint}"
        print(expected, file=sys.stderr)
        return 2
    where, _ = COMMANDS[words[0]]
    own_name = where == RUNS and words[0] != "runs"
    try:
        return importlib.import_module(where).main(words if own_name else words[1:])
    except KeyboardInterrupt:  # where the command has nothing better to say
        print("stopped", file=sys.stderr)
        return 130


def _help() -> str:
    examples = __doc__.partition("\n\n")
    width = max(map(len, COMMANDS))
    rows = [f"  {name:<{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join([examples[0], "", *rows, "", "examples:", *_indented(examples[2])])


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.strip().splitlines()]


if __name__ == "__main__":
    sys.exit(main())
