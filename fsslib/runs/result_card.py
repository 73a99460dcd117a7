"""What a result says of itself besides its numbers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fsslib.data.benchmark import Benchmark
from fsslib.data.sampler import EpisodeSampler
from fsslib.encoders.weights import seen_by
from fsslib.methods import FewShotSegmenter
from fsslib.runs.config import portable
from fsslib.runs.evaluate_config import EvaluateConfig
from fsslib.runs.heads import head_card
from fsslib.runs.provenance import provenance

_OF_HEAD = ("run", "git", "training", "selected_step", "protocol")
"""What a result repeats of the card of a head that was trained elsewhere."""


def result_card(
    config: EvaluateConfig, method: FewShotSegmenter, benchmark: Benchmark, trained: bool
) -> dict[str, Any]:
    """The run, the method and what it was allowed to read, the protocol and its data, the machine's
    settings, and the digests by which a result is known to be stale.

    Args:
        trained: whether the method was trained in this run.
    """
    head, protocol = head_card(config), config.test_protocol
    seen = [(name, seen_by(name, weights)) for name, weights in config.encoders]
    return {
        "run": config.run_name,
        "method": config.method_class.name,
        "label": config.label,
        "trained": config.method_class.trainable,
        "privileged_query_labels": protocol.query_labels == "oracle",
        "n_way": type(method).__name__ if protocol.way > 1 else None,
        "class_names_read": config.class_names_read,
        "guidance": config.guided_by,
        "supervision": config.supervision,
        "encoders_have_seen": {name: what for name, what in seen if what},
        "licences": {name: what for name, what in config.licences if what},
        "protocol": protocol.to_dict(),
        "protocol_hash": protocol.hash,
        "evaluation_precision": config.evaluation_precision,
        "head": {name: head[name] for name in _OF_HEAD if name in head} or None,
        "data": _data(config, benchmark),
        "config": portable(config),
        "machine": asdict(config.machine_config),
        "provenance": provenance(config, method, benchmark, trained),
    }


def _data(config: EvaluateConfig, benchmark: Benchmark) -> dict[str, Any]:
    """What a protocol does not say of the files it met: how many pictures, of which year, the
    novel classes by name, and those of them that were left out for want of images."""
    novel = benchmark.novel_classes(config.fold)
    left = EpisodeSampler(benchmark, config.test_protocol, "val", novel).left_out
    return {
        "year": getattr(benchmark, "year", None),
        "test_pictures": len(benchmark.areas("val")),
        "novel": [benchmark.name_of(c) for c in novel],
        "left_out": [benchmark.name_of(c) for c in left],
    }
