"""CLIP's ModifiedResNet as a dense encoder (MaskCLIP, the image side of LFSS; spec of LFSS a.1).

The attention pool weighs values by one query and projects the sum. Without the weighing, value and
output projection are two 1x1 convolutions that answer for every cell; the positional embedding is
left out, as MaskCLIP's weight conversion does. With q = k = 0 and no positions the attention is
uniform, and the pooled embedding is the mean of the dense map.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from fsslib.encoders.clip import ClipEncoder, Images, choose, resize_positions

POOLED = ("layer2", "layer3", "layer4")


class ClipResNet(ClipEncoder):
    """Dense CLIP with a ModifiedResNet image tower. The grid is the input's over `stride`."""

    @property
    def width(self) -> int:
        return self.visual.attnpool.v_proj.in_features

    @property
    def stride(self) -> int:
        """Pixels per cell."""
        return 4 * 2 ** sum(_pools(getattr(self.visual, name)) for name in POOLED)

    def features(
        self, images: Images, normalised: bool = False
    ) -> Float[Tensor, "b c rows columns"]:
        """layer4: what the attention pool reads. Pooling floors: 400 pixels give 12 cells."""
        hidden = self.visual.stem(self.inputs(images, normalised))
        for name in ("layer1", *POOLED):
            hidden = getattr(self.visual, name)(hidden)
        return hidden

    def encode_image(self, images: Images, normalised: bool = False) -> Float[Tensor, "b d"]:
        return attention_pool(self.visual.attnpool, self.features(images, normalised))

    def dense(
        self, images: Images, normalised: bool = False, variant: str | None = None
    ) -> Float[Tensor, "b d rows columns"]:
        """Features in the text space.

        Args:
            variant: "value" (MaskCLIP, and what None is), or "attention": every cell asks, as the
                mean token does.
        """
        path = choose(variant or "value", {"value": value_path, "attention": attention_path})
        return path(self.visual.attnpool, self.features(images, normalised))

    def pooled_and_dense(
        self, images: Images, normalised: bool = False
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b d rows columns"]]:
        features, pool = self.features(images, normalised), self.visual.attnpool
        return attention_pool(pool, features), value_path(pool, features)

    def keys(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Keys of the attention pool at every cell, for key smoothing."""
        return _conv(self.visual.attnpool.k_proj, features)


def value_path(pool: nn.Module, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
    """Eq. 1 of LFSS: c_proj(v_proj(x)) at every cell; no softmax, no mean token, no residual."""
    return _conv(pool.c_proj, _conv(pool.v_proj, features))


def attention_path(pool: nn.Module, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
    """What the attention pool answers when every cell asks; no positional embedding.

    MaskCLIP's code has it as an option. Attention mixes the whole image into every answer.
    """
    cells = features.flatten(2).transpose(1, 2)
    tokens = torch.cat([cells.mean(1, keepdim=True), cells], 1)
    parts = (pool.q_proj(cells), pool.k_proj(tokens), pool.v_proj(tokens))
    heads = [rearrange(part, "b n (h d) -> b h n d", h=pool.num_heads) for part in parts]
    mixed = rearrange(F.scaled_dot_product_attention(*heads), "b h n d -> b n (h d)")
    return pool.c_proj(mixed).transpose(1, 2).unflatten(2, features.shape[-2:])


def attention_pool(pool: nn.Module, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
    """The pooled embedding on a grid of any size.

    Positions are averaged for a coarser grid and interpolated (bilinear) for a finer one. Only the
    mean token asks, so keys and values are never made for every cell: q.(K x) = (K'q).x, and the
    weighted sum of values is the value of the weighted sum. Exact, and n times cheaper.
    """
    grid, positions = features.shape[-2:], pool.positional_embedding
    mode = "area" if grid[0] * grid[1] < len(positions) - 1 else "bilinear"
    cells = features.flatten(2).transpose(1, 2)  # (b, n, c)
    tokens = torch.cat([cells.mean(1, keepdim=True), cells], 1)
    tokens = tokens + resize_positions(positions, grid, mode).to(tokens.dtype)
    heads = pool.num_heads
    query = rearrange(pool.q_proj(tokens[:, 0]), "b (h d) -> b h d", h=heads)
    keys = rearrange(pool.k_proj.weight, "(h d) c -> h d c", h=heads)
    values = rearrange(pool.v_proj.weight, "(h d) c -> h d c", h=heads)
    projected_query = torch.einsum("bhd,hdc->bhc", query, keys) * query.shape[-1] ** -0.5
    # The keys' bias adds the same to every logit of a query: softmax does not see it.
    weights = torch.einsum("bhc,bnc->bhn", projected_query, tokens).softmax(-1)
    summed = torch.einsum("bhn,bnc->bhc", weights, tokens)
    pooled = torch.einsum("bhc,hdc->bhd", summed, values).flatten(1) + pool.v_proj.bias
    return pool.c_proj(pooled)


def stop_pooling(visual: nn.Module, stages: tuple[str, ...]) -> None:
    """Take the average pools out of `stages`: same weights, a grid twice as fine for each.

    A ModifiedResNet's strides are parameter-free pools, so this changes no tensor; the network
    then sees everything at another scale and needs some further training.
    """
    for first in (getattr(visual, name)[0] for name in stages):
        first.avgpool, first.stride = nn.Identity(), 1
        first.downsample[0] = nn.Identity()


def _pools(stage: nn.Sequential) -> bool:
    return not isinstance(stage[0].avgpool, nn.Identity)


def _conv(linear: nn.Linear, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
    """A linear layer as a 1x1 convolution."""
    return F.conv2d(features, linear.weight[:, :, None, None], linear.bias)
