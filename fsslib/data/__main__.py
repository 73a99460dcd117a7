"""`fsslib data`: benchmarks from the command line.

fsslib data check folder --root mine --all-files
fsslib data check coco20i --root /data/coco --fold 0
fsslib data download pascal5i --root /data/pascal
fsslib data export-episodes "pascal5i fold=1 shot=5" --out episodes.json
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fsslib.command_line import add_command
from fsslib.config import ConfigError
from fsslib.data.benchmark import BENCHMARKS
from fsslib.data.parallel import WORKERS
from fsslib.data.protocol import Protocol
from fsslib.data.registry import default_root, load_benchmark


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0 if all is well, 1 with every trouble on stderr otherwise."""
    options = _parser().parse_args(arguments)
    try:
        return COMMANDS[options.command](options)
    except (ConfigError, OSError, ValueError, RuntimeError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1


def _check(options: argparse.Namespace) -> int:
    from fsslib.data.check import check  # what reads pictures comes after --help
    from fsslib.data.labelled_files import FileBenchmark

    protocol = Protocol.preset(
        options.benchmark,
        fold=options.fold or 0,
        train_list=options.train_list,
        coco_folds=options.coco_folds,
    )
    benchmark = load_benchmark(protocol, options.root)
    if not isinstance(benchmark, FileBenchmark):
        print(f"{benchmark.name} is rendered: there are no files to check")
        return 0
    report = check(
        benchmark,
        protocol.minimum_object_pixels,
        options.fold,
        options.all_files,
        options.miniature,
        options.workers,
    )
    print(f"{benchmark.name} in {options.root or default_root(options.benchmark)}")
    print("\n".join(report.lines))
    for trouble in report.troubles:
        print(f"TROUBLE {trouble}", file=sys.stderr)
    if report.troubles:
        print(f"FAILED: {len(report.troubles)} troubles", file=sys.stderr)
        return 1
    print("No trouble found" + ("" if options.all_files else " (--all-files decodes every image)"))
    return 0


def _download(options: argparse.Namespace) -> int:
    root = options.root or default_root(options.benchmark)
    BENCHMARKS.get(options.benchmark).fetch(root)
    print(
        f"{options.benchmark} is in {root}; look at it with "
        f"`fsslib data check {options.benchmark} --root {root} --all-files`"
    )
    return 0


def _export(options: argparse.Namespace) -> int:
    protocol = Protocol.parse("protocol", options.protocol)
    from fsslib.data.episode_files import read_episode_file, write_episode_file
    from fsslib.data.sampler import list_hash, test_episodes

    benchmark = load_benchmark(protocol, options.root)
    if options.source is None:
        episodes = test_episodes(benchmark, protocol)
    else:
        episodes = read_episode_file(options.source, benchmark, protocol)
    write_episode_file(options.out, benchmark, protocol, episodes)
    print(
        f"{len(episodes):,} episodes of {benchmark.name}, list {list_hash(episodes)}, are in "
        f"{options.out}"
    )
    return 0


COMMANDS = {"check": _check, "download": _download, "export-episodes": _export}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fsslib data", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", required=True)
    for command, about, example in (
        ("check", "look at all files", "folder --root mine --all-files"),
        ("download", "fetch the archives", "pascal5i --root /data/pascal"),
    ):
        sub = add_command(commands, command, about, f"fsslib data {command} {example}")
        sub.add_argument("benchmark", choices=BENCHMARKS.names())
        sub.add_argument("--root", type=Path, help="folder of the files")
    sub = commands.choices["check"]
    sub.add_argument("--fold", type=int, choices=range(4), help="mark novel classes of this fold")
    sub.add_argument("--train-list", choices=("sbd", "sbd_aug"), default="sbd")
    sub.add_argument("--coco-folds", choices=("interleaved", "contiguous"), default="interleaved")
    sub.add_argument("--all-files", action="store_true", help="decode every photograph")
    sub.add_argument("--miniature", action="store_true", help="allow lists shorter than official")
    sub.add_argument("--workers", type=int, default=WORKERS, help=f"processes ({WORKERS})")
    example = 'fsslib data export-episodes "pascal5i fold=1 shot=5" --out episodes.json'
    sub = add_command(commands, "export-episodes", "write a test list by names, as JSON", example)
    sub.add_argument("protocol", help='a benchmark and changes, such as "pascal5i fold=1 shot=5"')
    sub.add_argument("--out", type=Path, required=True, help="the file to write")
    sub.add_argument("--root", type=Path, help="folder of the benchmark's files")
    sub.add_argument("--from", dest="source", type=Path, help="a released list, read instead")
    return parser


if __name__ == "__main__":
    sys.exit(main())
