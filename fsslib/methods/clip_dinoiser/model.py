"""CLIP-DINOiser: open-vocabulary segmentation by a frozen CLIP and two small heads (ECCV 2024).

Wysoczańska, Siméoni, Ramamonjisoa, Bursuc, Trzciński, Pérez. MaskCLIP's features, averaged with
learned correlations, classified by names; what is neither sure nor salient is background.

Released code and this one differ on purpose: background is refined per picture (see
`layers/weighted_pooling.py`), names are embedded once, and a map of a padded picture is cut back to
the picture instead of stretched over it. The published four tensors load; see `load_heads`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize

from fsslib.encoders.clip import ClipEncoder, Images
from fsslib.encoders.clip_dense import probabilities, score_map
from fsslib.encoders.clip_vit import ClipViT
from fsslib.encoders.disk_cache import Cache
from fsslib.encoders.pass_cache import PassCache
from fsslib.encoders.prompts import class_words
from fsslib.encoders.weights import WeightsError, load_fitting, read_state
from fsslib.layers.weighted_pooling import (
    DinoiserHeads,
    correlate,
    cut_correlations,
    on_grid_of,
    refine_background,
    weighted_pool,
)
from fsslib.methods.clip_dinoiser.config import DinoiserConfig

BACKGROUND = "background"
"""The word for what is none of the classes."""


@dataclass(frozen=True)
class DenseView:
    """What CLIP-DINOiser makes of pictures, on CLIP's grid."""

    raw: Float[Tensor, "b d rows columns"]
    """MaskCLIP's features, in the space of text (of teachers with larger patches, on a finer grid
    than all others)."""
    embedding: Float[Tensor, "b e h w"]
    """Unit vectors whose cosines are the correlations."""
    correlations: Float[Tensor, "b n h w"]
    """Cut at gamma."""
    saliency: Float[Tensor, "b 1 h w"]
    """Logits of being foreground."""
    pooled: Float[Tensor, "b d h w"]
    """Features averaged with the correlations; `raw` where pooling is off."""


