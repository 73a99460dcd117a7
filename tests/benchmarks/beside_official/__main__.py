"""Time and memory beside the papers' released code, on the same weights and pictures.

    python tests/benchmarks/beside_official --pfenet ../PFENet --hdmnet ../HDMNet [--only 1-shot]

Each option takes the folder of a clone that you have made; nothing of theirs comes with this
package. Both sides get the same random weights, their outputs are compared before anything is
timed, and their runs alternate in one process on one thread.

    --pfenet         github.com/dvlab-research/PFENet
    --qgnet          github.com/liuweide01/QGNet-Few-shot-segmentation
    --bam            github.com/chunbolang/BAM
    --hdmnet         github.com/Pbihao/HDMNet
    --asgnet         github.com/Reagan1311/ASGNet
    --hsnet          github.com/juhongm999/hsnet
    --pi-clip        github.com/vangjin/PI-CLIP
    --clip-dinoiser  github.com/wysoczanska/clip_dinoiser
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from clips import clip_dinoiser, pi_clip
from kernels import clustering, cosine_prior
from networks import asgnet, bam, hdmnet, hsnet, pfenet, qgnet
from pairs import Pair

from fsslib.bench.measure import surroundings
from fsslib.bench.memory import peak_memory
from fsslib.bench.tables import grid
from fsslib.bench.timing import alternated
from fsslib.files import write_json

CODES: dict[str, tuple[Callable[[Path, int], Iterator[Pair]], ...]] = {
    "pfenet": (pfenet,),
    "qgnet": (qgnet,),
    "bam": (bam,),
    "hdmnet": (hdmnet, cosine_prior),
    "asgnet": (asgnet, clustering),
    "hsnet": (hsnet,),
    "pi_clip": (pi_clip,),
    "clip_dinoiser": (clip_dinoiser,),
}


def main() -> int:
    """Exit status 1 where outputs differ."""
    options = _parser().parse_args()
    torch.set_num_threads(1)
    clones = {name: path for name in CODES if (path := getattr(options, name))}
    if not clones:
        print("error: expected the folder of one clone at least, such as --pfenet PATH")
        return 2
    rows = []
    for name, clone in clones.items():
        for make in CODES[name]:
            for pair in make(clone, options.size):
                if options.only in pair.name:
                    rows.append(measured(pair, options.rounds))
                    print(_line(rows[-1]), flush=True)
                gc.collect()
    text = tables(rows)
    print(f"\n{text}")
    if options.out:
        content = {"machine": surroundings("cpu"), "rounds": options.rounds, "rows": rows}
        content["size"] = options.size
        write_json(options.out, content)
        options.out.with_suffix(".md").write_text(f"{text}\n")
    return int(any(not row["agrees"] for row in rows))


def measured(pair: Pair, rounds: int) -> dict[str, Any]:
    """Compare, then time and weigh."""
    difference = pair.difference()
    ours, official = alternated([pair.ours, pair.official], "cpu", rounds)
    ratios = [a / b for a, b in zip(ours, official, strict=True)]
    peaks = {
        name: peak_memory(call, "cpu") if call else None
        for name, call in (
            ("ours", pair.ours),
            ("official", pair.official),
            ("released", pair.released),
        )
    }
    return {
        "work": pair.name,
        "difference": difference,
        "agrees": difference <= pair.tolerance,
        "ratio": median(ratios),
        "range": [min(ratios), max(ratios)],
        "milliseconds": {"ours": ours, "official": official},
        "peak_mib": peaks,
    }


def tables(rows: list[dict[str, Any]]) -> str:
    """Time and memory, as Markdown."""
    times = [
        [
            row["work"],
            f"{row['ratio']:.2f}",
            "–".join(f"{value:.2f}" for value in row["range"]),
            *(f"{median(row['milliseconds'][side]) / 1000:.3g}" for side in ("ours", "official")),
            f"{row['difference']:.0e}" + ("" if row["agrees"] else " DIFFERS"),
        ]
        for row in rows
    ]
    memory = [[row["work"], *_memory(row["peak_mib"])] for row in rows]
    first = ["work", "ours / official", "range", "ours, s", "official, s", "largest difference"]
    second = ["peak MiB", "ours", "official", "as released", "ours / official"]
    return "\n".join([*grid(first, times), "", *grid(second, memory)])


def _memory(peaks: dict[str, float | None]) -> list[str]:
    cells = [_mib(peaks[side]) for side in ("ours", "official", "released")]
    return [*cells, f"{peaks['ours'] / peaks['official']:.2f}"]


def _mib(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _line(row: dict[str, Any]) -> str:
    peaks = row["peak_mib"]
    return (
        f"{row['work']:<50} time {row['ratio']:.2f}  memory {_mib(peaks['ours'])} / "
        f"{_mib(peaks['official'])} MiB  difference {row['difference']:.0e}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    for name in CODES:
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, help="folder of a clone")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=473, help="side of the pictures, 8n + 1")
    parser.add_argument("--only", default="", help="part of a row's name")
    parser.add_argument("--out", type=Path, help="JSON of the rows; tables beside it as .md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
