"""Open-vocabulary segmentation by a CLIP alone, as NACLIP and its line are scored.

Short side 336, windows of 224 every 112 pixels, cosines enlarged in each window and averaged where
windows overlap, enlarged to the photograph, smoothed by PAMR if asked, softmax(40 cosine), the
likeliest of a class's names, and background where no class is likely enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from fsslib.config import Bound
from fsslib.data.transforms import resize_image
from fsslib.encoders.clip import ClipEncoder
from fsslib.encoders.clip_dense import score_map
from fsslib.encoders.prompts import class_words
from fsslib.evaluation.open_vocabulary import Windows, slide
from fsslib.priors.pamr import pamr
from fsslib.priors.vocabulary import class_probabilities, decide
from fsslib.settings import Count, Fraction, Natural, Positive, Settings

Dilations = tuple[Annotated[int, Bound(least=1)], ...]


@dataclass(frozen=True)
class VocabularyConfig(Settings):
    """Numbers of the papers' open-vocabulary protocols."""

    templates: str = "imagenet"
    """Around names, a key of `prompts.TEMPLATES`."""
    words: str = "raw"
    """What classes are called, a key of `prompts.CLASS_WORDS`; synonyms are separated by commas."""
    short: Count = 336
    """Short side that pictures are brought to, in pixels."""
    crop: Count | None = 224
    """Side of a window; None: the whole picture at once."""
    stride: Count = 112
    """From one window to the next."""
    multiple: Count = 1
    """Windows are padded on both sides to multiples of this."""
    scale: Positive = 40.0
    """1 / temperature of the softmax over names."""
    threshold: Fraction = 0.0
    """What no class is as likely as becomes background."""
    pamr: Natural = 0
    """Steps of PAMR; 0: none."""
    dilations: Dilations = (8, 16)
    """Its neighbours' distances, in pixels."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`naclip`: with a background, t = 0.1. `naclip_voc`: VOC, whole pictures. `proxyclip`:
        VOC21 (PC60: threshold=0.15, COCO-Object: 0.25, ADE and Cityscapes: short=448). `clearclip`.
        `scenes`: the embedded benchmark, a window the size of its CLIPs' training."""
        return {
            "naclip": {"pamr": 10, "threshold": 0.1},
            "naclip_voc": {"pamr": 10, "threshold": 0.1, "crop": None},
            "proxyclip": {"crop": 336, "multiple": 56, "threshold": 0.2},
            "clearclip": {"short": 448, "crop": 448, "stride": 224, "scale": 50.0},
            "scenes": {"short": 96, "crop": 96, "stride": 48, "templates": "maskclip"},
        }

    @property
    def windows(self) -> Windows:
        return Windows(self.short, self.crop, self.stride, multiple=self.multiple)


class Vocabulary:
    """A CLIP and names -> classes of pixels. Nothing is trained.

    Args:
        encoder: frozen; its `attention` decides what dense features are.
        names: of the classes 1, 2, …; several names of one class are separated by commas.
        background: names of class 0; none: only the threshold makes background.
    """

    def __init__(
        self,
        encoder: ClipEncoder,
        names: Sequence[str],
        config: VocabularyConfig | None = None,
        background: Sequence[str] = (),
    ) -> None:
        self.encoder, self.config = encoder, config or VocabularyConfig()
        spelled = [word.split(",") for word in class_words(tuple(names), self.config.words)]
        classes = ([list(background)] if background else []) + spelled
        self.first = 0 if background else 1
        self.class_of = [index for index, words in enumerate(classes) for _ in words]
        flat = [word.strip() for words in classes for word in words]
        self.text = encoder.encode_text(flat, self.config.templates)

    def cosines(
        self, window: Shaped[Tensor, "b 3 h w"], size: Sequence[int] | None = None
    ) -> Float[Tensor, "b names rows columns"]:
        """Of every pixel with every name (bilinear), at `size` or that of the window."""
        maps = score_map(self.encoder.dense(window), self.text)
        size = window.shape[-2:] if size is None else size
        return F.interpolate(maps, tuple(size), mode="bilinear", align_corners=False)

    @torch.inference_mode()
    def probabilities(self, image: UInt8[Tensor, "3 h w"]) -> Float[Tensor, "classes h w"]:
        """Of each class, the background first if it has names; they do not sum to 1 where a class
        has several."""
        config, size = self.config, tuple(image.shape[-2:])
        seen = resize_image(image, *config.windows.size(*size))[None]
        if config.crop is None:
            cosines = self.cosines(seen, size)
        else:
            cosines = slide(seen, self.cosines, config.windows)
        return settled(cosines, seen, size, self.class_of, config)[0]

    def segment(self, image: UInt8[Tensor, "3 h w"]) -> UInt8[Tensor, "h w"]:
        """0 background, 1.. the names."""
        chances = self.probabilities(image)
        if self.first:  # the threshold alone makes background, which is then a class of its own
            nobody = torch.full_like(chances[:1], -1.0)
            chances = torch.cat([nobody, chances])
        return decide(chances[None], self.config.threshold)[0]


def settled(
    cosines: Float[Tensor, "b names rows columns"],
    seen: Shaped[Tensor, "b 3 _ _"],
    size: Sequence[int],
    class_of: Sequence[int],
    config: VocabularyConfig,
) -> Float[Tensor, "b classes h w"]:
    """Probabilities of classes at a photograph's `size`, from cosines at that of the picture that
    was `seen`."""
    size = tuple(size)
    if tuple(cosines.shape[-2:]) != size:
        cosines = F.interpolate(cosines, size, mode="bilinear", align_corners=False)
    if config.pamr:
        image = F.interpolate(seen.float(), size, mode="bilinear", align_corners=False)
        cosines = pamr(image, cosines, config.pamr, config.dilations)
    return class_probabilities(cosines, class_of, config.scale)
