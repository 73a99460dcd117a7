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
from report import Rows, tables

from fsslib.bench.memory import peak_memory
from fsslib.bench.timing import alternated

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
    rows = Rows(options.out, {"size": options.size, "rounds": options.rounds})
    for name, clone in clones.items():
        for make in CODES[name]:
            for pair in make(clone, options.size):
                if options.only in pair.name:
                    rows.add(measured(pair, options.rounds))
                gc.collect()
    print(f"\n{tables(rows.all)}")
    return int(any(not row["agrees"] for row in rows.all))


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    for name in CODES:
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, help="folder of a clone")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=473, help="side of the pictures, 8n + 1")
    parser.add_argument("--only", default="", help="part of a row's name")
    parser.add_argument(
        "--out", type=Path, help="JSON; its other rows stay, tables lie beside it as .md"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
