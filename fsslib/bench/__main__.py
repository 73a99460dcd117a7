"""`fsslib bench`: how fast, how large, and how far from what the machine can do.

fsslib bench encoders
fsslib bench methods -p paper name=pfenet,hdmnet shot=1,5 --out methods.json
fsslib bench methods -p name=pfenet size=97,193,289 --plot growth.png
fsslib bench priors -p paper shot=1,5 --against before.json
fsslib bench training -p name=pfenet workers=0,1
fsslib bench processes -p name=pfenet work=train processes=1,2
fsslib bench show methods.json --against before.json
fsslib bench publish
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fsslib.bench.config import (
    EncoderSweep,
    MethodSweep,
    PriorSweep,
    ProcessSweep,
    Sweep,
    TrainingSweep,
)
from fsslib.bench.publish import PUBLISHED, command, published_folder, refresh
from fsslib.command_line import add_command
from fsslib.config import ConfigError, require_known
from fsslib.files import read_json, write_json
from fsslib.runs.describe import settings_help

if TYPE_CHECKING:  # what measures is imported when it does
    from fsslib.bench.measure import Results

TOPICS: dict[str, type[Sweep]] = {
    "encoders": EncoderSweep,
    "priors": PriorSweep,
    "methods": MethodSweep,
    "training": TrainingSweep,
    "processes": ProcessSweep,
}


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 well, 2 a parameter is wrong."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except (ConfigError, ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _measure(options: argparse.Namespace) -> None:
    kind = TOPICS[options.topic]
    if options.settings:
        print(settings_help(kind))
        return
    results = _measured(options.topic, kind.read(options.words))
    from fsslib.bench.tables import table

    print(f"\n{table(results)}")
    _leave(results, options)


def _measured(topic: str, sweep: Sweep) -> Results:
    """A topic's sweep, measured."""
    from fsslib.bench import work
    from fsslib.bench.measure import measure
    from fsslib.bench.processes import measure_processes
    from fsslib.bench.training import measure_training

    ways = {
        "encoders": partial(measure, "encoders", build=work.encoder_work),
        "priors": partial(measure, "priors", build=work.prior_work),
        "methods": partial(measure, "methods", build=work.method_work),
        "training": measure_training,
        "processes": measure_processes,
    }
    return ways[topic](sweep)


def _show(options: argparse.Namespace) -> None:
    from fsslib.bench.measure import Results
    from fsslib.bench.tables import table

    results = Results.from_dict(read_json(options.file))
    print(table(results))
    _leave(results, options)


def _leave(results: Results, options: argparse.Namespace) -> None:
    """The files and the comparison that are asked for."""
    from fsslib.bench.growth import growth_figure
    from fsslib.bench.measure import Results
    from fsslib.bench.tables import comparison

    if options.out:
        write_json(options.out, results.to_dict())
    if options.plot:
        options.plot.parent.mkdir(parents=True, exist_ok=True)
        growth_figure(results).savefig(options.plot, dpi=110)
    if options.against:
        print(f"\n{comparison(results, Results.from_dict(read_json(options.against)))}")


def _publish(options: argparse.Namespace) -> None:
    for name in options.names:
        require_known("name", name, PUBLISHED)
    from fsslib.bench.growth import growth_figure
    from fsslib.bench.tables import table

    folder = published_folder()
    for name in options.names or PUBLISHED:
        topic, words = PUBLISHED[name]
        if options.rounds:
            words = (*(w for w in words if "rounds=" not in w), f"rounds={options.rounds}")
        line = command(topic, words)
        print(f"\n$ {line}")
        results = _measured(topic, TOPICS[topic].read(words))
        text = table(results)
        print(text)
        write_json(folder / f"{name}.json", results.to_dict())
        (folder / f"{name}.md").write_text(f"`{line}`\n\n{text}\n")
        if name.startswith("growth"):
            growth_figure(results).savefig(folder / f"{name}.png", dpi=80)
    refresh()


def _pages(options: argparse.Namespace) -> None:
    refresh()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fsslib bench", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(required=True)
    for topic, kind in TOPICS.items():
        examples = f"fsslib bench {topic}", f"fsslib bench {topic} --settings   # what can be set"
        about = kind.__doc__.partition("\n")[0].rstrip(".")
        one = add_command(commands, topic, about, *examples)
        one.add_argument(
            "-p",
            dest="words",
            nargs="+",
            action="extend",
            default=[],
            metavar="NAME=VALUE",
            help="a preset, and settings; lists are swept over",
        )
        one.add_argument("--settings", action="store_true", help="print what can be set")
        one.add_argument("--out", type=Path, help="JSON of the results")
        one.set_defaults(command=_measure, topic=topic)
        _comparing(one)
    example = "fsslib bench show methods.json --against before.json"
    again = add_command(commands, "show", "the table of a JSON file", example)
    again.add_argument("file", type=Path)
    again.set_defaults(command=_show, out=None)
    _comparing(again)
    about = "measure and publish what the page of results shows"
    example = "fsslib bench publish growth_shot --rounds 2"
    publish = add_command(commands, "publish", about, example)
    publish.add_argument("names", nargs="*", help=f"some of {', '.join(PUBLISHED)}")
    publish.add_argument("--rounds", type=int, help="other than usual, such as 2 for a look")
    publish.set_defaults(command=_publish)
    about = "put the published tables into the documents"
    pages = add_command(commands, "pages", about, "fsslib bench pages")
    pages.set_defaults(command=_pages)
    return parser


def _comparing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--against", type=Path, help="JSON of other results to compare with")
    parser.add_argument("--plot", type=Path, help="PNG of how times grow")


if __name__ == "__main__":
    sys.exit(main())
