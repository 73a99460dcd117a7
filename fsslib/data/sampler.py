"""Which images make an episode: pure functions of the Protocol and a table of class areas.

A test list depends on nothing but its protocol, a training episode on nothing but (seed, number):
not on the machine, the number of workers, or what was drawn before. The papers' loaders draw with
Python's `random` inside the workers, so that their episodes change with the worker count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fsslib.data.benchmark import Benchmark, Split
from fsslib.data.episode_spec import EpisodeSpec as EpisodeSpec
from fsslib.data.episode_spec import list_hash as list_hash
from fsslib.data.protocol import Protocol
from fsslib.data.questions import Pool, asked, without_object

STREAMS = {"novel": 0, "held_out": 1, "base": 5}
"""Random numbers of each list of episodes; training has 2."""
QUESTIONS = 6


@dataclass(frozen=True)
class ClassSplit:
    """Which classes are trained on, selected on and tested on under a protocol."""

    train: tuple[int, ...]
    held_out: tuple[int, ...]
    novel: tuple[int, ...]

    @property
    def unseen(self) -> tuple[int, ...]:
        """What training must not learn: novel classes, and those held out."""
        return self.novel + self.held_out

    @classmethod
    def of(cls, benchmark: Benchmark, protocol: Protocol) -> ClassSplit:
        """`protocol.held_out` base classes, spread evenly over the list, are kept for selection.

        A benchmark that names such classes itself keeps those, whatever they are used for.
        """
        base, own = benchmark.base_classes(protocol.fold), benchmark.held_out_classes
        if own and protocol.held_out not in (0, len(own)):
            raise ValueError(
                f"held_out={protocol.held_out}: {benchmark.name} names {len(own)} held-out classes "
                f"itself; write held_out={len(own)}, or 0 if nothing is selected on them"
            )
        if protocol.held_out >= max(len(base), 1):
            raise ValueError(
                f"held_out={protocol.held_out}: fold {protocol.fold} of {benchmark.name} has "
                f"{len(base)} base classes; keep at least one for training"
            )
        picks = np.linspace(0, len(base), protocol.held_out, endpoint=False).astype(int)
        held_out = own or tuple(base[i] for i in picks)
        train = tuple(c for c in base if c not in held_out)
        return cls(train, held_out, benchmark.novel_classes(protocol.fold))


class EpisodeSampler:
    """Draws episodes of some classes from one split of a benchmark.

    Args:
        areas: class areas of the split, (images, classes).
        classes: the class ids that episodes are about.
        excluded: class ids whose images are left out altogether (`novel_in_train="drop"`).

    Raises:
        ValueError: a class has fewer than shot + 1 images; names the class and the counts.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        protocol: Protocol,
        split: Split,
        classes: Sequence[int],
        excluded: Sequence[int] = (),
    ) -> None:
        self.protocol, self.split, self.classes = protocol, split, tuple(classes)
        areas = benchmark.areas(split)
        if unknown := sorted({c for c in self.classes if not 1 <= c <= areas.shape[1]}):
            raise ValueError(f"classes {unknown}: {benchmark.name} has ids 1 to {areas.shape[1]}")
        allowed = np.ones(len(areas), bool)
        if len(excluded):
            allowed = ~(areas[:, np.asarray(excluded) - 1] > 0).any(axis=1)
        least = max(protocol.minimum_object_pixels, 1)
        self.images = {
            c: np.flatnonzero(allowed & (areas[:, c - 1] >= least)) for c in self.classes
        }
        scarce = [c for c, images in self.images.items() if len(images) <= protocol.shot]
        self.left_out = tuple(scarce)
        """Classes skipped for having too few images (`scarce_classes="skip"`)."""
        if scarce and (protocol.scarce_classes == "error" or len(scarce) == len(self.classes)):
            c, images = scarce[0], self.images[scarce[0]]
            raise ValueError(
                f"class {benchmark.name_of(c)!r} ({c}) has {len(images)} usable images in "
                f"{benchmark.name} {split} (at least {least} px, {int((~allowed).sum())} images "
                f"left out); {protocol.shot}-shot episodes need {protocol.shot + 1}. "
                f"{len(scarce)} of {len(self.classes)} classes are that scarce; "
                "scarce_classes='skip' leaves them out, minimum_object_pixels admits more"
            )
        self.classes = tuple(c for c in self.classes if c not in scarce)
        self.images = {c: self.images[c] for c in self.classes}
        if protocol.way > len(self.classes):
            raise ValueError(f"way={protocol.way}: only {len(self.classes)} classes to choose from")
        present = areas[:, np.asarray(self.classes) - 1] > 0
        self.present = [np.asarray(self.classes)[row] for row in present]
        self.queries = np.unique(np.concatenate(list(self.images.values())))

    def balanced(self, number: int, rng: np.random.Generator) -> EpisodeSpec:
        """Episode `number`: classes take turns, the query is any image that holds the class."""
        first = self.classes[number % len(self.classes)]
        return self._complete(int(rng.choice(self.images[first])), first, rng)

    def image_first(self, number: int, rng: np.random.Generator) -> EpisodeSpec:
        """Episode `number`: images take turns, the class is any one present, however small."""
        query = int(self.queries[number % len(self.queries)])
        return self._complete(query, int(rng.choice(self.present[query])), rng)

    def _complete(self, query: int, first: int, rng: np.random.Generator) -> EpisodeSpec:
        others = [c for c in self.classes if c != first]
        drawn = rng.choice(others, self.protocol.way - 1, replace=False) if others else []
        classes = [first, *(int(c) for c in drawn)]
        if self.protocol.way > 1:  # the class that is surely there must have no place of its own
            classes = [classes[i] for i in rng.permutation(len(classes))]
        used = {query}
        supports = []
        for c in classes:
            pool = self.images[c]
            free = pool[~np.isin(pool, list(used))]
            if len(free) < self.protocol.shot:
                raise ValueError(
                    f"class {c} has {len(free)} images of {self.split} left beside this episode's "
                    f"others; shot={self.protocol.shot} is too many"
                )
            chosen = tuple(int(i) for i in rng.choice(free, self.protocol.shot, replace=False))
            used.update(chosen)
            supports.append(chosen)
        return EpisodeSpec(self.split, query, tuple(classes), tuple(supports))


