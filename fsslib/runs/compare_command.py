"""`fsslib compare A B`: how much better A is than B on the same episodes; and `fsslib results`."""

from __future__ import annotations

import argparse
from typing import Any

from fsslib.command_line import add_command
from fsslib.config import ConfigError
from fsslib.files import local_path, read_json, shown_path, sweeps_folder


def add_commands(commands: argparse._SubParsersAction) -> None:
    """`compare` and `results` among the subcommands."""
    parser = add_command(
        commands,
        "compare",
        "paired difference of two runs, or of two rows of runs",
        "fsslib compare FOLDER_A FOLDER_B                         # runs of one's own",
        "fsslib compare frontier/clip_fssdino frontier/clip_prototype     # published rows",
        "fsslib compare a/results.json b/results.json --other-supports",
    )
    text = "a run's folder or results.json, a folder of a row's runs, or STUDY/ROW as published"
    for name in ("a", "b"):
        parser.add_argument(name, help=text)
    parser.add_argument(
        "--other-supports", action="store_true", help="pair by query alone: other numbers of shots"
    )
    parser.set_defaults(command=compare_command)
    about = "write papermill_runs/published/results.csv, all published results, anew"
    add_command(commands, "results", about, "fsslib results").set_defaults(command=results_command)


def compare_command(options: argparse.Namespace) -> int:
    """Print the table of differences, and which results are stale."""
    from fsslib.runs.differences import comparison_table, difference
    from fsslib.runs.staleness import legend, unrecorded

    a, b = (results_of(name) for name in (options.a, options.b))
    comparison = difference(a, b, not options.other_supports)
    print(comparison_table(comparison, options.a, options.b))
    rows = {options.a: a, options.b: b}
    print("\n".join([*legend(rows), *unrecorded(rows)]))
    return 0


def results_command(options: argparse.Namespace) -> int:
    """Write the list of published results, and the tables of them in documents."""
    from fsslib.runs.front_pages import write_documents
    from fsslib.runs.results_list import write_list

    for path in (write_list(), *write_documents()):
        print(f"written: {shown_path(path)}")
    return 0


def results_of(name: str) -> list[dict[str, Any]]:
    """Results by a file, a folder, or STUDY/ROW, each with its `file`.

    Raises:
        ConfigError: nothing of that name has results, or a file of them is broken.
    """
    try:
        return _read(name)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _read(name: str) -> list[dict[str, Any]]:
    from fsslib.runs.results import read_results
    from fsslib.runs.study_tables import study_results

    path = local_path(name)
    study, _, row = name.partition("/")
    if path.is_file():
        return [read_json(path, dict) | {"file": path}]
    if path.is_dir() and (results := read_results(path)):
        return results
    if row and (sweeps_folder() / f"{study}.yaml").is_file():
        if results := study_results(study, [row]).get(row):
            return results
        raise ConfigError(f"{name}: nothing is published; `fsslib study {study}`")
    raise ConfigError(
        f"{name}: no results; expected a results.json, a folder that holds some, or STUDY/ROW"
    )
