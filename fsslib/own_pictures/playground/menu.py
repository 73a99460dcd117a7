"""What can be asked with which weights, and what each method reads of a question."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from fsslib.methods.base import FewShotSegmenter
from fsslib.own_pictures.choice import EMBEDDED, Choice, choose


@dataclass(frozen=True)
class Option:
    """A setting that changes what is made of features, not the features.

    Attributes:
        name: for people. field: of the settings. part: of the method that has them; empty: itself.
        start: as it is at first; bool, or a fraction from 0 to 1.
    """

    name: str
    field: str
    part: str
    start: bool | float


@dataclass(frozen=True)
class Entry:
    """A method on the menu.

    Attributes:
        reads: "mask", "word" or both.
        options: that can be tried over cached features.
    """

    name: str
    choice: Choice
    reads: frozenset[str]
    options: tuple[Option, ...] = ()

    def lacks(self, marked: bool, named: bool) -> str | None:
        """What of the question is still missing for it."""
        available = {"mask": marked, "word": named}
        missing = sorted(what for what in self.reads if not available[what])
        return " and ".join(missing) or None


POOLING = Option("pooling", "pooling", "dinoiser", True)
GAMMA = Option("gamma", "gamma", "dinoiser", 0.2)
REFINED = Option("refinement", "refine_vtp", "clip", True)
BOX = Option("box threshold", "threshold", "clip", 0.4)


def menu(weights: str) -> dict[str, Entry]:
    """Methods by name that these weights allow, the best known one first.

    Raises:
        ConfigError: weights that no method here reads.
    """
    if weights == EMBEDDED:
        return _named(_embedded())
    mask = choose(True, (), weights, 1, 1)
    entries = [Entry(f"{mask.label}, by mask", mask, frozenset({"mask"}))]
    if weights != "imagenet" and not weights.startswith("timm/"):
        word = choose(False, ("object",), weights, 1, 1)
        entries.append(Entry(f"{word.label}, by word", word, frozenset({"word"}), (REFINED, BOX)))
    return _named(entries)


def _embedded() -> Iterator[Entry]:
    def entry(name: str, reads: str, *options: Option, **parameters: Any) -> Entry:
        chosen = {**parameters, "way": 1, "shot": 1}
        choice = Choice(tuple(chosen.items()), "chosen from the menu", 97)
        return Entry(name, choice, frozenset(reads.split()), options)

    dense, by_word = (POOLING, GAMMA), "pi_clip preset=scenes vvp=false"
    yield entry("PFENet", "mask", method="pfenet", head="shipped")
    yield entry(
        "PFENet with PI-CLIP", "mask word", method="pfenet", prior="pi_clip", head="shipped"
    )
    by_support = "clip_dinoiser variant=correspondence"
    yield entry("CLIP-DINOiser, by mask", "mask", *dense, method=by_support)
    yield entry("CLIP-DINOiser, by word", "word", *dense, method="clip_dinoiser variant=text")
    prior = "PI-CLIP's prior, by word"
    yield entry(prior, "word", REFINED, BOX, method="clip_prior", prior=by_word)
    yield entry("LFSS's mask, by word", "word", method="word_mask")
    yield entry("HDMNet", "mask", method="hdmnet", head="shipped", base="shipped")
    yield entry("PFENet's prior", "mask", method="prior_threshold")
    yield entry("nearest prototype", "mask", method="prototype")
    yield entry("GF-SAM's maps", "mask", method="gfsam_maps")


def _named(entries: Iterable[Entry]) -> dict[str, Entry]:
    return {entry.name: entry for entry in entries}


def adjusted(method: FewShotSegmenter, options: dict[Option, bool | float]) -> FewShotSegmenter:
    """The same networks and caches with other settings; the method given keeps its own."""
    changed = copy(method)
    for option, value in options.items():
        part = getattr(changed, option.part)
        other = copy(part)
        other.config = replace(part.config, **{option.field: value})
        changed._modules = {**changed._modules, option.part: other}
    return changed
