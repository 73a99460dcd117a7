"""CLIP's Vision Transformer as a dense encoder: tokens, attention maps and MaskCLIP features.

The image tower is walked block by block, so that any block's tokens or attention can be asked for
and nothing else is kept. Sources: CLIP-DINOiser (dense features, bicubic positions), PI-CLIP
(tokens of the last blocks, head-mean attention, bilinear positions).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from open_clip import CLIP
from torch import Tensor, nn

from fsslib.encoders.clip import (
    ClipEncoder,
    Images,
    Resize,
    Tokenizer,
    resize_positions,
)
from fsslib.encoders.clip_attention import (
    around_mlp,
    block_attention,
    through,
    with_attention,
)
from fsslib.encoders.proxy import LastAttention, load_attention

RESIDUAL = load_attention("residual")
MASKCLIP = {"value": "maskclip", "attention": "clip"}


class ClipViT(ClipEncoder):
    """Dense CLIP with a ViT image tower. Sides that are no multiple of the patch are cut.

    Args:
        positions: how position embeddings are resized: "bicubic" (CLIP-DINOiser), "bilinear"
            (PI-CLIP) or "scaled" (NACLIP and its line); without antialias, from the pristine copy.
        attention: of the last block, wherever dense features or its tokens are read. None: what
            each reader is used to, "residual" for dense features, the block as it is for PI-CLIP.
    """

    def __init__(
        self,
        model: CLIP,
        tokenizer: Tokenizer,
        name: str = "clip",
        positions: Resize = "bicubic",
        attention: LastAttention | str | None = None,
    ) -> None:
        super().__init__(model, tokenizer, name)
        self.positions = positions
        self.last = load_attention(attention) if isinstance(attention, str) else attention

    def attending(self, attention: LastAttention | str | None) -> ClipViT:
        """The same network with another last attention; this one keeps its own."""
        other = ClipViT(self.model, self.tokenizer, self.name, self.positions, attention)
        return other.to(self.logit_scale.device).train(self.training)

    def extra_repr(self) -> str:
        return f"positions={self.positions!r}"

    @property
    def width(self) -> int:
        return self.visual.conv1.out_channels

    @property
    def stride(self) -> int:
        """Pixels per cell."""
        return self.visual.conv1.stride[0]

    @property
    def blocks(self) -> nn.ModuleList:
        return self.visual.transformer.resblocks

    def embed(self, images: Images, normalised: bool = False) -> Float[Tensor, "b tokens c"]:
        """Tokens that enter the first block: class token first, then the cells row by row."""
        visual = self.visual
        cells = visual.conv1(self.inputs(images, normalised))  # (b, c, h, w)
        grid = cells.shape[-2:]
        cells = cells.flatten(2).transpose(1, 2)
        token = visual.class_embedding.to(cells.dtype).expand(len(cells), 1, -1)
        positions = resize_positions(visual.positional_embedding, grid, self.positions)
        tokens = torch.cat([token, cells], 1) + positions.to(cells.dtype)
        return visual.ln_pre(visual.patch_dropout(tokens))

    def encode_image(self, images: Images, normalised: bool = False) -> Float[Tensor, "b d"]:
        return self._pooled(through(self.blocks[-1], self.entering_last(images, normalised)))

    def pooled_and_dense(
        self, images: Images, normalised: bool = False
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b d rows columns"]]:
        hidden = self.entering_last(images, normalised)
        pooled = self._pooled(through(self.blocks[-1], hidden))
        return pooled, self._cells(*self.leaving_last(hidden, images, normalised))

    def entering_last(self, images: Images, normalised: bool) -> Float[Tensor, "b tokens c"]:
        """What the last block reads."""
        hidden = self.embed(images, normalised)
        for block in self.blocks[:-1]:
            hidden = through(block, hidden)
        return hidden

    def leaving_last(
        self,
        hidden: Float[Tensor, "b n c"],
        images: Images,
        normalised: bool,
        usual: LastAttention = RESIDUAL,
        inside: Float[Tensor, "b n c"] | None = None,
    ) -> tuple[Float[Tensor, "b k c"], tuple[int, int]]:
        """Tokens after the last block, by the encoder's attention or the `usual` one, and their
        grid, which is a proxy's where there is one.

        Args:
            inside: what the attention reads, for gradients of it; None: `ln_1` of `hidden`.
        """
        last, grid = self.last or usual, self.grid(images.shape[-2:])
        return last(self.blocks[-1], hidden, grid, lambda: self._seen(images, normalised), inside)

    def _seen(self, images: Images, normalised: bool) -> Images:
        """Pictures as uint8, for a proxy, which normalises them itself."""
        if not normalised:
            return images
        mean, std = self.clip_statistics
        return ((images * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)

    def _pooled(self, hidden: Float[Tensor, "b tokens c"]) -> Float[Tensor, "b d"]:
        pooled, _ = self.visual._pool(hidden)
        return pooled if self.visual.proj is None else pooled @ self.visual.proj

    def _cells(
        self, hidden: Float[Tensor, "b tokens c"], grid: tuple[int, int]
    ) -> Float[Tensor, "b d rows columns"]:
        """Patch tokens in the text space, as a map; the class token is dropped."""
        cells = self.visual.ln_post(hidden[:, 1:])
        if self.visual.proj is not None:
            cells = cells @ self.visual.proj
        return cells.transpose(1, 2).unflatten(2, grid)

    def tokens(
        self, images: Images, blocks: Sequence[int], normalised: bool = False
    ) -> list[Float[Tensor, "b tokens c"]]:
        """Outputs (residual stream) of the asked `blocks`, in the order asked; -1 is the last."""
        indices = self.indices(blocks)
        hidden, outputs = self.embed(images, normalised), {}
        for index in range(max(indices) + 1):
            hidden = through(self.blocks[index], hidden)
            if index in indices:
                outputs[index] = hidden
        return [outputs[index] for index in indices]

    def attention(
        self, images: Images, blocks: Sequence[int], normalised: bool = False
    ) -> Float[Tensor, "b blocks tokens tokens"]:
        """Attention of the asked `blocks`, mean over heads; row i is what token i looks at.

        Maps of other blocks are never made: memory is one (n x n) map per asked block and image,
        and one per head for the block at work.
        """
        indices = self.indices(blocks)
        hidden, maps = self.embed(images, normalised), {}
        for index in range(max(indices) + 1):
            block = self.blocks[index]
            if index == max(indices):
                maps[index] = block_attention(block, hidden)
            elif index in indices:
                hidden, maps[index] = with_attention(block, hidden)
            else:
                hidden = through(block, hidden)
        return torch.stack([maps[index] for index in indices], 1)

    def dense(
        self, images: Images, normalised: bool = False, variant: LastAttention | str | None = None
    ) -> Float[Tensor, "b d rows columns"]:
        """Features in the text space, on the grid of cells, or of a proxy.

        Args:
            variant: an attention of the last block such as "naclip sigma=1"; "value" and
                "attention" are MaskCLIP's words for "maskclip" and "clip". None: the encoder's
                own, or else "residual" (MaskCLIP in CLIP-DINOiser).
        """
        if variant is not None:
            variant = MASKCLIP.get(variant, variant) if isinstance(variant, str) else variant
            return self.attending(variant).dense(images, normalised)
        hidden = self.entering_last(images, normalised)
        return self._cells(*self.leaving_last(hidden, images, normalised))

    def tapped_and_dense(
        self, images: Images, normalised: bool = False, tap: int = -3
    ) -> tuple[Float[Tensor, "b c rows columns"], Float[Tensor, "b d rows columns"]]:
        """What the MLP of block `tap` reads (CLIP-DINOiser's heads look at it), and `dense`.

        One pass; the last block's attention is only computed if it is the one tapped.
        """
        (tapped_index,) = self.indices([tap])
        hidden, read = self.embed(images, normalised), None
        for index, block in enumerate(self.blocks):
            entering = hidden
            if index == tapped_index:
                hidden, read = around_mlp(block, entering)
            elif index < len(self.blocks) - 1:
                hidden = through(block, entering)
        tapped = read[:, 1:].transpose(1, 2).unflatten(2, self.grid(images.shape[-2:]))
        return tapped, self._cells(*self.leaving_last(entering, images, normalised))

    def grid(self, size: Sequence[int]) -> tuple[int, int]:
        """Cells (rows, columns) of an image of `size` pixels."""
        return size[0] // self.stride, size[1] // self.stride

    def indices(self, blocks: Sequence[int]) -> list[int]:
        """Non-negative numbers of blocks; ValueError names those there are."""
        count = len(self.blocks)
        wrong = [block for block in blocks if not -count <= block < count]
        if wrong or not blocks:
            raise ValueError(
                f"blocks={list(blocks)}: {self.name} has blocks 0 to {count - 1} "
                f"(or -{count} to -1); ask for at least one"
            )
        return [block % count for block in blocks]
