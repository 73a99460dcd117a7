"""Which method answers, and why: what `method="auto"` takes of the weights at hand.

`ways.WAYS` is a table, best first; the first row whose encoders and question fit is taken, and its
reason is part of the answer. `WAYS.md` shows the scores that it is made by.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsslib.config import ConfigError
from fsslib.grammar import format_group, parse_group
from fsslib.methods.registry import METHODS
from fsslib.own_pictures.encoders import EMBEDDED, encoder_of
from fsslib.own_pictures.ways import PHOTOGRAPH_SIDE, SCENES_SIDE, WAYS, Question
from fsslib.own_pictures.words import all_known, require_known_words

if TYPE_CHECKING:
    from fsslib.methods.base import FewShotSegmenter

MEGABYTES = 512
"""Of memory for what encoders say of pictures, so that a second question on them is cheap."""


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
    question = Question(masks, bool(names), all_known(names), way > 1)
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
    parameters = {"method": method, **head, "way": way, "shot": shot}
    return Choice(tuple(parameters.items()), "as asked", SCENES_SIDE)


def talk_to_dino(
    text_map: Path | str,
    encoder: str = "timm/vit_base_patch14_reg4_dinov2",
    clip: str = "ViT-B-16-quickgelu weights=openai",
    way: int = 1,
) -> Choice:
    """Talk2DINO's words, for `segment(query, class_name="dog", method=talk_to_dino("map.pth"))`.

    Args:
        text_map: its authors' file, which has no licence: none is shipped or downloaded.
        encoder, clip: the networks that it was learned on.
        way: the number of names.
    """
    parts = format_group(None, {"text_map": str(text_map)})
    parameters = {"method": "talk2dino", "encoder": encoder, "clip": clip, "parts": parts}
    return Choice(tuple({**parameters, "way": way, "shot": 1}.items()), "as asked", PHOTOGRAPH_SIDE)


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
