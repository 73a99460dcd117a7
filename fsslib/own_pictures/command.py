"""`fsslib segment`: masks of pictures from the command line.

fsslib segment query.jpg --support cup.jpg --mask cup.png --out out
fsslib segment photos/ --support cup.jpg --mask "10 20 200 180" --out out --tile 600
fsslib segment query.jpg --name dog --weights openai --out out
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 well, 2 where pictures, masks, words or weights are not as they should be."""
    options = _parser().parse_args(arguments)
    from fsslib.own_pictures.writing import segment_files  # torch comes after --help

    try:
        segment_files(options)
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


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
    parser.add_argument("--name", help="what the thing is called")
    parser.add_argument(
        "--weights",
        help="scenes (embedded, drawings alone), imagenet, timm/NAME, or a tag of open_clip",
    )
    parser.add_argument("--image-size", type=int, help="side of the network's input")
    parser.add_argument("--tile", type=int, help="answer large pictures in tiles of this side")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--out", type=Path, default=Path("segmented"), help="folder of the answers")
    return parser


if __name__ == "__main__":
    sys.exit(main())
