"""`fsslib interop inspect FILE…`: what a file of weights is, what it fits, what it lacks.

fsslib interop inspect bam_resnet50_split0.pth

Only keys and shapes are read, and no code in a file is run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fsslib.command_line import add_command


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 every file was read, 2 one could not be."""
    options = _parser().parse_args(arguments)
    from fsslib.encoders.storage import WeightsError  # torch comes after --help
    from fsslib.interop.report import report

    status = 0
    for file in options.files:
        try:
            print(report(file.expanduser()))
        except WeightsError as error:
            print(f"error: {error}", file=sys.stderr)
            status = 2
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fsslib interop", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(required=True)
    example = "fsslib interop inspect bam_resnet50_split0.pth"
    inspect = add_command(commands, "inspect", "say what files of weights are", example)
    inspect.add_argument("files", type=Path, nargs="+", metavar="FILE")
    return parser


if __name__ == "__main__":
    sys.exit(main())
