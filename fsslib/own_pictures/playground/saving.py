"""A case as a folder that `fsslib segment` and the benchmark `folder` both read.

<folder>/<class>/images/support.png    and its mask in <class>/masks/support.png
<folder>/<class>/images/query.png      with its mask, where the truth is known
<folder>/query.png                     else: the benchmark reads marked pictures alone
<folder>/case.json                     what was asked, and the commands that ask it again
"""

from __future__ import annotations

import re
import shlex
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from fsslib.data.episode import IGNORE
from fsslib.files import write_json
from fsslib.own_pictures.playground.case import Case
from fsslib.own_pictures.question import UNNAMED

FACTS = "case.json"


def save_case(case: Case, folder: Path | str, weights: str = "scenes") -> dict[str, object]:
    """Write a case into a new folder, whole or not at all.

    Returns:
        What `case.json` says: `query`, `supports`, `masks` (paths in the folder), `class_name`,
        `truth` (whether it is known), and the commands `segment` and, with a truth, `evaluate`.

    Raises:
        ValueError: nothing is marked. FileExistsError: there is something already.
    """
    folder = Path(folder).expanduser()
    if not case.marked:
        raise ValueError("nothing of the support is marked; a case needs its mask, so paint it")
    if folder.exists():
        raise FileExistsError(
            f"{folder} is there already; choose a new folder, so that none is lost"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".case-", dir=folder.parent) as temporary:
        facts = _fill(Path(temporary) / "case", folder.name, case, weights)
        (Path(temporary) / "case").replace(folder)
    return facts


def free_folder(root: Path | str, word: str) -> Path:
    """`<root>/<word>-1`, or the next number that is not taken."""
    root = Path(root).expanduser()
    names = (root / f"{class_folder(word)}-{number}" for number in count(1))
    return next(path for path in names if not path.exists())


def _fill(folder: Path, called: str, case: Case, weights: str) -> dict[str, object]:
    name = class_folder(case.word)
    images, masks = f"{name}/images", f"{name}/masks"
    query = "query.png" if case.truth is None else f"{images}/query.png"
    pictures = {f"{images}/support.png": case.support, query: case.query}
    pictures[f"{masks}/support.png"] = _visible(case.mask)
    if case.truth is not None:
        pictures[f"{masks}/query.png"] = _visible(case.truth)
    for path, pixels in pictures.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / path)
    facts = {
        "query": query,
        "supports": [f"{images}/support.png"],
        "masks": [f"{masks}/support.png"],
        "class_name": case.word or None,
        "truth": case.truth is not None,
        **_commands(called, query, case, weights),
    }
    write_json(folder / FACTS, facts)
    return facts


def class_folder(word: str) -> str:
    """A folder's name for a word: `_` reads as a space; other odd characters go."""
    plain = re.sub(r"[^\w-]+", "_", word.strip()).strip("_")
    return plain or UNNAMED


def _visible(mask: np.ndarray) -> np.ndarray:
    """0 and 255, which every viewer shows; 0, 1 and 255 where something is not known."""
    return mask if (mask == IGNORE).any() else 255 * mask


def _commands(folder: str, query: str, case: Case, weights: str) -> dict[str, str]:
    """To be run where the folder lies, by its name there."""
    name = class_folder(case.word)
    words = ["fsslib", "segment", f"{folder}/{query}"]
    words += ["--support", f"{folder}/{name}/images/support.png"]
    words += ["--mask", f"{folder}/{name}/masks/support.png"]
    words += ["--name", case.word] if case.word else []
    words += ["--weights", weights, "--out", f"{folder}-answer"]
    commands = {"segment": shlex.join(words)}
    if case.truth is not None:
        evaluate = ["fsslib", "run", "evaluate", "-p", "benchmark=folder", "-p", f"root={folder}"]
        evaluate += ["-p", "method=prototype", "-p", "image_size=97", "-p", "episodes=2"]
        commands["evaluate"] = shlex.join(evaluate)  # each picture once as the query
    return commands
