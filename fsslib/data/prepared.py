"""Label PNGs made once from a source that is slow to read (COCO's JSON, SBD's .mat files).

The folder's name carries a digest of the source, so that labels of two sources never mix. Each PNG
is written whole or not at all, and `manifest.json` comes last: a folder without one was
interrupted and is finished, and one whose count is off is completed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from fsslib.data.parallel import WORKERS, parallel_map
from fsslib.data.pictures import write_label
from fsslib.files import read_json, write_json

MANIFEST = "manifest.json"


def label_folder(cache: Path, name: str, source: Mapping[str, Any]) -> Path:
    """`<cache>/labels_<name>-<digest of source>`."""
    text = json.dumps(dict(source), sort_keys=True)
    return cache / f"labels_{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def is_complete(folder: Path) -> bool:
    """Whether the manifest is there and as many PNGs as it says."""
    try:
        return read_json(folder / MANIFEST, dict).get("count") == len(_present(folder))
    except (OSError, ValueError):  # not there, or not written by `make_labels`
        return False


def make_labels(
    folder: Path,
    source: Mapping[str, Any],
    jobs: Mapping[str, Any],
    draw: Callable[[Any], UInt8[np.ndarray, "h w"]],
    workers: int = WORKERS,
) -> None:
    """Write `<folder>/<name>.png` for every job that has none yet, then the manifest.

    Args:
        source: what the labels are made from; goes into the manifest.
        jobs: by label name, what `draw` takes. Both must be picklable.
    """
    (folder / MANIFEST).unlink(missing_ok=True)
    present = _present(folder) if folder.is_dir() else set()
    for extra in present - {f"{name}.png" for name in jobs}:
        (folder / extra).unlink()
    missing = [
        (draw, folder / f"{name}.png", job)
        for name, job in jobs.items()
        if f"{name}.png" not in present
    ]
    for _ in parallel_map(_make, missing, f"making label images in {folder}", workers):
        pass
    write_json(folder / MANIFEST, {**source, "count": len(jobs)})


def file_source(path: Path, version: int) -> dict[str, Any]:
    """Name, size and SHA-256 of the one file that labels are made from."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {
        "source": path.name,
        "bytes": path.stat().st_size,
        "sha256": digest,
        "version": version,
    }


def _make(task: tuple[Callable[[Any], UInt8[np.ndarray, "h w"]], Path, Any]) -> None:
    draw, path, job = task
    write_label(path, draw(job))


def _present(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.png") if not path.name.startswith(".")}
