"""ProxyCLIP's attention: who belongs together is asked of another model (Lan et al., ECCV 2024).

    c = U[e]' U[e],   z = gamma (c - beta mean c),   z < 0 -> -inf,   weights = softmax over cells

for grid features e of the same picture. The released code takes the mean over the whole batch and
swaps rows and columns of the values (`official`); here each picture has a mean of its own. A row
without any score left, which the code turns into NaN, looks at itself alone.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fsslib.encoders.attention_config import AttentionConfig, Facet
from fsslib.encoders.clip import Images
from fsslib.encoders.dino import DINOS, Dino, load_dino
from fsslib.encoders.last_attention import Grid, last_block
from fsslib.fp32 import in_fp32

GridFeatures = Callable[[Images], Float[Tensor, "b c rows columns"]]
"""uint8 RGB pictures to features of their cells; any encoder will do."""


@in_fp32
def proxy_scores(
    features: Float[Tensor, "b c h w"], config: AttentionConfig
) -> Float[Tensor, "b n n"]:
    """z: what is left of the cosines between cells, -inf where they are cut.

    Args:
        features: not normalised, from any model.
    """
    unit = F.normalize(features.flatten(2), dim=1)
    cosines = unit.mT @ unit
    mean = cosines.mean() if config.official else cosines.mean((1, 2), keepdim=True)
    scores = config.gamma * (cosines - config.beta * mean)
    return scores.masked_fill(scores < 0, -torch.inf)


@in_fp32
def proxy_weights(
    features: Float[Tensor, "b c h w"], config: AttentionConfig
) -> Float[Tensor, "b n n"]:
    """What each cell looks at; rows sum to 1. Cells are those of `features`, row by row."""
    scores = proxy_scores(features, config)
    lonely = scores.isneginf().all(-1)  # not even its own cosine is above beta times the mean
    scores = scores.masked_fill(torch.diag_embed(lonely), 0.0)
    return scores.softmax(-1)


class CentredFeatures(nn.Module):
    """Features seen from their mean over the picture."""

    def __init__(self, features: GridFeatures) -> None:
        super().__init__()
        self.features = features

    def forward(self, images: Images) -> Float[Tensor, "b c rows columns"]:
        cells = self.features(images)
        return cells - cells.mean((2, 3), keepdim=True)


class DinoFeatures(nn.Module):
    """A DINO's grid features: tokens after the last norm, or a facet of the last block.

    Args:
        centred: see them from their mean over the picture; None: as the DINO does with its facets.
    """

    def __init__(self, dino: Dino, facet: Facet = "tokens", centred: bool | None = None) -> None:
        super().__init__()
        self.dino, self.facet = dino, facet
        self.centred = dino.centred if centred is None else centred

    def forward(self, images: Images) -> Float[Tensor, "b c rows columns"]:
        if self.facet == "tokens":
            cells = self.dino(images)[:, 1:].mT.unflatten(2, self.dino.grid(images.shape[-2:]))
        else:
            cells = self.dino.facet(images, self.facet)
        return cells - cells.mean((2, 3), keepdim=True) if self.centred else cells


class LastAttention(nn.Module):
    """An attention of CLIP's last block, with its proxy if it has one.

    Args:
        features: what "proxy" compares. A network's weights become part of cache keys; of a plain
            function only the name does.
    """

    def __init__(self, config: AttentionConfig, features: GridFeatures | None = None) -> None:
        super().__init__()
        self.config, self.spelled = config, str(config)
        if (config.scores == "proxy") != (features is not None):
            raise ValueError(
                f"attention={self.spelled!r} with{'' if features is not None else 'out'} proxy "
                "features: scores='proxy' needs them, and nothing else reads any"
            )
        self.features = features

    def forward(
        self,
        block: nn.Module,
        tokens: Float[Tensor, "b n c"],
        grid: Grid,
        pictures: Callable[[], Images],
        inside: Float[Tensor, "b n c"] | None = None,
    ) -> tuple[Float[Tensor, "b k c"], Grid]:
        """The last block's tokens, class token first, and the grid of their cells.

        Args:
            pictures: gives them as uint8 RGB; asked by a proxy alone.
        """
        if self.features is None:
            return last_block(block, tokens, grid, self.config, inside=inside), grid
        with torch.no_grad():
            features = self.features(pictures())
        weights, finer = proxy_weights(features, self.config), tuple(features.shape[-2:])
        out = last_block(block, tokens, grid, self.config, weights, finer, inside)
        return out, finer


def require_clip_norm(last: LastAttention | None, parameter: str, norm: str) -> None:
    """ValueError where a proxy would get pictures back from other statistics than CLIP's."""
    if last is not None and last.features is not None and norm != "clip":
        raise ValueError(
            f"{parameter}={norm!r} with attention={last.spelled!r}: a proxy's pictures are made of "
            f"those that CLIP's statistics normalised; use {parameter}='clip'"
        )


def load_attention(text: str) -> LastAttention:
    """`"naclip sigma=1"` or `"proxy centred=false"`: a paper's name, and changes to it.

    Raises:
        ConfigError: unknown name or change. WeightsError: a proxy's weights cannot be had.
    """
    config = AttentionConfig.parse("attention", text)
    return LastAttention(config, load_proxy(config) if config.scores == "proxy" else None)


def load_proxy(config: AttentionConfig) -> GridFeatures:
    """The proxy that an attention names: a DINO, or any other encoder of cells (ViTs: their tokens
    after the final norm).

    Raises:
        ValueError: unknown name, or a facet that it has not. WeightsError: its weights cannot be
            had.
    """
    from fsslib.encoders.grid_encoders import build_grid_encoder, usual_weights  # which loads CLIPs

    weights = config.proxy_weights or usual_weights(config.proxy)
    if config.proxy in DINOS:
        return DinoFeatures(load_dino(config.proxy, weights), config.facet, config.centred)
    facet = None if config.facet == "tokens" else config.facet
    encoder = build_grid_encoder(config.proxy, weights, facet)
    return CentredFeatures(encoder) if config.centred else encoder
