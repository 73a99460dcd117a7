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
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from fsslib.data.benchmark import Benchmark, Split
from fsslib.data.episode import IGNORE
from fsslib.data.transforms import resize_image
from fsslib.encoders.clip import CLIP_MEAN
from fsslib.evaluation.meter import Meter
from fsslib.methods.clip_dinoiser.model import BACKGROUND, ClipDinoiser

Segmenter = Callable[[Tensor], Tensor]
"""Pictures (b,3,h,w) uint8 to probabilities (b,classes,h,w)."""


@dataclass(frozen=True)
class Windows:
    """Sizes in pixels. The embedded benchmark: `Windows(96, 96, 48)`."""

    short: int = 448
    crop: int | None = 448
    """None: one window, the whole picture."""
    stride: int = 224
    longest: int = 2048
    """The longer side never exceeds this; then the short one is less than `short`."""
    multiple: int = 1
    """Windows are padded to multiples of this, half at each end (ProxyCLIP: 56)."""

    def size(self, height: int, width: int) -> tuple[int, int]:
        """What a photograph is brought to, proportions kept."""
        scale = min(self.short / min(height, width), self.longest / max(height, width))
        return int(height * scale + 0.5), int(width * scale + 0.5)

    def starts(self, length: int) -> list[int]:
        """Where windows begin; the last one is moved back to end with the picture."""
        last = 0 if self.crop is None else max(length - self.crop, 0)
        return [*range(0, last, self.stride), last]

    def padding(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Pixels that a window gets at the left, right, top and bottom."""
        across, down = -width % self.multiple, -height % self.multiple
        return across // 2, across - across // 2, down // 2, down - down // 2


def slide(
    images: Shaped[Tensor, "b 3 h w"], segmenter: Segmenter, windows: Windows
) -> Float[Tensor, "b classes h w"]:
    """Mean of what all windows over a pixel say. Images are uint8, or already normalised."""
    total, seen = None, images.new_zeros(images.shape[-2:], dtype=torch.float32)
    for top in windows.starts(images.shape[-2]):
        for left in windows.starts(images.shape[-1]):
            bottom, right = (
                None if windows.crop is None else start + windows.crop for start in (top, left)
            )
            window = (..., slice(top, bottom), slice(left, right))
            scores = _padded(images[window], segmenter, windows)
            if total is None:
                total = scores.new_zeros(*scores.shape[:2], *images.shape[-2:])
            total[window] += scores
            seen[window] += 1
    return total / seen


def _padded(images: Tensor, segmenter: Segmenter, windows: Windows) -> Tensor:
    """What the segmenter says of a window with its padding, without the padding. That has the mean
    colour, which is zero in normalised pictures."""
    height, width = images.shape[-2:]
    left, right, top, bottom = padding = windows.padding(height, width)
    if not any(padding):
        return segmenter(images)
    ground = images.new_zeros(3)
    if images.dtype == torch.uint8:
        ground = (255 * torch.tensor(CLIP_MEAN)).round().to(images)
    wide = ground[:, None, None].expand(len(images), 3, top + height + bottom, left + width + right)
    wide = wide.clone()
    inner = (..., slice(top, top + height), slice(left, left + width))
    wide[inner] = images
    return segmenter(wide)[inner]


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

    def label(image: Tensor) -> Tensor:
        classes = segment(
            image, lambda part: dinoiser.zero_shot(part, names, refine and background), windows
        )
        return classes if background else classes + 1

    device = dinoiser.encoder.logit_scale.device
    scores = score_pictures(label, benchmark, device, pictures, background, split)
    return scores | {"refined": refine and background, "windows": vars(windows or Windows())}


def score_pictures(
    label: Callable[[Tensor], Tensor],
    benchmark: Benchmark,
    device: torch.device | str,
    pictures: int | None = None,
    background: bool = True,
    split: Split = "val",
) -> dict[str, Any]:
    """mIoU of a function from pictures (3,h,w) uint8 to classes (h,w), 0 background.

    Args:
        pictures: the first so many; None: all.
        background: whether background is a class; without, its pixels are left out.
    """
    meter, total = Meter(), len(benchmark.areas(split))
    count = min(pictures or total, total)
    for index in range(count):
        sample = benchmark.load(split, index)
        classes = label(torch.from_numpy(sample.image).permute(2, 0, 1).to(device)).cpu()
        truth = torch.from_numpy(sample.label.copy())
        if not background:
            truth = torch.where(truth == 0, IGNORE, truth).to(torch.uint8)
        meter.add(classes, truth, benchmark.class_ids)
    return {
        "miou": meter.miou_with_background() if background else meter.miou(),
        "per_class": meter.per_class(),
        "pictures": count,
        "background": background,
    }
