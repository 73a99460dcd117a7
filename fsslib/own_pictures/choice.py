"""Which method answers, and why: what `method="auto"` takes of the weights at hand.

`WAYS` is a table, best first; the first row whose encoders and question fit is taken, and its
reason is part of the answer. For the embedded encoders the order is that of published scores on
Scenes-10i (`papermill_runs/published`); for others it is what needs no training, which this
repository has not measured.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fsslib.config import ConfigError
from fsslib.grammar import parse_group
from fsslib.methods.registry import METHODS
from fsslib.own_pictures.encoders import EMBEDDED, Encoder, encoder_of
from fsslib.own_pictures.words import all_known, require_known_words

if TYPE_CHECKING:
    from fsslib.methods.base import FewShotSegmenter

MEGABYTES = 512
"""Of memory for what encoders say of pictures, so that a second question on them is cheap."""
SCENES_SIDE, PHOTOGRAPH_SIDE = 97, 473
"""Sides of the networks' inputs in pixels: as trained here, and as published."""


@dataclass(frozen=True)
class Question:
    """What is known of the objects.

    Attributes:
        masks: whether supports and their masks are given.
        named: whether all classes have names; `known`: names that the embedded CLIPs have read.
    """

    masks: bool
    named: bool
    known: bool


@dataclass(frozen=True)
class Way:
    """One way to answer.

    Attributes:
        encoder: the family of `encoders.encoder_of` that it reads.
        masks, named, known: what it needs of the question.
        parameters: of the run template `evaluate`; "{weights}" stands for the encoder's text.
        side: of the network's square input, in pixels.
    """

    encoder: str
    parameters: Mapping[str, str]
    side: int = PHOTOGRAPH_SIDE
    masks: bool = False
    named: bool = False
    known: bool = False

    def fits(self, encoder: Encoder, question: Question) -> bool:
        """Whether it reads this encoder, and has all that it needs."""
        needs = ((self.masks, question.masks), (self.named, question.named))
        enough = all(had for needed, had in (*needs, (self.known, question.known)) if needed)
        return self.encoder == encoder.family and enough


WAYS = {
    "mask and word: PFENet on PI-CLIP's priors": Way(
        EMBEDDED,
        {"method": "pfenet", "prior": "pi_clip", "head": "shipped"},
        SCENES_SIDE,
        masks=True,
        known=True,
    ),
    "a mask alone: CLIP-DINOiser with supports": Way(
        EMBEDDED, {"method": "clip_dinoiser variant=correspondence"}, SCENES_SIDE, masks=True
    ),
    "a word alone: PI-CLIP's visual-text prior": Way(
        EMBEDDED,
        {"method": "clip_prior", "prior": "pi_clip preset=scenes vvp=false"},
        SCENES_SIDE,
        known=True,
    ),
    "nothing trained: the nearer of two prototypes": Way(
        "backbone", {"method": "prototype", "backbone": "{weights}"}, masks=True
    ),
    "nothing trained: FSSDINO's prototypes and Gram map": Way(
        "timm_vit", {"method": "fssdino preset=official", "encoder": "{weights}"}, masks=True
    ),
    "nothing trained: PI-CLIP's visual-text prior": Way(
        "open_clip",
        {"method": "clip_prior", "prior": "pi_clip preset=official vvp=false", "clip": "{weights}"},
        named=True,
    ),
    "nothing trained: PI-CLIP's visual prior": Way(
        "open_clip",
        {"method": "clip_prior", "prior": "pi_clip preset=official vtp=false", "clip": "{weights}"},
        masks=True,
    ),
}
"""By the reason, one clause that the answer gives; best first, for each family of encoders."""


@dataclass(frozen=True)
class Choice:
    """A method by the parameters of `evaluate`.

    Attributes:
        parameters: of the run template `evaluate`, as `-p NAME=VALUE` takes them.
        reason: one clause that says why, for the answer.
        image_size: of the network's square input, in pixels.
    """

    parameters: tuple[tuple[str, Any], ...]
    reason: str
    image_size: int

    @property
    def label(self) -> str:
        """What tables call it."""
        return self.config.label

    @property
    def config(self) -> Any:
        """The typed parameters.

        Raises:
            ConfigError: any that is unknown or impossible.
        """
        from fsslib.runs.config import parse

        return parse("evaluate", dict(self.parameters) | {"protocol": self._protocol})

    @property
    def _protocol(self) -> str:
        return f"scenes10i image_size={self.image_size}"


def choose(masks: bool, names: Sequence[str], weights: str, way: int, shot: int) -> Choice:
    """What answers best with these weights.

    Args:
        masks: whether supports and their masks are given; else a name must be.
        names: of the classes; empty where there are none.
        weights: "scenes", "imagenet", "dinov2", "dinov3", a tag of open_clip's ViT-B-16, or a
            network of timm, "timm/convnext_tiny"; see `encoders.encoder_of`.

    Raises:
        ConfigError: neither masks nor names, or weights that no method here reads.
    """
    if not masks and not names:
        raise ConfigError("neither masks nor class_name: mark the object, or name it")
    encoder = encoder_of(weights)
    question = Question(masks, bool(names), all_known(names))
    for reason, row in WAYS.items():
        if row.fits(encoder, question):
            filled = {k: v.format(weights=encoder.text) for k, v in row.parameters.items()}
            counts = {"way": way, "shot": shot}
            return Choice(tuple({**filled, **counts}.items()), reason, row.side)
    if encoder.family == EMBEDDED:
        require_known_words(names)
    raise ConfigError(
        f"weights={weights!r} without masks: this network knows no words; give masks, or a tag of "
        "open_clip such as weights='openai'"
    )


def stated(method: str, way: int, shot: int) -> Choice:
    """A method by name, with changes to its preset: "hdmnet", "clip_dinoiser variant=prototype"; on
    the embedded encoders, and with the head that ships where it needs one.

    Raises:
        ConfigError: a method that nobody knows.
    """
    kind = METHODS.get(parse_group("method", method)[0] or "")
    head = {"head": "shipped"} if kind.trainable else {}
    given = {"method": method, **head, "way": way, "shot": shot}
    return Choice(tuple(given.items()), "as asked", SCENES_SIDE)


@lru_cache(maxsize=4)
def build(choice: Choice) -> FewShotSegmenter:
    """The method, in evaluation mode; built once and kept.

    Raises:
        WeightsError: weights that cannot be had.
    """
    from fsslib.data.registry import load_benchmark
    from fsslib.runs.assembly import assemble, encoder_cache

    config = choice.config
    config.require_files()
    benchmark = load_benchmark(config.test_protocol)
    cache = encoder_cache(0, MEGABYTES)
    return assemble(config, benchmark, config.test_protocol, cache).eval()


def warn_of_drawings() -> None:
    """Said before an answer: what the embedded encoders have seen."""
    warnings.warn(
        f"weights={EMBEDDED!r}: the embedded encoders have seen drawings alone, and on photographs "
        "they miss most objects; give weights='imagenet', or a tag of open_clip such as 'openai'",
        stacklevel=4,
    )
