"""`python -m fsslib.runs`: run templates, see how runs stand, print tables.

python -m fsslib.runs run train -p fold=1 -p shot=5
python -m fsslib.runs run evaluate -p method=prototype -p fold=1
python -m fsslib.runs run train --help
python -m fsslib.runs methods
python -m fsslib.runs status
python -m fsslib.runs table papermill_runs/published
python -m fsslib.runs study pi_clip
python -m fsslib.runs demo
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from fsslib.config import ConfigError, require_known
from fsslib.files import repository
from fsslib.runs.config import CONFIGS
from fsslib.runs.demo import demo
from fsslib.runs.describe import TOPICS, template_help
from fsslib.runs.results import read_results, table
from fsslib.runs.runner import run, shown, write_cells
from fsslib.runs.status import RunError, read_status
from fsslib.runs.studies import run_study
from fsslib.runs.study import load_study
from fsslib.runs.study_tables import map_table, study_table


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 well, 1 a run failed, 2 a parameter is wrong, 130 stopped by Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except (ConfigError, argparse.ArgumentTypeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (RunError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        return 130


def parameter(text: str) -> tuple[str, Any]:
    """`name=value`; the value is read as YAML, and checked later against the typed config."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r}: expected name=value")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r}: the value is no YAML ({getattr(error, 'problem', error)}); "
            f"quote it twice: -p {name}='\"…\"'"
        ) from error


def _run(options: argparse.Namespace) -> int:
    if options.help:
        require_known("template", options.template, sorted(CONFIGS))
        print(template_help(options.template))
        return 0
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
    print(table(results))
    return 0


def _study(options: argparse.Namespace) -> int:
    study = load_study(options.name)
    if not options.table:
        run_study(study, options.rows, options.missing)
    print(study_table(options.name, options.rows))
    if maps := map_table(options.name, options.rows):
        print(f"\n{maps}")
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
        listing = commands.add_parser(name, help=help_text)
        listing.add_argument("folder", type=Path, nargs="?", default=runs)
        listing.set_defaults(command=command)
    study = commands.add_parser("study", help="run and publish a study of papermill_runs/sweeps")
    study.add_argument("name")
    study.add_argument("rows", nargs="*", help="some of its rows (default: all)")
    study.add_argument("--table", action="store_true", help="only show what is published")
    study.add_argument("--missing", action="store_true", help="run only what is not published yet")
    study.set_defaults(command=_study)
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
