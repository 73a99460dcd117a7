"""Which method answers, and why: what `method="auto"` takes of the weights at hand.

For the embedded encoders by published scores on Scenes-10i (`papermill_runs/published`); for others
what needs no training, which this repository has not measured.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fsslib.config import ConfigError
from fsslib.data.registry import load_benchmark
from fsslib.data.scenes import CLASS_NAMES
from fsslib.methods.base import FewShotSegmenter
from fsslib.runs.assembly import assemble, encoder_cache
from fsslib.runs.config import parse

EMBEDDED = "scenes"
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
        return parse("evaluate", dict(self.parameters) | {"protocol": self._protocol})

    @property
    def _protocol(self) -> str:
        return f"scenes10i image_size={self.image_size}"


def choose(masks: bool, names: Sequence[str], weights: str, way: int, shot: int) -> Choice:
    """What answers best with these weights.

    Args:
        masks: whether supports and their masks are given; else a name must be.
        names: of the classes; empty where there are none.
        weights: "scenes", "imagenet", a tag of open_clip's ViT-B-16, or a backbone of timm,
            "timm/convnext_tiny".

    Raises:
        ConfigError: neither masks nor names, or weights that no method here reads.
    """
    if not masks and not names:
        raise ConfigError("neither masks nor class_name: mark the object, or name it")
    counts = {"way": way, "shot": shot}
    if weights == EMBEDDED:
        return _embedded(masks, names, counts)
    if weights == "imagenet" or weights.startswith("timm/"):
        if not masks:
            raise ConfigError(
                f"weights={weights!r} without masks: this network knows no words; give masks, or a "
                "tag of open_clip such as weights='openai'"
            )
        backbone = "resnet50 weights=imagenet" if weights == "imagenet" else weights
        chosen = {"method": "prototype", "backbone": backbone, **counts}
        return Choice(tuple(chosen.items()), "nothing trained: the nearer of two prototypes", 473)
    return _open_clip(masks, bool(names), weights, counts)


def _embedded(masks: bool, names: Sequence[str], counts: dict[str, int]) -> Choice:
    known = all(name in CLASS_NAMES for name in names) and bool(names)
    if masks and known:
        chosen = {"method": "pfenet", "prior": "pi_clip", "head": "shipped"}
        reason = "mask and word: PFENet on PI-CLIP's priors"
    elif masks:
        chosen = {"method": "clip_dinoiser variant=correspondence"}
        reason = "a mask alone: CLIP-DINOiser with supports"
    else:
        require_known_words(names, EMBEDDED)
        chosen = {"method": "clip_prior", "prior": "pi_clip preset=scenes vvp=false"}
        reason = "a word alone: PI-CLIP's visual-text prior"
    return Choice(tuple({**chosen, **counts}.items()), reason, 97)


def _open_clip(masks: bool, named: bool, tag: str, counts: dict[str, int]) -> Choice:
    """Priors of a published CLIP, which nothing has been trained on."""
    network = "ViT-B-16-quickgelu" if tag in ("openai", "dfn2b") else "ViT-B-16"
    prior = "pi_clip preset=official vvp=false" if named else "pi_clip preset=official vtp=false"
    chosen = {"method": "clip_prior", "prior": prior, "clip": f"{network} weights={tag}"}
    reason = "nothing trained: PI-CLIP's visual-text prior" if named else "PI-CLIP's visual prior"
    return Choice(tuple({**chosen, **counts}.items()), reason, 473)


def require_known_words(names: Sequence[str], weights: str) -> None:
    """ConfigError for words that the embedded CLIPs have never read; suggests near ones."""
    if weights != EMBEDDED:
        return
    for name in names:
        if name not in CLASS_NAMES:
            near = difflib.get_close_matches(name, CLASS_NAMES, 3, 0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"such as {CLASS_NAMES[0]!r}"
            raise ConfigError(
                f"class_name={name!r}: the embedded CLIPs know 40 words, {hint} For any word give "
                "weights of a published CLIP, such as weights='openai'"
            )


@lru_cache(maxsize=4)
def build(choice: Choice) -> FewShotSegmenter:
    """The method, in evaluation mode; built once and kept.

    Raises:
        WeightsError: weights that cannot be had.
    """
    config = choice.config
    benchmark = load_benchmark(config.test_protocol)
    cache = encoder_cache(0, MEGABYTES)
    return assemble(config, benchmark, config.test_protocol, cache).eval()


def warn_of_drawings(weights: str) -> None:
    """Said before an answer: what the embedded encoders have seen."""
    warnings.warn(
        f"weights={weights!r}: the embedded encoders have seen drawings alone, and on photographs "
        "they miss most objects; give weights='imagenet', or a tag of open_clip such as 'openai'",
        stacklevel=4,
    )
