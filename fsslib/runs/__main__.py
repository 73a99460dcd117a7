"""`python -m fsslib.runs`: run templates, see how runs stand, print tables.

python -m fsslib.runs run train -p fold=1 -p shot=5
python -m fsslib.runs run evaluate -p method=prototype -p fold=1
python -m fsslib.runs run train --help
python -m fsslib.runs methods
python -m fsslib.runs status
python -m fsslib.runs table papermill_runs/published
python -m fsslib.runs study pi_clip
python -m fsslib.runs compare pi_clip/hdmnet+pi_clip pi_clip/hdmnet
python -m fsslib.runs sweep mine.yaml --local 2
python -m fsslib.runs demo
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fsslib.config import ConfigError, require_known
from fsslib.config import shown as shown_value
from fsslib.files import repository
from fsslib.grammar import plain_yaml
from fsslib.runs import compare_command
from fsslib.runs.config import CONFIGS
from fsslib.runs.demo import demo
from fsslib.runs.describe import TOPICS, template_help
from fsslib.runs.differences import listing
from fsslib.runs.results import read_results
from fsslib.runs.results_list import write_list
from fsslib.runs.runner import run, shown, write_cells
from fsslib.runs.status import BusyError, RunError, read_status
from fsslib.runs.study_command import add_commands
from fsslib.runs.sweeps.launch import BUSY


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 well, 1 a run failed, 2 a parameter is wrong, 75 another process is at the
    run, 130 stopped by Ctrl-C."""
    options = _parsed(arguments)
    return exit_status(partial(options.command, options))


def exit_status(command: Callable[[], int]) -> int:
    """What a command returns, or what its error means, which is said in one sentence."""
    try:
        return command()
    except (ConfigError, argparse.ArgumentTypeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (RunError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BUSY if isinstance(error, BusyError) else 1
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        print(f"error: {error.strerror or error}{where}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        return 130


def _parsed(arguments: list[str] | None) -> argparse.Namespace:
    """Options; rows may also stand after them, which argparse alone would not take."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and ("rows" not in options or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        options.rows += rest
    return options


def parameter(text: str) -> tuple[str, Any]:
    """`name=value`; the value is read as YAML, and checked later against the typed config."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{shown_value(text)}: expected name=value")
    try:
        return name, plain_yaml(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{shown_value(text)}: the value is no YAML ({error}); quote it twice: -p "
            f"{shown_value(name)}='\"…\"'"
        ) from error


def _run(options: argparse.Namespace) -> int:
    if options.help:
        require_known("template", options.template, sorted(CONFIGS))
        print(template_help(options.template))
        return 0
    names = [name for name, _ in options.parameters]
    if twice := [name for number, name in enumerate(names) if name in names[:number]]:
        raise ConfigError(f"-p {twice[0]}= is given twice; give it once")
    run(options.template, dict(options.parameters), options.out, options.again)
    return 0


def _status(options: argparse.Namespace) -> int:
    paths = sorted(options.folder.rglob("status.json"))
    if not paths:
        raise FileNotFoundError(f"no status.json below {options.folder}; run something first")
    for path in paths:
        try:
            status = read_status(path.parent) or {"state": "removed"}
            print(f"{status['state']:<12} {shown(path.parent)}  {status.get('error', '')[:100]}")
        except RunError as error:
            _unreadable(str(error))
    return 0


def _unreadable(what: str) -> None:
    print(f"{'unreadable':<12} {what}")


def _table(options: argparse.Namespace) -> int:
    results = read_results(options.folder, _unreadable)
    if not results:
        raise FileNotFoundError(f"no results.json below {options.folder}; run something first")
    print(listing(results, options.reference))
    return 0


def _results(options: argparse.Namespace) -> int:
    print(f"written: {shown(write_list())}")
    return 0


def _topic(options: argparse.Namespace) -> int:
    print(options.text())
    return 0


def _templates(options: argparse.Namespace) -> int:
    for path in write_cells():
        print(f"written: {shown(path)}")
    return 0


def _demo(options: argparse.Namespace) -> int:
    demo(options.again)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fsslib.runs", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser(
        "run", help="run a template of notebooks/runs on papermill", add_help=False
    )
    one.add_argument("template", nargs="?", default="train", help=f"one of {sorted(CONFIGS)}")
    one.add_argument("-h", "--help", action="store_true", help="the template's parameters")
    one.add_argument("-p", dest="parameters", type=parameter, action="append", default=[])
    one.add_argument("--out", type=Path, help="folder of the run (default: from the parameters)")
    one.add_argument("--again", action="store_true", help="repeat a finished run")
    one.set_defaults(command=_run)
    runs = repository() / "papermill_runs"
    for name, command, help_text in (
        ("status", _status, "state of every run below a folder"),
        ("table", _table, "scores of every run below a folder"),
    ):
        each = commands.add_parser(name, help=help_text)
        each.add_argument("folder", type=Path, nargs="?", default=runs)
        each.set_defaults(command=command)
        if command is _table:
            text = "show paired differences to this run, a name or a folder"
            each.add_argument("--reference", metavar="RUN", help=text)
    results = commands.add_parser("results", help="write published/results.csv anew")
    results.set_defaults(command=_results)
    add_commands(commands)
    compare_command.add_command(commands)
    for topic, text in TOPICS.items():
        shown_topic = commands.add_parser(topic, help=text.__doc__.partition(".")[0].lower())
        shown_topic.set_defaults(command=_topic, text=text)
    cells = commands.add_parser("templates", help="write the parameters cells of all templates")
    cells.set_defaults(command=_templates)
    show = commands.add_parser("demo", help="train and evaluate PFENet beside its baselines")
    show.add_argument("--again", action="store_true", help="repeat finished runs")
    show.set_defaults(command=_demo)
    return parser


if __name__ == "__main__":
    sys.exit(main())
