"""CLIP-DINOiser's two teachers: DINO says what belongs together, FOUND what is salient.

They are asked for targets while the heads learn, or directly instead of heads (`DinoClip`, the
released code's training-free ancestor). FOUND's head is one file of 385 numbers; without it, its
training-free seed answers.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fsslib.encoders.clip import ClipEncoder, Images
from fsslib.encoders.dino import Dino, Facet, class_attention, load_dino
from fsslib.encoders.disk_cache import Cache
from fsslib.encoders.found import load_found_head
from fsslib.methods.clip_dinoiser.config import DinoiserConfig
from fsslib.methods.clip_dinoiser.model import ClipDinoiser, DenseView
from fsslib.priors.found import background_seed
from fsslib.priors.similarity import unit


class Teachers(nn.Module):
    """Frozen teachers. Images are uint8 RGB, or normalised with ImageNet's statistics.

    Args:
        dino: for correlations; the released code has ViT-B/16.
        found: for saliency; ViT-S/8. The same network may serve as both.
        head: FOUND's; None: its seed.
        facet: of the last block, for correlations.
        antialias: how saliency is resized. The released code was recorded without.
    """

    def __init__(
        self,
        dino: Dino,
        found: Dino | None = None,
        head: nn.Conv2d | None = None,
        facet: Facet = "v",
        antialias: bool = False,
    ) -> None:
        super().__init__()
        self.dino, self.found, self.head = dino, found or dino, head
        self.facet, self.antialias = facet, antialias
        if head is not None and head.in_channels != self.found.width:
            raise ValueError(
                f"FOUND's head reads {head.in_channels} channels, {self.found.name} has "
                f"{self.found.width}; the published head belongs to DINO's ViT-S/8"
            )

    @torch.no_grad()
    def embed(self, images: Images, normalised: bool = False) -> Float[Tensor, "b c rows columns"]:
        """Unit vectors whose cosines are DINO's correlations."""
        return unit(self.dino.facet(images, self.facet, normalised))

    @torch.no_grad()
    def saliency(
        self, images: Images, normalised: bool = False
    ) -> Float[Tensor, "b 1 rows columns"]:
        """Foreground 0..1 on the grid of `found`; the seed says 0 or 1."""
        if self.head is not None:
            return self.head(self.found.facet(images, "k", normalised)).sigmoid()
        qkv = self.found.last_qkv(images, normalised)
        # Never centred: what all cells share makes background of all but the odd ones.
        background = background_seed(class_attention(qkv), qkv[1, :, :, 1:])
        return (~background).float().unflatten(1, (1, *self.found.grid(images.shape[-2:])))

    def saliency_on(
        self, images: Images, grid: tuple[int, int], normalised: bool = False
    ) -> Float[Tensor, "b 1 rows columns"]:
        """The same on another grid (bilinear)."""
        saliency = self.saliency(images, normalised)
        return F.interpolate(
            saliency, grid, mode="bilinear", align_corners=False, antialias=self.antialias
        )


class DinoClip(ClipDinoiser):
    """Teachers in the place of heads: slower, and nothing is trained."""

    def __init__(
        self,
        encoder: ClipEncoder,
        teachers: Teachers,
        config: DinoiserConfig | None = None,
        cache: Cache | None = None,
    ) -> None:
        super().__init__(encoder, None, config, cache)
        self.teachers = teachers

    def configured(self, config: DinoiserConfig) -> DinoClip:
        return DinoClip(self.encoder, self.teachers, config, self.cache)

    def view(self, images: Images, normalised: bool = False) -> DenseView:
        """As with heads. Pictures must be uint8: each network has statistics of its own."""
        if normalised:
            raise ValueError("DinoClip normalises pictures itself, for each network; give uint8")
        _, raw = self._pass(self.encoder.preprocess(images))
        embedding = self.teachers.embed(images)  # whose grid is DINO's
        saliency = self.teachers.saliency_on(images, tuple(embedding.shape[-2:]))
        return self.combine(raw, embedding, saliency.logit(eps=1e-6))


def load_teachers(
    clip: str, found_head: Path | str | None = None, weights: Path | str | None = None
) -> Teachers:
    """The teachers that belong to a CLIP: `scenes-dino` and the seed for embedded ones, DINO's
    ViT-B/16 and ViT-S/8 for others.

    Args:
        found_head: FOUND's `decoder_weights.pt`; None: the seed.
        weights: of the first DINO, a file; None: the usual ones.

    Raises:
        WeightsError: weights that cannot be had.
    """
    head = None if found_head is None else load_found_head(found_head)
    if clip.startswith("scenes"):
        return Teachers(load_dino("scenes-dino", weights or "scenes"), head=head)
    dino = load_dino("vit_base_patch16_224", weights or "dino")
    return Teachers(dino, load_dino("vit_small_patch8_224", "dino"), head)
