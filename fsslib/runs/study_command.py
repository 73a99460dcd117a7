"""`fsslib study NAME` and `fsslib sweep FILE.yaml`: a study's runs, here or on a cluster."""

from __future__ import annotations

import argparse
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fsslib.command_line import add_command
from fsslib.config import ConfigError
from fsslib.files import shown_path, sweeps_folder
from fsslib.runs.study import Study, load_study, read_study

if TYPE_CHECKING:  # what makes runs, and tables of them, is imported when one is made
    from fsslib.runs.studies import Engine

SYSTEMS = ("slurm", "pbs")


def add_commands(commands: argparse._SubParsersAction) -> None:
    """`study` and `sweep` among the subcommands."""
    study = add_command(
        commands,
        "study",
        "run and publish a study of papermill_runs/sweeps",
        "fsslib study pi_clip                 # one by one, here",
        "fsslib study pi_clip --local         # a worker a GPU, or a core",
        "fsslib study pi_clip --table",
        more=f"studies: {', '.join(sorted(path.stem for path in sweeps_folder().glob('*.yaml')))}",
    )
    study.add_argument("name")
    study.add_argument("--page", action="store_true", help="write its page anew, run nothing")
    study.set_defaults(command=study_command)
    sweep = add_command(
        commands,
        "sweep",
        "run the rows of any such file",
        "fsslib sweep mine.yaml --local 2",
        "fsslib sweep mine.yaml --scheduler tcp://node1:8786",
        'fsslib sweep mine.yaml --slurm "queue=gpu walltime=02:00:00" --print',
    )
    sweep.add_argument("file", type=Path)
    sweep.set_defaults(command=sweep_command)
    for parser, state in ((study, "published"), (sweep, "finished")):
        parser.add_argument("rows", nargs="*", help="some of its rows (default: all)")
        parser.add_argument("--table", action="store_true", help=f"only show what is {state}")
        parser.add_argument("--missing", action="store_true", help=f"run only what is not {state}")
        text = "only say what its runs lack here, whose licences, and how long they would take"
        parser.add_argument("--check", action="store_true", help=text)
        parser.add_argument("--print", action="store_true", help="only print the commands")
        parser.add_argument("--reference", metavar="ROW", help="show paired differences to it")
        _add_places(parser.add_mutually_exclusive_group())


def _add_places(group: argparse._MutuallyExclusiveGroup) -> None:
    workers = "on N worker processes of this machine (default: one a GPU, or one a core)"
    group.add_argument("--local", type=int, nargs="?", const=0, metavar="N", help=workers)
    group.add_argument("--scheduler", metavar="ADDRESS", help="on the workers of a dask scheduler")
    for system in SYSTEMS:
        text = f'in jobs of {system}: "queue=gpu walltime=02:00:00 …", or a .yaml file of settings'
        group.add_argument(f"--{system}", metavar="SETTINGS", help=text)


def study_command(options: argparse.Namespace) -> int:
    """Run and publish a study, or show it."""
    study = load_study(options.name)
    if options.print or options.check:
        return _print(study, options)
    if options.page:
        from fsslib.runs.study_page import write_page

        print(f"written: {shown_path(write_page(options.name))}")
        return 0
    from fsslib.runs.detail_tables import map_table
    from fsslib.runs.staleness import unrecorded
    from fsslib.runs.study_tables import study_results, study_table

    if not options.table:
        from fsslib.runs.results_list import write_list
        from fsslib.runs.studies import run_study

        run_study(study, options.rows, options.missing, engine_of(options))
        write_list()
    print(study_table(options.name, options.rows, options.reference))
    print("\n".join(unrecorded(study_results(options.name, options.rows))))
    if maps := map_table(options.name, options.rows):
        print(f"\n{maps}")
    return 0


def sweep_command(options: argparse.Namespace) -> int:
    """Run a study's file that lies anywhere; nothing is published."""
    study = read_study(options.file)
    if options.print or options.check:
        return _print(study, options)
    from fsslib.runs.study_tables import sweep_table

    if not options.table:
        from fsslib.runs.studies import run_study

        run_study(study, options.rows, options.missing, engine_of(options), published=False)
    print(sweep_table(study, options.rows, options.reference))
    return 0


def _print(study: Study, options: argparse.Namespace) -> int:
    """The commands, and what a batch system would be given; or what they need."""
    published = options.command is study_command
    if options.check:
        from fsslib.runs.preflight import check, check_table

        print(check_table(list(check(study, options.rows, options.missing, published))))
        return 0
    from fsslib.runs.studies import jobs_to_run
    from fsslib.runs.sweeps.commands import listing

    print(listing(jobs_to_run(study, options.rows, options.missing, published)))
    for system in SYSTEMS:
        if text := getattr(options, system):
            require_cluster(f"--{system}")
            from fsslib.runs.sweeps.batch import job_script, read_settings

            print(f"\n{job_script(system, read_settings(system, text)).strip()}")
    return 0


def engine_of(options: argparse.Namespace) -> Engine:
    """What makes the runs; ConfigError where the extra that it needs is not installed."""
    if options.local is not None:
        require_cluster("--local")
        if options.local < 0:
            raise ConfigError(f"--local {options.local}: expected a number of workers, such as 2")
        from fsslib.runs.sweeps import cluster, cluster_engine

        return cluster_engine.ClusterEngine(lambda runs: cluster.local(options.local or None))
    if options.scheduler:
        require_cluster("--scheduler")
        from fsslib.runs.sweeps import cluster, cluster_engine

        return cluster_engine.ClusterEngine(lambda runs: cluster.scheduler_at(options.scheduler))
    for system in SYSTEMS:
        if text := getattr(options, system):
            require_cluster(f"--{system}")
            from fsslib.runs.sweeps import batch, cluster_engine

            return cluster_engine.ClusterEngine(
                partial(batch.jobs_of, system, batch.read_settings(system, text))
            )
    from fsslib.runs.studies import run_one_by_one

    return run_one_by_one


def require_cluster(option: str) -> None:
    """ConfigError unless dask.distributed, dask-jobqueue and rich are there."""
    missing = [n for n in ("distributed", "dask_jobqueue", "rich") if find_spec(n) is None]
    if missing:
        raise ConfigError(
            f"{option} needs {', '.join(missing)}, of the extra `cluster`: `pip install -e "
            "'.[cluster]'`; without such an option runs are made one by one, here"
        )
