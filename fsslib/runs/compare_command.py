"""`python -m fsslib.runs compare A B`: how much better A is than B on the same episodes.

python -m fsslib.runs compare papermill_runs/mine papermill_runs/other     # folders of runs
python -m fsslib.runs compare frontier/prototype frontier/insid3           # published rows
python -m fsslib.runs compare a.json b.json --other-supports               # single results
"""

from __future__ import annotations

import argparse
from typing import Any

from fsslib.config import ConfigError
from fsslib.files import local_path, read_json
from fsslib.runs.differences import comparison_table, difference
from fsslib.runs.results import read_results
from fsslib.runs.staleness import legend, unrecorded
from fsslib.runs.study import sweeps_folder
from fsslib.runs.study_tables import study_results


def add_command(commands: argparse._SubParsersAction) -> None:
    """`compare` among the subcommands."""
    parser = commands.add_parser("compare", help="paired difference of two runs, or of two rows")
    text = "a run's folder or results.json, a folder of a row's runs, or STUDY/ROW as published"
    for name in ("a", "b"):
        parser.add_argument(name, help=text)
    parser.add_argument(
        "--other-supports", action="store_true", help="pair by query alone: other numbers of shots"
    )
    parser.set_defaults(command=compare_command)


def compare_command(options: argparse.Namespace) -> int:
    """Print the table of differences, and which results are stale."""
    a, b = (results_of(name) for name in (options.a, options.b))
    found = difference(a, b, not options.other_supports)
    print(comparison_table(found, options.a, options.b))
    rows = {options.a: a, options.b: b}
    print("\n".join([*legend(rows), *unrecorded(rows)]))
    return 0


def results_of(name: str) -> list[dict[str, Any]]:
    """Results by a file, a folder, or STUDY/ROW, each with its `file`.

    Raises:
        ConfigError: nothing of that name has results.
    """
    path = local_path(name)
    study, _, row = name.partition("/")
    if path.is_file():
        return [read_json(path, dict) | {"file": path}]
    if path.is_dir() and (results := read_results(path)):
        return results
    if row and (sweeps_folder() / f"{study}.yaml").is_file():
        if results := study_results(study, [row]).get(row):
            return results
        raise ConfigError(f"{name}: nothing is published; `python -m fsslib.runs study {study}`")
    raise ConfigError(
        f"{name}: no results; expected a results.json, a folder that holds some, or STUDY/ROW"
    )
