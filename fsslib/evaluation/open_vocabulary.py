"""Open-vocabulary segmentation as CLIP-DINOiser and its line are scored: sliding windows over whole
pictures, every pixel one of all names.

Short side 448, windows of 448 every 224 pixels, probabilities averaged where windows overlap,
enlarged to the photograph (bilinear), arg max. No CRF. mIoU is over the whole list at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from fsslib.data.benchmark import Benchmark, Split
from fsslib.data.episode import IGNORE
from fsslib.data.transforms import resize_image
from fsslib.evaluation.meter import Meter
from fsslib.methods.clip_dinoiser.model import BACKGROUND, ClipDinoiser

Segmenter = Callable[[Tensor], Tensor]
"""Pictures (b,3,h,w) uint8 to probabilities (b,classes,h,w)."""


@dataclass(frozen=True)
class Windows:
    """Sizes in pixels. The embedded benchmark: `Windows(96, 96, 48)`."""

    short: int = 448
    crop: int = 448
    stride: int = 224
    longest: int = 2048
    """The longer side never exceeds this; then the short one is less than `short`."""

    def size(self, height: int, width: int) -> tuple[int, int]:
        """What a photograph is brought to, proportions kept."""
        scale = min(self.short / min(height, width), self.longest / max(height, width))
        return int(height * scale + 0.5), int(width * scale + 0.5)

    def starts(self, length: int) -> list[int]:
        """Where windows begin; the last one is moved back to end with the picture."""
        last = max(length - self.crop, 0)
        return [*range(0, last, self.stride), last]


def slide(
    images: UInt8[Tensor, "b 3 h w"], segmenter: Segmenter, windows: Windows
) -> Float[Tensor, "b classes h w"]:
    """Mean of what all windows over a pixel say."""
    total, seen = None, images.new_zeros(images.shape[-2:], dtype=torch.float32)
    for top in windows.starts(images.shape[-2]):
        for left in windows.starts(images.shape[-1]):
            window = (..., slice(top, top + windows.crop), slice(left, left + windows.crop))
            found = segmenter(images[window])
            if total is None:
                total = found.new_zeros(*found.shape[:2], *images.shape[-2:])
            total[window] += found
            seen[window] += 1
    return total / seen


def segment(
    image: UInt8[Tensor, "3 h w"], segmenter: Segmenter, windows: Windows | None = None
) -> UInt8[Tensor, "h w"]:
    """Index of the most likely class at every pixel of a photograph of any size."""
    windows, size = windows or Windows(), tuple(image.shape[-2:])
    chances = slide(resize_image(image, *windows.size(*size))[None], segmenter, windows)
    if chances.shape[-2:] != size:
        chances = F.interpolate(chances, size, mode="bilinear", align_corners=False)
    return chances[0].argmax(0).to(torch.uint8)


@torch.inference_mode()
def open_vocabulary(
    dinoiser: ClipDinoiser,
    benchmark: Benchmark,
    pictures: int | None = None,
    background: bool = True,
    refine: bool = True,
    windows: Windows | None = None,
    split: Split = "val",
) -> dict[str, Any]:
    """mIoU over all names of a benchmark, no supports.

    Args:
        pictures: the first so many; None: all.
        background: whether "background" is one of the names (VOC21). Without (VOC20) its pixels
            are left out.
        refine: refinement of the background; only with `background`.
    """
    names = [BACKGROUND, *benchmark.class_names] if background else list(benchmark.class_names)
    device, meter = dinoiser.encoder.logit_scale.device, Meter()
    count = min(pictures or len(benchmark.areas(split)), len(benchmark.areas(split)))
    for index in range(count):
        sample = benchmark.load(split, index)
        image = torch.from_numpy(sample.image).permute(2, 0, 1).to(device)
        found = segment(
            image, lambda part: dinoiser.zero_shot(part, names, refine and background), windows
        ).cpu()
        label = torch.from_numpy(sample.label.copy())
        if not background:
            found, label = found + 1, torch.where(label == 0, IGNORE, label).to(torch.uint8)
        meter.add(found, label, benchmark.class_ids)
    return {
        "miou": meter.miou_with_background() if background else meter.miou(),
        "per_class": meter.per_class(),
        "pictures": count,
        "background": background,
        "refined": refine and background,
        "windows": vars(windows or Windows()),
    }
