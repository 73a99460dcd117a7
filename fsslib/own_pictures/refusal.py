"""When an object is not there: from which score on a method is believed.

    python -m fsslib.own_pictures.refusal

asks each method that `method="auto"` takes with the embedded encoders about episodes of base
classes, once with a query that holds the class and once with one that does not, and writes the
score that parts the two best. How often that is right is measured on other classes, novel ones.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from jaxtyping import Float64

from fsslib.data.benchmark import Benchmark
from fsslib.data.loading import EpisodeReader, ListedEpisodes, batches
from fsslib.data.protocol import Protocol
from fsslib.data.questions import without_object
from fsslib.data.registry import load_benchmark
from fsslib.data.sampler import ClassSplit, EpisodeSampler
from fsslib.evaluation.absence import Answers, sureness
from fsslib.files import PACKAGE, read_json, write_json
from fsslib.methods.base import FewShotSegmenter
from fsslib.own_pictures.choice import build, choose
from fsslib.own_pictures.encoders import EMBEDDED

EPISODES = 150
LEAST_AUROC = 0.7
"""On base classes; a score that parts less well says nothing about absence, and none is used."""
FILE = PACKAGE / "own_pictures" / "thresholds.json"


@cache
def thresholds() -> dict[str, float | None]:
    """By a method's label, the least score of a class that is there; None: scores do not tell."""
    if not FILE.is_file():
        return {}
    return {label: row["threshold"] for label, row in read_json(FILE)["methods"].items()}


def answers(
    method: FewShotSegmenter, benchmark: Benchmark, protocol: Protocol, classes: Sequence[int]
) -> Answers:
    """Ask a method about episodes of some classes, and about as many without an object."""
    sampler = EpisodeSampler(benchmark, protocol, "val", classes)
    draws = [np.random.default_rng([protocol.seed, 4, i]) for i in range(protocol.episodes)]
    held = [sampler.balanced(i, rng) for i, rng in enumerate(draws)]
    areas, pairs = benchmark.areas("val"), zip(held, draws, strict=True)
    lacking = [without_object(spec, areas, rng) for spec, rng in pairs]
    reader = EpisodeReader(benchmark, protocol)
    return Answers(*(_scores(method, ListedEpisodes(reader, of)) for of in (held, lacking)))


@torch.inference_mode()
def _scores(method: FewShotSegmenter, episodes: ListedEpisodes) -> Float64[np.ndarray, " n"]:
    confidences = [
        sureness(logits.softmax(0)[1:])
        for batch in batches(episodes, 8)
        for logits in method(batch).logits.float()
    ]
    return torch.cat(confidences).double().numpy()


def measure(fold: int = 0) -> dict[str, dict[str, object]]:
    """Threshold of each method from base classes, and how it does on novel ones."""
    protocol = Protocol.preset("scenes10i", fold=fold, episodes=EPISODES)
    benchmark = load_benchmark(protocol)
    split, rows = ClassSplit.of(benchmark, protocol), {}
    known = (benchmark.name_of(split.novel[0]),)
    for masks, names in ((True, known), (True, ()), (False, known)):
        choice = choose(masks, names, EMBEDDED, 1, 1)
        method = build(choice)
        base, novel = (
            answers(method, benchmark, protocol, classes) for classes in (split.train, split.novel)
        )
        threshold = base.best_threshold()  # in full: some probabilities crowd below 1
        believed, refused = novel.right(threshold)
        rows[choice.label] = {
            "threshold": threshold if base.auroc >= LEAST_AUROC else None,
            "auroc_base": round(base.auroc, 3),
            "auroc_novel": round(novel.auroc, 3),
            "present_believed_novel": round(believed, 3),
            "absent_refused_novel": round(refused, 3),
        }
        print(choice.label, rows[choice.label], flush=True)
    return rows


def main() -> int:
    command = "python -m fsslib.own_pictures.refusal"
    write_json(FILE, {"command": command, "episodes": EPISODES, "fold": 0, "methods": measure()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
