"""`fsslib segment`: masks of pictures from the command line.

fsslib segment query.jpg --support cup.jpg --mask cup.png --weights imagenet --out out
fsslib segment photos/ --support cup.jpg --mask "10 20 200 180" --out out --tile 600
fsslib segment query.jpg --name dog --weights openai --out out
fsslib segment query.jpg --support cup=a.jpg --mask cup=a.png --support pen=b.jpg --mask pen=b.png

Into the folder of --out go mask.png, overlay.png and result.json; of several queries each has a
folder of its own there.
"""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from pathlib import Path
from typing import Any

BOX = re.compile(r"-?\d+(\.\d+)?([ ,]+-?\d+(\.\d+)?){3}")


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 well, 2 where pictures, masks, words or weights are not as they should be."""
    options = _parser().parse_args(arguments)
    try:
        queries, keywords = queries_of(options), asked_of(options)
        from fsslib.own_pictures.writing import segment_files  # torch comes after what is wrong

        with warnings.catch_warnings():
            warnings.showwarning = _in_one_line
            segment_files(queries, options.out, **keywords)
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def queries_of(options: argparse.Namespace) -> list[Path]:
    """All queries.

    Raises:
        BrokenFileError: a file that is not there, or a folder without pictures.
    """
    from fsslib.own_pictures.pictures import picture_files, require_picture

    queries = picture_files(options.queries)
    for path in queries:
        require_picture(path)
    return queries


def asked_of(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `segment`; what is wrong with them is said before torch is imported.

    Raises:
        ValueError: supports, masks, words, weights or a method that `segment` would refuse.
    """
    from fsslib.own_pictures.question import chosen, question

    supports, masks = by_class(options.supports), by_class(options.masks)
    if isinstance(masks, dict):
        masks = {name: [_mask(text) for text in texts] for name, texts in masks.items()}
    elif masks is not None:
        masks = [_mask(text) for text in masks]
    word = options.names[0] if len(options.names) == 1 else options.names or None
    chosen(options.method, options.weights, *question(supports, masks, word))
    keywords = {"supports": supports, "masks": masks, "class_name": word}
    settings = ("method", "weights", "image_size", "tile", "device")
    return keywords | {name: getattr(options, name) for name in settings}


def by_class(texts: list[str]) -> dict[str, list[str]] | list[str] | None:
    """["a.jpg", …] as it is, ["cup=a.jpg", …] by name; None of none.

    Raises:
        ValueError: some have a name and others none.
    """
    named = [text for text in texts if "=" in text and not Path(text).exists()]
    if not named:
        return texts or None
    if len(named) < len(texts):
        bare = next(text for text in texts if text not in named)
        raise ValueError(f"{named[0]!r} names its class and {bare!r} does not; name all, or none")
    classes: dict[str, list[str]] = {}
    for name, _, value in (text.partition("=") for text in named):
        classes.setdefault(name.strip(), []).append(value)
    return classes


def _mask(text: str) -> str | list[float]:
    """A path, or a box."""
    return [float(n) for n in re.split("[ ,]+", text)] if BOX.fullmatch(text.strip()) else text


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
        help="a picture that shows the thing; several times for several shots, and as NAME=PICTURE "
        "for several things",
    )
    parser.add_argument(
        "--mask",
        dest="masks",
        action="append",
        default=[],
        metavar="MASK",
        help="of each support, in their order: a picture, or a box 'left top right bottom' in "
        "pixels; as NAME=MASK where supports have names",
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