def test_episodes(
    benchmark: Benchmark,
    protocol: Protocol,
    classes: Literal["novel", "held_out", "base"] = "novel",
) -> list[EpisodeSpec]:
    """The list of episodes that a protocol is scored on.

    `novel` episodes come from the val split; `held_out` ones (for choosing checkpoints) from the
    train split, so that choosing never sees a test image; `base` ones, of trained classes, from the
    val split if it shows any. The protocol's `question` is put to novel episodes alone.
    """
    if classes not in STREAMS:
        raise ValueError(f"classes={classes!r}: expected 'novel', 'held_out' or 'base'")
    split, stream = ClassSplit.of(benchmark, protocol), STREAMS[classes]
    chosen = split.train if classes == "base" else getattr(split, classes)
    in_val = classes == "novel" or (classes == "base" and benchmark.val_has_base)
    sampler = EpisodeSampler(benchmark, protocol, "val" if in_val else "train", chosen)
    specs = _drawn(sampler, benchmark, stream)
    return put_question(benchmark, protocol, specs) if classes == "novel" else specs


test_episodes.__test__ = False  # a name in the field's words, not a test for pytest to collect


def _drawn(sampler: EpisodeSampler, benchmark: Benchmark, stream: int) -> list[EpisodeSpec]:
    """As many as the protocol says; every second one without an object if it says so."""
    protocol, draw = sampler.protocol, getattr(sampler, sampler.protocol.sampling)
    halves = 2 if protocol.queries == "half_absent" else 1
    areas, specs = benchmark.areas(sampler.split), []
    for number in range(protocol.episodes // halves):
        rng = np.random.default_rng([protocol.seed, stream, number])
        specs.append(draw(number, rng))
        if halves == 2:
            specs.append(without_object(specs[-1], areas, rng))
    return specs


def put_question(
    benchmark: Benchmark, protocol: Protocol, specs: Sequence[EpisodeSpec]
) -> list[EpisodeSpec]:
    """Novel episodes as the protocol's `question` changes them."""
    if protocol.question == "as_drawn" or not specs:
        return list(specs)
    novel = ClassSplit.of(benchmark, protocol).novel
    sampler = EpisodeSampler(benchmark, protocol, specs[0].split, novel)
    pool = Pool(sampler.images, benchmark.areas(specs[0].split))
    return [
        asked(protocol.question, spec, pool, np.random.default_rng([protocol.seed, QUESTIONS, i]))
        for i, spec in enumerate(specs)
    ]