class ClipDinoiser(nn.Module):
    """Pictures -> dense features and saliency; with names -> probabilities.

    Args:
        encoder: frozen. Tested with ViT-B/16 and the embedded ViT; there is a warning for others,
            of which B/32 and L/14 are reported to collapse as dense encoders.
        heads: trained; `load_heads` reads them.
        cache: for what CLIP says of pictures that are seen again.
    """

    def __init__(
        self,
        encoder: ClipEncoder,
        heads: DinoiserHeads | None,
        config: DinoiserConfig | None = None,
        cache: Cache | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(encoder, ClipViT):
            raise TypeError(
                f"{type(encoder).__name__}: CLIP-DINOiser taps a block of a ViT; load one, such as "
                "load_clip('scenes-clip-vit')"
            )
        if encoder.width >= 768 and (encoder.width, encoder.stride) != (768, 16):
            warnings.warn(
                f"{encoder.name}: CLIP-DINOiser was made for a ViT-B/16; B/32 and L/14 are "
                "reported to collapse as dense encoders",
                stacklevel=2,
            )
        self.encoder, self.heads = encoder, heads
        self.config, self.cache = config or DinoiserConfig(), cache or PassCache()

    def configured(self, config: DinoiserConfig) -> ClipDinoiser:
        """The same networks with other settings; this one keeps its own."""
        return ClipDinoiser(self.encoder, self.heads, config, self.cache)

    def _kind(self) -> str:
        """What a pass depends on besides the picture."""
        return f"dinoiser{self.config.tap}-{self.encoder.digest}"

    def view(self, images: Images, normalised: bool = False) -> DenseView:
        """Dense features of pictures whose sides are multiples of the patch (see `fit`)."""
        inputs = self.encoder.inputs(images, normalised)
        tapped, raw = self._pass(inputs)
        embedding, saliency = self.heads.embed(tapped), self.heads.saliency(tapped)
        return self.combine(raw, embedding, saliency)

    def combine(self, raw: Tensor, embedding: Tensor, saliency: Tensor) -> DenseView:
        """A view from its parts: features, unit vectors whose cosines are the correlations, and
        logits of being foreground."""
        correlations = cut_correlations(correlate(embedding), self.config.gamma)
        pool = weighted_pool if self.config.pooling else on_grid_of
        pooled = pool(raw, correlations)
        return DenseView(raw, embedding, correlations, saliency, pooled)

    @torch.no_grad()
    def _pass(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        def make(part: Tensor) -> tuple[Tensor, Tensor]:
            return self.encoder.tapped_and_dense(part, normalised=True, tap=self.config.tap)

        tapped, raw = self.cache.collect(self._kind, inputs, make)
        return tapped, raw

    def fit(self, images: Images) -> Shaped[Tensor, "b 3 rows columns"]:
        """Pictures at `config.size` (bicubic), padded with zeros at the right and below to whole
        patches, before anything is normalised."""
        size = self.config.size
        if size is not None and images.shape[-2:] != (size, size):
            images = resize(images, [size, size], InterpolationMode.BICUBIC)
        return pad_to_patches(images, self.encoder.stride)

    def fit_masks(self, masks: Shaped[Tensor, "*n h w"]) -> Shaped[Tensor, "*n rows columns"]:
        """Masks that lie on their pictures as `fit` leaves those: padding is 255."""
        seen, (down, right) = self._seen(masks.shape[-2:])
        if not down and not right:
            return masks
        flat = masks.flatten(0, -3)[:, None]
        flat = F.interpolate(flat.float(), seen, mode="nearest-exact").to(masks.dtype)
        padded = F.pad(flat, (0, right, 0, down), value=255)
        return padded[:, 0].unflatten(0, masks.shape[:-2])

    def enlarge(
        self, maps: Float[Tensor, "b c h w"], size: Sequence[int]
    ) -> Float[Tensor, "b c rows columns"]:
        """Maps on the grid of fitted pictures at the pictures' own `size` (bilinear), without what
        was padded."""
        seen, (down, right) = self._seen(size)
        if down or right:
            padded = [seen[0] + down, seen[1] + right]
            maps = F.interpolate(maps, padded, mode="bilinear", align_corners=False)
            maps = maps[..., : seen[0], : seen[1]]
        if maps.shape[-2:] == tuple(size):
            return maps
        return F.interpolate(maps, tuple(size), mode="bilinear", align_corners=False)

    def _seen(self, size: Sequence[int]) -> tuple[list[int], tuple[int, int]]:
        """Sides of pictures of `size` before they are padded, and what is padded."""
        side = self.config.size
        seen = list(size) if side is None else [side, side]
        return seen, missing(seen, self.encoder.stride)

    def resized(self, images: Images, side: int) -> Float[Tensor, "b 3 _ _"]:
        """Network inputs of `side` pixels: bicubic with antialias, as open_clip resizes."""
        if images.shape[-2:] != (side, side):
            images = resize(images, [side, side], InterpolationMode.BICUBIC)
        return self.encoder.preprocess(images)

    @torch.no_grad()
    def embed_whole(self, inputs: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """CLIP's embedding of whole pictures, already normalised; not of unit length."""

        def make(part: Tensor) -> tuple[Tensor]:
            return (self.encoder.encode_image(part, normalised=True),)

        return self.cache.collect(lambda: f"whole-{self._kind()}", inputs, make)[0]

    def text(self, names: Sequence[str]) -> Float[Tensor, "names d"]:
        """Unit embeddings of names, each made once; "background" is a name like others."""
        spelling, templates = self.config.words, self.config.templates
        made = self.encoder.while_unchanged(f"names {spelling} {templates}", dict[str, Tensor])
        if new := [name for name in dict.fromkeys(names) if name not in made]:
            embedded = self.encoder.encode_text(class_words(new, spelling), templates)
            made.update(zip(new, embedded, strict=True))
        return torch.stack([made[name] for name in names]).to(self.encoder.logit_scale)

    def classify(
        self, view: DenseView, text: Float[Tensor, "classes d"], refine: bool
    ) -> Float[Tensor, "b classes h w"]:
        """Probabilities of classes on CLIP's grid.

        Args:
            refine: with `refine_background`; `text` must then begin with the background.
        """
        chances = probabilities(score_map(view.pooled, text), self.config.temperature)
        if refine:
            return refine_background(chances, view.saliency.sigmoid(), self.config.delta)
        return chances

    @torch.no_grad()
    def zero_shot(
        self, images: Images, names: Sequence[str], refine: bool = True
    ) -> Float[Tensor, "b classes h w"]:
        """Probabilities of `names` at every pixel (bilinear), pictures taken at their own size.

        Args:
            names: begin with "background" where `refine` is on (VOC21 and COCO-Object; Context60
                has the word alone, VOC20 and Context59 have no background at all).
        """
        if refine and names[0] != BACKGROUND:
            raise ValueError(f"names[0]={names[0]!r}: refine=True needs {BACKGROUND!r} there")
        size, stride = images.shape[-2:], self.encoder.stride
        padded = pad_to_patches(images, stride)
        chances = self.classify(self.view(padded), self.text(names), refine)
        full = F.interpolate(chances, padded.shape[-2:], mode="bilinear", align_corners=False)
        return full[..., : size[0], : size[1]]


def pad_to_patches(images: Images, stride: int) -> Shaped[Tensor, "b 3 rows columns"]:
    """Zeros at the right and below, up to the next multiple of `stride`."""
    down, right = missing(images.shape[-2:], stride)
    return F.pad(images, (0, right, 0, down))


def missing(size: Sequence[int], stride: int) -> tuple[int, int]:
    """Rows and columns that pictures of `size` lack to be whole patches."""
    down, right = (-side % stride for side in size)
    return down, right


def load_heads(path: Path | str, width: int) -> DinoiserHeads:
    """Trained heads: a file of `train_dinoiser`, or the published checkpoint (`last.pt`, 7 MB).

    Args:
        width: of the CLIP they will read, `ClipViT.width`.

    Raises:
        WeightsError: the file is not there; or not exactly the four tensors, or of another width
        (names them).
    """
    state = read_state(Path(path))
    weight = state.get("obj_proj.weight")
    if weight is None or weight.ndim != 4:
        raise WeightsError(
            f"{path} has no obj_proj.weight (channels, width, kernel, kernel); it has "
            f"{sorted(state)[:5]}. Expected CLIP-DINOiser's obj_proj and bkg_decoder alone"
        )
    heads = DinoiserHeads(width, weight.shape[0], weight.shape[-1])
    load_fitting(heads, state, str(path), f" (the CLIP's width is {width})")
    return heads.requires_grad_(False).eval()
