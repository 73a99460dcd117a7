"""What every CNN backbone here has in common: stage taps, preprocessing, and being a value.

Few-shot segmentation reads a classification network at three depths (layer2, layer3, layer4) and
keeps it frozen, BatchNorm statistics included. One backbone may serve many methods: once frozen it
stays so, whatever is asked of a module around it. A method that trains it, or lets its BatchNorm
follow the training images as the released PFENet and QGNet code does, takes a copy (`copied`).

Where nothing is augmented, every epoch asks a frozen network the same: `remember` gives it a cache.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from fsslib.encoders.groups import in_groups
from fsslib.encoders.identity import Keyed
from fsslib.encoders.onednn import by_onednn
from fsslib.encoders.pass_cache import Cache, Made, PassCache

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Features = Float[Tensor, "b c h w"]


class Stages(NamedTuple):
    """Features of one forward pass; layer1 is not read by any method."""

    layer2: Features
    layer3: Features
    layer4: Features


class StageBackbone(Keyed):
    """Base class: `stem`, `layer1` … `layer4` as modules, one forward that taps them.

    Attributes:
        channels: output channels of layer2, layer3 and layer4.
        trainable: its weights learn; as it is constructed, until it is frozen.
        moving_statistics: frozen, yet in training mode when the method trains (see module text).
    """

    stem: nn.Module
    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module
    channels: tuple[int, int, int]

    def __init__(self) -> None:
        super().__init__()
        self.trainable, self.moving_statistics = True, False
        self.remember(PassCache())  # which keeps nothing
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)

    def preprocess(self, images: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """uint8 RGB 0..255 to normalised floats. The one place where images are normalised."""
        if images.dtype != torch.uint8:
            raise TypeError(
                f"images are {images.dtype}; expected uint8 RGB in 0..255, "
                "because preprocess() normalises and nobody should do it twice"
            )
        return (images.float() / 255 - self.mean) / self.std

    def stages(self, inputs: Float[Tensor, "b 3 h w"]) -> Stages:
        """Features of already normalised images."""
        layer2, layer3 = self.middle(inputs)
        return Stages(layer2, layer3, self.last(layer3))

    def forward(self, images: Shaped[Tensor, "b 3 h w"]) -> Stages:
        """Features of uint8 images."""
        layer2, layer3 = self._middle_of(images)
        return Stages(layer2, layer3, self.last(layer3))

    def middle(self, inputs: Float[Tensor, "b 3 h w"]) -> Made:
        """layer2 and layer3 of already normalised images."""
        return self.once("middle", inputs, self._middle)

    def _middle_of(self, images: Shaped[Tensor, "b 3 h w"]) -> Made:
        # Known by the bytes of the picture itself, which are a quarter of the normalised one's.
        return self.once("middle", images, lambda part: self._middle(self.preprocess(part)))

    def _middle(self, inputs: Tensor) -> Made:
        layer2 = self.layer2(self.layer1(self.stem(inputs)))
        return layer2, self.layer3(layer2)

    def last(
        self, layer3: Float[Tensor, "b c3 h3 w3"], mask: Float[Tensor, "b 1 h3 w3"] | None = None
    ) -> Float[Tensor, "b c4 h4 w4"]:
        """layer4, of layer3's features or of what a mask leaves of them."""
        if mask is None:
            return self.once("last", layer3, lambda part: (self.layer4(part),))[0]
        if self.cache.max_bytes or self._learns:
            return self.last(layer3 * mask)
        return in_groups(lambda part, inside: (self.layer4(part * inside),), layer3, mask)[0]

    def fine_features(self, images: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b c hf wf"]:
        """layer3 and layer2 of uint8 images side by side, on the grid of stride 8.

        Raises:
            ValueError: layer3 lies on a coarser grid.
        """
        return _side_by_side(*self._middle_of(images))

    def fine_inputs(self, inputs: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c hf wf"]:
        """The same of already normalised images."""
        return _side_by_side(*self.middle(inputs))

    def compile_stages(self) -> None:
        """Each stage by torch.compile, from its next pass on; answers differ in their last bits."""
        for stage in (self.stem, self.layer1, self.layer2, self.layer3, self.layer4):
            stage.compile()

    def remember(self, cache: Cache) -> StageBackbone:
        """Take what was said of the same pictures before from `cache`, as long as all weights are
        frozen.

        The one setting that is changed in place, for whoever builds a backbone; methods never call
        it. It changes no answer beyond the last bits: keys name the weights as they are now.
        """
        self.cache = cache
        return self

    @property
    def remembers(self) -> bool:
        """Whether answers are read from a cache, and kept in it."""
        return bool(self.cache.max_bytes) and not self._learns

    def once(self, what: str, inputs: Tensor, make: Callable[[Tensor], Made]) -> Made:
        """`make(inputs)`, or what the cache holds of it.

        Args:
            what: tells apart what is read of the same inputs.
        """
        if self._learns:
            return make(inputs)
        return self.cache.collect(
            lambda: f"{what}-{self.digest}", inputs, lambda part: in_groups(make, part)
        )

    @property
    def _learns(self) -> bool:
        """Weights or BatchNorm's statistics: then a batch is more than its pictures."""
        return self.training or not self.frozen

    @property
    def frozen(self) -> bool:
        return not any(parameter.requires_grad for parameter in self.parameters())

    def freeze(self) -> StageBackbone:
        """For good: no gradients, and evaluation mode whatever `train()` says. For whoever builds
        or trained a backbone; who is given one takes a copy."""
        return self._under(trainable=False, moving_statistics=False)

    def copied(self, trainable: bool = False, moving_statistics: bool = False) -> StageBackbone:
        """A copy with a policy of its own, which shares nothing but the cache.

        Args:
            trainable: its weights learn, and it follows `train()`.
            moving_statistics: its weights are frozen and it follows `train()`, so that BatchNorm's
                running statistics drift to the training images.
        """
        twin = deepcopy(self)
        twin.forget()
        return twin._under(trainable, moving_statistics)

    def _under(self, trainable: bool, moving_statistics: bool) -> StageBackbone:
        self.trainable, self.moving_statistics = trainable, moving_statistics
        return by_onednn(self.requires_grad_(trainable).train(False))

    def requires_grad_(self, requires_grad: bool = True) -> StageBackbone:
        """ValueError where a frozen backbone would learn: others may read it."""
        if requires_grad and not self.trainable:
            raise ValueError(
                "this backbone is frozen and others may read it; train copied(trainable=True)"
            )
        return super().requires_grad_(requires_grad)

    def train(self, mode: bool = True) -> StageBackbone:
        return super().train(mode and (self.trainable or self.moving_statistics))


def _side_by_side(layer2: Tensor, layer3: Tensor) -> Tensor:
    if layer2.shape[-2:] != layer3.shape[-2:]:
        raise ValueError(
            f"layer3 has {tuple(layer3.shape[-2:])} cells, layer2 {tuple(layer2.shape[-2:])}: "
            "no features on one grid; build the backbone with dilated=True"
        )
    return torch.cat([layer3, layer2], 1)
