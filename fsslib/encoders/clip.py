"""CLIP as a dense encoder: what the ResNet and the ViT family have in common.

open_clip builds and loads the model; the classes here walk through its modules themselves, so that
inner features and attention maps are return values, not the loot of forward hooks. `clip_resnet.py`
and `clip_vit.py` hold the two image towers, `clip_loading.py` says where models come from.

Traps handled here: images are normalised once, by `preprocess`; text is cut to its longest sentence
before the text tower runs (causal attention makes that exact); inputs of any size are taken.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Shaped
from open_clip import CLIP
from open_clip.transformer import text_global_pool
from torch import Tensor, nn

from fsslib.encoders.identity import Keyed, package_versions, state_digest
from fsslib.encoders.onednn import by_onednn
from fsslib.encoders.pass_cache import arithmetic
from fsslib.encoders.prompts import Templates, prompt_ensemble, resolve_templates
from fsslib.encoders.stages import IMAGENET_MEAN, IMAGENET_STD
from fsslib.encoders.weights import cached_tensor

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
STATISTICS = {"clip": (CLIP_MEAN, CLIP_STD), "imagenet": (IMAGENET_MEAN, IMAGENET_STD)}

Norm = Literal["clip", "imagenet"]
Resize = Literal["bilinear", "bicubic", "area", "scaled"]
Images = Shaped[Tensor, "b 3 h w"]
Tokenizer = Callable[[Sequence[str]], Int64[Tensor, "texts length"]]


class ClipEncoder(Keyed, ABC):
    """A frozen CLIP that answers for every pixel.

    Methods that take images want uint8 RGB and normalise it themselves; with `normalised=True`
    they want what `preprocess` returns.

    Attributes:
        model: open_clip's model, its parameters under open_clip's names.
        name: what it was loaded as; goes into cache keys.
        width: channels of the image tower's last features.
        dim: channels of the space shared with text.
    """

    width: int

    def __init__(self, model: CLIP, tokenizer: Tokenizer, name: str = "clip") -> None:
        super().__init__()
        self.model, self.tokenizer, self.name = model, tokenizer, name
        for norm, statistics in STATISTICS.items():
            values = torch.tensor(statistics)[:, :, None, None]
            self.register_buffer(f"{norm}_statistics", values, persistent=False)

    @property
    def visual(self) -> nn.Module:
        return self.model.visual

    @property
    def dim(self) -> int:
        return self.visual.output_dim

    @property
    def logit_scale(self) -> Float[Tensor, ""]:
        """1 / temperature, as learned."""
        return self.model.logit_scale.exp()

    def preprocess(self, images: Images, norm: Norm = "clip") -> Float[Tensor, "b 3 h w"]:
        """uint8 RGB 0..255 to normalised floats.

        Args:
            norm: "clip", or "imagenet" as MaskCLIP's and PI-CLIP's code feed it.
        """
        if images.dtype != torch.uint8:
            raise TypeError(
                f"images are {images.dtype}; expected uint8 RGB in 0..255. Tensors that went "
                "through preprocess() already are passed with normalised=True"
            )
        mean, std = getattr(self, f"{norm}_statistics")
        return (images.float() / 255 - mean) / std

    def inputs(self, images: Images, normalised: bool) -> Float[Tensor, "b 3 h w"]:
        """Network inputs: images through `preprocess` unless they have been there."""
        if not normalised:
            return self.preprocess(images)
        if not images.is_floating_point():
            raise TypeError(f"normalised=True, but images are {images.dtype}: leave it out")
        return images

    @abstractmethod
    def encode_image(self, images: Images, normalised: bool = False) -> Float[Tensor, "b d"]:
        """Global embedding of each image, not normalised to unit length."""

    @abstractmethod
    def dense(
        self, images: Images, normalised: bool = False, variant: str | None = None
    ) -> Float[Tensor, "b d rows columns"]:
        """Features in the text space, one per cell, not normalised to unit length.

        Args:
            variant: what the last attention is replaced by; None: the encoder's own choice.
        """

    @abstractmethod
    def pooled_and_dense(
        self, images: Images, normalised: bool = False
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b d rows columns"]]:
        """`encode_image` and `dense` from one pass through the trunk they share."""

    @torch.no_grad()
    def encode_text(
        self, names: Sequence[str], templates: Templates = "imagenet", cache: bool = True
    ) -> Float[Tensor, "names d"]:
        """Unit class embeddings: each prompt normalised, their mean, normalised again.

        Args:
            names: put into each template's {} as they are.
            templates: a key of `prompts.TEMPLATES`, or templates.
            cache: keep the result under the data root, by a hash of text tower and prompts.

        Raises:
            ValueError: no name, unknown templates, or a template without exactly one {}.
        """
        if not names:
            raise ValueError("names is empty: give at least one class name")
        prompts = [[t.format(name) for t in resolve_templates(templates)] for name in names]
        make = partial(self._ensembles, prompts)
        device = self.model.logit_scale.device
        if not cache:
            return make().to(device)
        with torch.autocast(device.type, enabled=False):  # as they are made
            computed = arithmetic(device.type)
        text = self.while_unchanged("text", self._text_digest)
        key = json.dumps([text, package_versions(self.model), computed, prompts])
        return cached_tensor("text", key, make).to(device)

    def _ensembles(self, prompts: list[list[str]], chunk: int = 512) -> Float[Tensor, "names d"]:
        device = self.model.logit_scale.device
        flat = [prompt for of_name in prompts for prompt in of_name]
        # What is kept must not depend on who asks first: never in half precision.
        with torch.autocast(device.type, enabled=False):
            parts = [
                self.encode_tokens(self.tokenizer(flat[i : i + chunk]).to(device))
                for i in range(0, len(flat), chunk)
            ]
        return prompt_ensemble(torch.cat(parts).unflatten(0, (len(prompts), -1))).float().cpu()

    def _text_digest(self) -> str:
        """Of the text tower's weights: another model can never hit this one's cache."""
        state = self.model.state_dict().items()
        text = {name: value for name, value in state if not name.startswith("visual.")}
        words = getattr(self.tokenizer, "vocabulary", ())
        return f"{type(self.tokenizer)} {words} {state_digest(text)}"

    def encode_tokens(
        self, tokens: Int64[Tensor, "n length"], longest: int | None = None
    ) -> Float[Tensor, "n d"]:
        """Text embeddings of token rows, not normalised to unit length.

        Equals `model.encode_text` on rows padded to any length; the padding is not computed.

        Args:
            longest: tokens of the longest row; None: the device is asked, and waited for.
        """
        model = self.model
        if model.text_pool_type != "argmax":
            return model.encode_text(tokens)
        length = longest_row(tokens) if longest is None else longest
        tokens = tokens[:, :length]
        hidden = model.token_embedding(tokens) + model.positional_embedding[:length]
        mask = model.attn_mask
        hidden = model.transformer(hidden, None if mask is None else mask[:length, :length])
        pooled = text_global_pool(model.ln_final(hidden), tokens, "argmax")
        projection = model.text_projection
        if projection is None:
            return pooled
        return projection(pooled) if isinstance(projection, nn.Linear) else pooled @ projection

    def freeze(self) -> ClipEncoder:
        """No gradients from here on; BatchNorm and dropout stay in evaluation mode."""
        self.requires_grad_(False)
        return by_onednn(self.train(False))

    def train(self, mode: bool = True) -> ClipEncoder:
        trainable = any(parameter.requires_grad for parameter in self.parameters())
        return super().train(mode and trainable)


def longest_row(tokens: Int64[Tensor, "n length"]) -> int:
    """Tokens of the longest row, the end, which has the largest number, included."""
    return int(tokens.argmax(-1).max()) + 1


def choose(variant: str, paths: Mapping[str, Callable]) -> Callable:
    """The path of a variant; ValueError names those there are."""
    if variant not in paths:
        raise ValueError(f"variant={variant!r}: expected one of {sorted(paths)}")
    return paths[variant]


def resize_positions(
    positions: Float[Tensor, "n c"], grid: tuple[int, int], mode: Resize
) -> Float[Tensor, "m c"]:
    """Position embeddings of a square grid, class token first, for another grid.

    By size, without antialias and with `align_corners=False`, as PI-CLIP ("bilinear") and
    CLIP-DINOiser ("bicubic") do; open_clip's own resizing antialiases. "scaled" is bicubic by the
    *scale factor* (side + 0.1) / old side, as in DINO's code, NACLIP, ClearCLIP and ProxyCLIP: what
    is sampled lies a little beside what a resize by size would read, and 0.1 guards against
    rounding. The same grid is returned as it is.
    """
    side = int((len(positions) - 1) ** 0.5)
    if (side, side) == tuple(grid):
        return positions
    table = positions[1:].T.reshape(1, -1, side, side).float()
    if mode == "scaled":
        factors = [(length + 0.1) / side for length in grid]
        table = F.interpolate(table, scale_factor=factors, mode="bicubic")
    else:
        corners = None if mode == "area" else False
        table = F.interpolate(table, grid, mode=mode, align_corners=corners)
    table = table.to(positions.dtype)
    return torch.cat([positions[:1], table.flatten(2)[0].T])
