"""Who draws the masks of points: SAM, or one of two stand-ins that work offline.

A maker is given a picture and its features and returns a mask generator, a callable from points to
masks (`priors/point_masks.py`). Anyone's own is a `MaskMaker`, given to `build_method` as `masks=`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float, UInt8
from torch import Tensor, nn

from fsslib.config import ConfigError
from fsslib.encoders.sam import USUAL_SAM, Sam, load_sam
from fsslib.files import local_path
from fsslib.priors.point_masks import PointMasks, cluster_masks, superpixel_masks


class MaskMaker(nn.Module, ABC):
    """A picture -> a mask generator for it."""

    name: str

    @abstractmethod
    def forward(
        self, image: UInt8[Tensor, "3 rows columns"], features: Float[Tensor, "c h w"]
    ) -> PointMasks:
        """Args: features: of the picture, as the method compares them."""


class Superpixels(MaskMaker):
    """Felzenszwalb's segments of several scales; colours alone."""

    name = "superpixels"

    def forward(
        self, image: UInt8[Tensor, "3 rows columns"], features: Float[Tensor, "c h w"]
    ) -> PointMasks:
        return superpixel_masks(image)


class FeatureClusters(MaskMaker):
    """INSID3's agglomerative clusters of the picture's own features."""

    name = "clusters"

    def __init__(self, tau: float = 0.6) -> None:
        super().__init__()
        self.tau = tau

    def forward(
        self, image: UInt8[Tensor, "3 rows columns"], features: Float[Tensor, "c h w"]
    ) -> PointMasks:
        return cluster_masks(features, image.shape[-2:], self.tau)


class SamMasks(MaskMaker):
    """SAM or SAM 2."""

    name = "sam"

    def __init__(self, sam: Sam) -> None:
        super().__init__()
        self.sam = sam

    def forward(
        self, image: UInt8[Tensor, "3 rows columns"], features: Float[Tensor, "c h w"]
    ) -> PointMasks:
        device = next(self.sam.parameters()).device
        draw = self.sam.of(image.to(device))
        return lambda points: draw(points.to(device)).to(points.device)


STAND_INS: dict[str, type[MaskMaker]] = {kind.name: kind for kind in (FeatureClusters, Superpixels)}
"""Makers that need no weights."""


def require_mask_maker(text: str) -> None:
    """ConfigError unless `build_mask_maker` knows the text."""
    known = text in STAND_INS or text == SamMasks.name
    if not known and "/" not in text and not (text and local_path(text).is_dir()):
        raise ConfigError(
            f"masks={text!r}: expected one of {[*STAND_INS, SamMasks.name]}, a SAM's name on the "
            f"hub such as {USUAL_SAM}, or the folder of one"
        )


def build_mask_maker(text: str = FeatureClusters.name) -> MaskMaker:
    """ "clusters", "superpixels", "sam", or a SAM's name on the hub or folder.

    Raises:
        ConfigError: none of these. WeightsError: a SAM that cannot be had.
    """
    require_mask_maker(text)
    if text in STAND_INS:
        return STAND_INS[text]()
    return SamMasks(load_sam(USUAL_SAM if text == SamMasks.name else text))
