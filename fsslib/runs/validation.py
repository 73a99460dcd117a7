"""The episodes that a training is looked at with, and a checkpoint selected."""

from __future__ import annotations

import numpy as np

from fsslib.data.benchmark import Benchmark
from fsslib.data.protocol import Protocol
from fsslib.data.sampler import ClassSplit, EpisodeSampler, EpisodeSpec, test_episodes

SEEDS_FROM = 1000
"""Added to the protocol's seed, so that no training is looked at with its own test list."""


def validation_lists(
    benchmark: Benchmark, protocol: Protocol, count: int
) -> dict[str, list[EpisodeSpec]]:
    """Lists of `count` episodes to look at while training; the first one selects the checkpoint.

    `held_out`: base classes that are not trained on; `base`: classes that are, on images of the val
    split. Comparing the two shows overfitting to the base classes. With `selection=test_fold` there
    is `novel` alone, the test classes.
    """
    changes = {"episodes": count, "seed": SEEDS_FROM + protocol.seed}
    changes |= {"queries": "present", "question": "as_drawn"}
    protocol = type(protocol)(**{**protocol.to_dict(), **changes})
    if protocol.selection == "test_fold":
        return {"novel": test_episodes(benchmark, protocol)}
    lists = {}
    if protocol.held_out:
        lists["held_out"] = test_episodes(benchmark, protocol, "held_out")
    if benchmark.val_has_base:
        trained = ClassSplit.of(benchmark, protocol).train
        lists["base"] = _balanced(EpisodeSampler(benchmark, protocol, "val", trained), count)
    return lists


def _balanced(sampler: EpisodeSampler, count: int) -> list[EpisodeSpec]:
    """`count` balanced episodes of a sampler, a pure function of its protocol."""
    seed = sampler.protocol.seed
    return [sampler.balanced(i, np.random.default_rng([seed, 3, i])) for i in range(count)]
