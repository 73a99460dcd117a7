"""The contract of every method: episodes in, logits and named maps out.

A method is an `nn.Module` with two calls. `forward` predicts and hands out every intermediate map
by the paper's name for it, so that lessons and widgets need no hooks; `loss` says what training
minimises, term by term.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NewType

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from fsslib.config import ConfigError
from fsslib.data.episode import IGNORE, Episode
from fsslib.encoders.stages import StageBackbone
from fsslib.encoders.storage import require_finite
from fsslib.methods.registry import METHODS as METHODS
from fsslib.methods.shapes import OfficialNames, Shapes
from fsslib.settings import Settings

PriorExtractor = NewType("PriorExtractor", StageBackbone)
"""A second backbone, pretrained without labels (QGNet)."""
Guidance = Literal["mask", "word", "image"]
"""What says where the object of a support is: its mask, a word, or nothing (the whole image)."""
BATCH_NORM_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class Prediction:
    """What a method says about a batch of B queries."""

    logits: Float[Tensor, "b n1 h w"]
    """Scores of background and the N classes, at the query image's size."""
    maps: dict[str, Tensor] = field(default_factory=dict)
    """Intermediate maps by the paper's name, (B,…,h,w)."""
    auxiliary_logits: tuple[Tensor, ...] = ()
    """Further predictions that only the loss looks at."""

    @property
    def mask(self) -> UInt8[Tensor, "b h w"]:
        """The most likely label of each pixel, 0 to N."""
        return self.logits.argmax(1).byte()


@dataclass(frozen=True)
class NoSettings(Settings):
    """Of methods and priors without a number to choose."""


class FewShotSegmenter(nn.Module, ABC):
    """Base class of all methods. Inputs are batched episodes (see `fsslib.data.episode.stack`).

    A class says about itself what others need to know to build, run and label it; nobody compares
    names. `build` makes one of its parts and settings.
    """

    name: ClassVar[str] = ""
    """In the registry `METHODS`."""
    config_class: ClassVar[type[Settings]] = NoSettings
    """Its settings and their presets."""
    parts: ClassVar[Mapping[str, Any]] = {"backbone": StageBackbone}
    """What it is built of: the constructor's parameters, and their types."""
    dilated: ClassVar[bool] = True
    """Whether its backbone has an output stride of 8; else it is as it classifies."""
    reads_prior: ClassVar[bool] = False
    """Whether a `PriorSource` can be plugged in."""
    fixed_prior: ClassVar[str | None] = None
    """The prior source whose map a baseline cuts; its settings can be given as `prior=`."""
    official_names: OfficialNames = ()
    """How the released code calls the tensors of its state dict, for `fsslib.interop`."""
    usual_preset: ClassVar[str] = "paper"
    """Of its settings, where none is named and the networks are not the embedded ones."""
    trainable: bool = True
    """False for methods without a single learned parameter of their own."""
    binary: bool = True
    """Whether it takes 1-way episodes only; `n_way.OneVersusRest` makes more of those."""
    frozen: tuple[str, ...] = ("backbone",)
    """Submodules that come trained and stay as they are; no part of the head."""
    reads_masks: bool = True
    """Whether the supports' masks are read; not where a word takes their place."""
    scored_maps: tuple[str, ...] = ()
    """Names of maps (B,1,h,w) of the query that a run scores beside its prediction: how well they
    point at the object, before anything is segmented."""

    @classmethod
    def configure(cls, preset: str, **changes: Any) -> Settings:
        """Its settings: a preset, and changes to it. Classes with one preset take it for any."""
        if changes and cls.config_class is NoSettings:
            raise ConfigError(f"settings={changes}: {cls.name!r} has none; leave them out")
        only = set(cls.config_class.presets()) == {"default"}
        return cls.config_class.preset("default" if only else preset, **changes)

    @classmethod
    def build(cls, config: Settings, **parts: Any) -> FewShotSegmenter:
        """One of these parts; those that the class does not declare have been sorted out."""
        return cls(**parts) if cls.config_class is NoSettings else cls(**parts, config=config)

    @classmethod
    def label(cls, config: Settings) -> str:
        """What its rows in tables are called."""
        return cls.name

    @classmethod
    def guided_by(cls, config: Settings) -> Guidance:
        """What its paper has say where a support's object is."""
        return "mask"

    @classmethod
    def reads_names(cls, config: Settings) -> bool:
        """Whether it reads the names of an episode's classes."""
        return False

    @classmethod
    def official_names_on(cls, backbone: StageBackbone) -> OfficialNames:
        """`official_names`, where these depend on the kind of backbone."""
        return cls.official_names

    @classmethod
    def shown_settings(cls, shapes: Shapes) -> dict[str, Any]:
        """Those of its settings that the shapes of its state dict show, for `fsslib.interop`; of a
        tuple whose values do not show, the number of its entries."""
        return {}

    @abstractmethod
    def forward(self, episodes: Episode) -> Prediction:
        """Predict the query masks. Reads support masks, never the query's."""

    def loss(self, prediction: Prediction, episodes: Episode) -> dict[str, Float[Tensor, ""]]:
        """Terms to be summed and minimised. Training-free methods have none."""
        raise TypeError(f"{type(self).__name__} is training-free: evaluate it, do not train it")

    def counted(self, term: str, episodes: Episode) -> Tensor | int:
        """How many things a term of `loss` is a mean over, so that parts of a batch can be weighed:
        pixels of the query masks that are not 255, unless a method says otherwise.

        The parts' gradients then add up to the whole batch's. With `accumulate`, cross-entropy with
        Dice in it is weighed as cross-entropy: nearly exact, for borders of 255 take as much of one
        picture as of another; several processes count them together. Balanced cross-entropy counts
        its classes in every part anew.
        """
        return (episodes.query_mask != IGNORE).sum()

    def read_ahead(self, episodes: Episode) -> None:
        """Read what a feature cache may hold of these episodes, for a `forward` of this very batch
        that comes later; changes no answer. A training calls it in a thread beside the step
        before, so that it must draw nothing and change nothing that a step reads. By default
        nothing is read."""

    def slow_parameters(self) -> list[nn.Parameter]:
        """What learns at a rate of its own (`TrainConfig.slow`)."""
        return []

    def head_state(self) -> dict[str, Tensor]:
        """The learned part of the state: everything but the frozen submodules, and of those the
        statistics that drift (`StageBackbone.moving_statistics`)."""
        parts = dict(self._frozen_parts())

        def learned(key: str) -> bool:
            inside = [drifting for path, drifting in parts.items() if key.startswith(f"{path}.")]
            return not inside or (any(inside) and key.split(".")[-1] in BATCH_NORM_STATISTICS)

        return {key: value for key, value in self.state_dict().items() if learned(key)}

    def _frozen_parts(self) -> Iterator[tuple[str, bool]]:
        """Paths of all submodules that come trained, those of parts too, and whether their
        statistics drift."""
        for path, module in self.named_modules():
            names = getattr(module, "frozen", ())
            for name in names if isinstance(names, tuple) else ():
                yield f"{path}.{name}" if path else name, _drifts(getattr(module, name, None))

    def load_head_state(self, state: dict[str, Tensor]) -> None:
        """Load what `head_state` gave; a mismatch names the keys, and so do values that are not
        finite (WeightsError)."""
        own = self.head_state()
        missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
        shapes = [
            f"{key}: file {tuple(state[key].shape)}, model {tuple(own[key].shape)}"
            for key in sorted(own.keys() & state.keys())
            if own[key].shape != state[key].shape
        ]
        if missing or unknown or shapes:
            raise ValueError(
                f"weights do not fit {type(self).__name__}: missing {missing[:5]}, unknown "
                f"{unknown[:5]}, other shapes {shapes[:5]}; build it with the settings of the run"
            )
        require_finite(state, f"head of {type(self).__name__}")
        self.load_state_dict(state, strict=False)


