"""When an object is not there: from which score on a method is believed.

    python -m fsslib.own_pictures.refusal

asks each method that `method="auto"` takes with the embedded encoders about episodes of base
classes, once with a query that holds the class and once with one that does not, and writes the
score that parts the two best. How often that is right is measured on other classes, novel ones.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Float64
from scipy.stats import mannwhitneyu
from torch import Tensor

from fsslib.data.benchmark import Benchmark
from fsslib.data.loading import EpisodeReader, ListedEpisodes, batches
from fsslib.data.protocol import Protocol
from fsslib.data.registry import load_benchmark
from fsslib.data.sampler import ClassSplit, EpisodeSampler, EpisodeSpec
from fsslib.files import PACKAGE, read_json, write_json
from fsslib.methods.base import FewShotSegmenter
from fsslib.own_pictures.choice import build, choose
from fsslib.own_pictures.encoders import EMBEDDED

TOP = 0.01
"""Share of a picture's pixels, the surest ones, whose mean probability is the score."""
EPISODES = 150
LEAST_AUROC = 0.7
"""On base classes; a score that parts less well says nothing about absence, and none is used."""
FILE = PACKAGE / "own_pictures" / "thresholds.json"


def scores(probability: Float[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """How sure a method is that each class is there, 0 to 1."""
    count = max(1, int(TOP * probability[0].numel()))
    return probability.flatten(1).topk(count, dim=1).values.mean(1)


@cache
def thresholds() -> dict[str, float | None]:
    """By a method's label, the least score of a class that is there; None: scores do not tell."""
    if not FILE.is_file():
        return {}
    return {label: row["threshold"] for label, row in read_json(FILE)["methods"].items()}


@dataclass(frozen=True)
class Answers:
    """Scores of queries that hold the class, and of ones that do not."""

    present: Float64[np.ndarray, " n"]
    absent: Float64[np.ndarray, " n"]

    @property
    def auroc(self) -> float:
        """How often a query with the class has the higher score of two."""
        u = mannwhitneyu(self.present, self.absent).statistic
        return float(u) / (len(self.present) * len(self.absent))

    def right(self, threshold: float) -> tuple[float, float]:
        """Share of present ones that are believed, and of absent ones that are refused."""
        return float((self.present >= threshold).mean()), float((self.absent < threshold).mean())

    def best_threshold(self) -> float:
        """Where the mean of both shares is largest; in the middle of a gap."""
        values = np.unique(np.concatenate([self.present, self.absent]))
        middles = (values[:-1] + values[1:]) / 2
        return float(max(middles, key=lambda t: sum(self.right(t))))


def answers(
    method: FewShotSegmenter, benchmark: Benchmark, protocol: Protocol, classes: Sequence[int]
) -> Answers:
    """Ask a method about episodes of some classes, and about as many without an object."""
    sampler = EpisodeSampler(benchmark, protocol, "val", classes)
    draws = [np.random.default_rng([protocol.seed, 4, i]) for i in range(protocol.episodes)]
    held = [sampler.balanced(i, rng) for i, rng in enumerate(draws)]
    lacking = [_without(spec, benchmark, rng) for spec, rng in zip(held, draws, strict=True)]
    reader = EpisodeReader(benchmark, protocol)
    return Answers(*(_scores(method, ListedEpisodes(reader, of)) for of in (held, lacking)))


def _without(spec: EpisodeSpec, benchmark: Benchmark, rng: np.random.Generator) -> EpisodeSpec:
    """The same supports, and a query without a pixel of the class."""
    areas = benchmark.areas(spec.split)
    free = np.flatnonzero(areas[:, spec.classes[0] - 1] == 0)
    return replace(spec, query=int(rng.choice(free)))


@torch.inference_mode()
def _scores(method: FewShotSegmenter, episodes: ListedEpisodes) -> Float64[np.ndarray, " n"]:
    found = [
        scores(logits.softmax(0)[1:])
        for batch in batches(episodes, 8)
        for logits in method(batch).logits.float()
    ]
    return torch.cat(found).double().numpy()


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
