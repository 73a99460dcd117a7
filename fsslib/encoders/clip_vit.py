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
    choose,
    resize_positions,
)
from fsslib.encoders.clip_attention import (
    around_mlp,
    block_attention,
    residual_path,
    through,
    value_path,
    with_attention,
)


class ClipViT(ClipEncoder):
    """Dense CLIP with a ViT image tower. Sides that are no multiple of the patch are cut.

    Args:
        positions: how position embeddings are resized: "bicubic" (CLIP-DINOiser) or "bilinear"
            (PI-CLIP); always by size, without antialias, from the pristine copy.
    """

    def __init__(
        self, model: CLIP, tokenizer: Tokenizer, name: str = "clip", positions: Resize = "bicubic"
    ) -> None:
        super().__init__(model, tokenizer, name)
        self.positions = positions

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
        last, hidden = self.blocks[-1], self.entering_last(images, normalised)
        pooled = self._pooled(through(last, hidden))
        return pooled, self._cells(residual_path(last, hidden), images.shape[-2:])

    def entering_last(self, images: Images, normalised: bool) -> Float[Tensor, "b tokens c"]:
        """What the last block reads."""
        hidden = self.embed(images, normalised)
        for block in self.blocks[:-1]:
            hidden = through(block, hidden)
        return hidden

    def _pooled(self, hidden: Float[Tensor, "b tokens c"]) -> Float[Tensor, "b d"]:
        pooled, _ = self.visual._pool(hidden)
        return pooled if self.visual.proj is None else pooled @ self.visual.proj

    def _cells(
        self, hidden: Float[Tensor, "b tokens c"], size: Sequence[int]
    ) -> Float[Tensor, "b d rows columns"]:
        """Patch tokens in the text space, as a map; the class token is dropped."""
        cells = self.visual.ln_post(hidden[:, 1:])
        if self.visual.proj is not None:
            cells = cells @ self.visual.proj
        return cells.transpose(1, 2).unflatten(2, self.grid(size))

    def tokens(
        self, images: Images, blocks: Sequence[int], normalised: bool = False
    ) -> list[Float[Tensor, "b tokens c"]]:
        """Outputs (residual stream) of the asked `blocks`, in the order asked; -1 is the last."""
        wanted = self.indices(blocks)
        hidden, kept = self.embed(images, normalised), {}
        for index in range(max(wanted) + 1):
            hidden = through(self.blocks[index], hidden)
            if index in wanted:
                kept[index] = hidden
        return [kept[index] for index in wanted]

    def attention(
        self, images: Images, blocks: Sequence[int], normalised: bool = False
    ) -> Float[Tensor, "b blocks tokens tokens"]:
        """Attention of the asked `blocks`, mean over heads; row i is what token i looks at.

        Maps of other blocks are never made: memory is one (n x n) map per asked block and image,
        and one per head for the block at work.
        """
        wanted = self.indices(blocks)
        hidden, kept = self.embed(images, normalised), {}
        for index in range(max(wanted) + 1):
            block = self.blocks[index]
            if index == max(wanted):
                kept[index] = block_attention(block, hidden)
            elif index in wanted:
                hidden, kept[index] = with_attention(block, hidden)
            else:
                hidden = through(block, hidden)
        return torch.stack([kept[index] for index in wanted], 1)

    def dense(
        self, images: Images, normalised: bool = False, variant: str = "residual"
    ) -> Float[Tensor, "b d rows columns"]:
        """Features in the text space; the last block's attention is skipped where it can be.

        Args:
            variant: "residual" (value path with residual and MLP: MaskCLIP, CLIP-DINOiser),
                "value" (the projected value alone, as in the ResNet), or "attention" (the last
                block as it is).
        """
        paths = {"residual": residual_path, "value": value_path, "attention": through}
        path = choose(variant, paths)
        hidden = path(self.blocks[-1], self.entering_last(images, normalised))
        return self._cells(hidden, images.shape[-2:])

    def tapped_and_dense(
        self, images: Images, normalised: bool = False, tap: int = -3
    ) -> tuple[Float[Tensor, "b c rows columns"], Float[Tensor, "b d rows columns"]]:
        """What the MLP of block `tap` reads (CLIP-DINOiser's heads look at it), and `dense`.

        One pass; the last block's attention is only computed if it is the one tapped.
        """
        (wanted,) = self.indices([tap])
        hidden, read = self.embed(images, normalised), None
        for index, block in enumerate(self.blocks):
            entering = hidden
            if index == wanted:
                hidden, read = around_mlp(block, entering)
            elif index < len(self.blocks) - 1:
                hidden = through(block, entering)
        tapped = read[:, 1:].transpose(1, 2).unflatten(2, self.grid(images.shape[-2:]))
        return tapped, self._cells(residual_path(self.blocks[-1], entering), images.shape[-2:])

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