def _drifts(part: nn.Module | None) -> bool:
    return getattr(part, "moving_statistics", False)


class Around(FewShotSegmenter):
    """A method around another one: what is learned is the inner method's, and so is the loss."""

    def __init__(self, method: FewShotSegmenter) -> None:
        super().__init__()
        self.method = method
        self.trainable, self.binary = method.trainable, method.binary
        self.scored_maps, self.reads_masks = method.scored_maps, method.reads_masks

    def loss(self, prediction: Prediction, episodes: Episode) -> dict[str, Float[Tensor, ""]]:
        return self.method.loss(prediction, episodes)

    def counted(self, term: str, episodes: Episode) -> Tensor | int:
        return self.method.counted(term, episodes)

    def slow_parameters(self) -> list[nn.Parameter]:
        return self.method.slow_parameters()

    def head_state(self) -> dict[str, Tensor]:
        return self.method.head_state()

    def load_head_state(self, state: dict[str, Tensor]) -> None:
        self.method.load_head_state(state)


def vote(margins: Float[Tensor, "b k h w"]) -> Float[Tensor, "b h w"]:
    """HSNet's fusion of K predictions: positive where at least half as many of them say foreground
    as at the pixel where most do (not half of K).

    How far above or below, which only several classes beside each other ask (`OneVersusRest`), is
    the share of K that says so, and between equal shares the mean margin decides.

    Args:
        margins: of foreground over background, one for each shot.
    """
    votes = (margins > 0).float().sum(1)
    most = votes.amax((-2, -1), keepdim=True).clamp(min=1)
    share = (votes + margins.mean(1).sigmoid()) / (margins.shape[1] + 1)
    return torch.where(votes / most > 0.5 - 1e-4, share, share - 1)


def require_batch(episodes: Episode, method: str) -> None:
    """Methods take batches of episodes."""
    if not episodes.batched:
        raise ValueError(f"{method} takes batches; wrap a single episode in stack([episode])")


def require_one_way(episodes: Episode, method: str) -> None:
    """Binary methods take 1-way episodes; say so in words instead of a shape error."""
    require_batch(episodes, method)
    if episodes.way != 1:
        raise ValueError(
            f"{method} is a binary method and got {episodes.way}-way episodes; use way=1, or "
            "put OneVersusRest around it"
        )


def foreground(masks: UInt8[Tensor, "..."]) -> Float[Tensor, "..."]:
    """1 where a mask is exactly 1: support pixels marked 255 count as background."""
    return (masks == 1).float()


def binary_logits(foreground_score: Float[Tensor, "b h w"]) -> Float[Tensor, "b 2 h w"]:
    """Logits whose arg max is foreground exactly where the score is positive."""
    return torch.stack([torch.zeros_like(foreground_score), foreground_score], 1)
