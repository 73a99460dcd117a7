"""`fsslib segment`: masks of pictures from the command line.

fsslib segment query.jpg --support cup.jpg --mask cup.png --weights imagenet --out out
fsslib segment photos/ --support cup.jpg --mask "10 20 200 180" --out out --tile 600
fsslib segment query.jpg --name dog --weights openai --out out

Into the folder of --out go mask.png, overlay.png and result.json; of several queries each has a
folder of its own there.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 well, 2 where pictures, masks, words or weights are not as they should be."""
    options = _parser().parse_args(arguments)
    try:
        queries = queries_of(options)
        from fsslib.own_pictures.writing import segment_files  # torch comes after what is missing

        with warnings.catch_warnings():
            warnings.showwarning = _in_one_line
            segment_files(queries, options)
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def queries_of(options: argparse.Namespace) -> list[Path]:
    """All queries; what is missing among them or the supports is said before torch is imported.

    Raises:
        BrokenFileError: a file that is not there, or a folder without pictures.
    """
    from fsslib.own_pictures.pictures import file_path, picture_files, require_picture

    queries = picture_files(options.queries)
    for path in (*queries, *map(file_path, options.supports)):
        require_picture(path)
    return queries


def _in_one_line(message: Warning | str, *where: Any) -> None:
    """A warning as the console should have it: without the line of code that it comes from."""
    print(f"warning: {message}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fsslib segment", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("queries", nargs="+", help="pictures, or folders of them")
    parser.add_argument(
        "--support",
        dest="supports",
        action="append",
        default=[],
        metavar="PICTURE",
        help="a picture that shows the thing; several times for several shots",
    )
    parser.add_argument(
        "--mask",
        dest="masks",
        action="append",
        default=[],
        metavar="MASK",
        help="of each support: a picture, or a box 'left top right bottom' in pixels",
    )
    parser.add_argument(
        "--name",
        dest="names",
        action="append",
        default=[],
        metavar="WORD",
        help="what the thing is called; without supports several times for several things",
    )
    parser.add_argument(
        "--weights",
        help="scenes (embedded, drawings alone), imagenet, dinov2, dinov3, timm/NAME, or a tag of "
        "open_clip such as openai",
    )
    parser.add_argument(
        "--method", default="auto", help="auto, or a method of the embedded encoders by name"
    )
    parser.add_argument("--image-size", type=int, help="side of the network's input")
    parser.add_argument("--tile", type=int, help="answer large pictures in tiles of this side")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--out", type=Path, default=Path("segmented"), help="folder of the answers")
    return parser


if __name__ == "__main__":
    sys.exit(main())
