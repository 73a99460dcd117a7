"""Run templates, see how runs stand, print tables.

fsslib run train -p fold=1 -p shot=5
fsslib run evaluate -p method=prototype -p fold=1
fsslib run train --help
fsslib methods
fsslib status
fsslib table papermill_runs/published
fsslib study pi_clip
fsslib compare pi_clip/hdmnet+pi_clip pi_clip/hdmnet
fsslib claims qgnet
fsslib sweep mine.yaml --local 2
fsslib demo
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fsslib.command_line import add_command
from fsslib.config import ConfigError
from fsslib.config import shown as shown_value
from fsslib.files import runs_folder, shown_path
from fsslib.grammar import plain_yaml
from fsslib.runs import claims_command, compare_command
from fsslib.runs.config import CONFIGS, parse
from fsslib.runs.describe import TOPICS, template_help, templates_help
from fsslib.runs.status import BusyError, RunError, read_status
from fsslib.runs.study_command import add_commands
from fsslib.runs.sweeps.launch import BUSY

# What executes notebooks imports torch and papermill: where a command is carried out, and not
# before its arguments are known to be right.


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
    template = options.template or "train"
    if options.help:
        parser = options.parser
        print(template_help(template) if options.template else parser.format_help().rstrip())
        return 0
    names = [name for name, _ in options.parameters]
    if twice := [name for number, name in enumerate(names) if name in names[:number]]:
        raise ConfigError(f"-p {twice[0]}= is given twice; give it once")
    parse(template, dict(options.parameters))
    from fsslib.runs.runner import run

    run(template, dict(options.parameters), options.out, options.again)
    return 0


def _status(options: argparse.Namespace) -> int:
    paths = sorted(options.folder.rglob("status.json"))
    if not paths:
        raise FileNotFoundError(f"no status.json below {options.folder}; run something first")
    for path in paths:
        try:
            status = read_status(path.parent) or {"state": "removed"}
            print(
                f"{status['state']:<12} {shown_path(path.parent)}  {status.get('error', '')[:100]}"
            )
        except RunError as error:
            _unreadable(str(error))
    return 0


def _unreadable(what: str) -> None:
    print(f"{'unreadable':<12} {what}")


def _table(options: argparse.Namespace) -> int:
    from fsslib.runs.differences import listing
    from fsslib.runs.results import read_results

    results = read_results(options.folder, _unreadable)
    if not results:
        raise FileNotFoundError(f"no results.json below {options.folder}; run something first")
    print(listing(results, options.reference))
    return 0


def _topic(options: argparse.Namespace) -> int:
    print(options.text())
    return 0


def _templates(options: argparse.Namespace) -> int:
    from fsslib.runs.runner import write_cells

    for path in write_cells():
        print(f"written: {shown_path(path)}")
    return 0


def _demo(options: argparse.Namespace) -> int:
    from fsslib.runs.demo import demo

    demo(options.again)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fsslib", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands)
    for name, command, about in (
        ("status", _status, "state of every run below a folder"),
        ("table", _table, "scores of every run below a folder"),
    ):
        each = add_command(
            commands, name, about, f"fsslib {name}", f"fsslib {name} papermill_runs/published"
        )
        each.add_argument("folder", type=Path, nargs="?", default=runs_folder())
        each.set_defaults(command=command)
    text = "show paired differences to this run, a name or a folder"
    each.add_argument("--reference", metavar="RUN", help=text)
    add_commands(commands)
    compare_command.add_commands(commands)
    claims_command.add_commands(commands)
    for topic, text in TOPICS.items():
        about = text.__doc__.partition(".")[0].lower()
        add_command(commands, topic, about, f"fsslib {topic}").set_defaults(
            command=_topic, text=text
        )
    about = "write the parameters cells of all templates"
    add_command(commands, "templates", about, "fsslib templates").set_defaults(command=_templates)
    about = "train and evaluate PFENet beside its baselines"
    show = add_command(commands, "demo", about, "fsslib demo", "fsslib demo --again")
    show.add_argument("--again", action="store_true", help="repeat finished runs")
    show.set_defaults(command=_demo)
    return parser


def _add_run(commands: argparse._SubParsersAction) -> None:
    about = "run a template of notebooks/runs on papermill"
    one = add_command(
        commands,
        "run",
        about,
        "fsslib run train -p fold=1 -p shot=5",
        "fsslib run evaluate -p method=prototype --out out",
        "fsslib run train --help            # what can be set",
        more=templates_help(),
        add_help=False,
    )
    one.add_argument("template", nargs="?", help=f"one of {sorted(CONFIGS)} (default: train)")
    one.add_argument("-h", "--help", action="store_true", help="the template's parameters")
    one.add_argument(
        "-p",
        dest="parameters",
        metavar="NAME=VALUE",
        type=parameter,
        action="append",
        default=[],
        help="a parameter; several times for several",
    )
    one.add_argument("--out", type=Path, help="folder of the run (default: from the parameters)")
    one.add_argument("--again", action="store_true", help="repeat a finished run")
    one.set_defaults(command=_run, parser=one)


if __name__ == "__main__":
    sys.exit(main())
