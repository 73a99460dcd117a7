"""SAM and SAM 2 as a mask generator, by an ordinary call of transformers (extra `sam`).

Kirillov et al., ICCV 2023; Ravi et al., 2024; weights under Apache-2.0. transformers is imported
when a SAM is asked for, and nothing else of this package needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor, nn

from fsslib.encoders.weights import WeightsError

USUAL_SAM = "facebook/sam-vit-huge"
"""What GF-SAM and Matcher draw with."""
CHUNK = 64
"""Points that go through the decoder together, as GF-SAM batches them."""


class Sam(nn.Module):
    """A picture, then points, to one mask each.

    Args:
        model: `SamModel`, `Sam2Model` or what answers like them.
        processor: its own; it resizes pictures and points alike.
    """

    def __init__(self, model: nn.Module, processor: Any) -> None:
        super().__init__()
        self.model, self.processor = model.requires_grad_(False).eval(), processor

    @torch.no_grad()
    def of(
        self, image: UInt8[Tensor, "3 rows columns"]
    ) -> Callable[[Int64[Tensor, "p 2"]], Bool[Tensor, "p rows columns"]]:
        """Embeds a picture once; the function that is returned draws the masks of points (x, y) in
        its pixels: positive labels, single-mask output, logits above 0."""
        device = image.device
        picture = image.permute(1, 2, 0).cpu().numpy()
        pixels = self.processor(images=picture, return_tensors="pt")["pixel_values"].to(device)
        embeddings = self.model.get_image_embeddings(pixels)

        @torch.no_grad()
        def masks_of(points: Int64[Tensor, "p 2"]) -> Bool[Tensor, "p rows columns"]:
            parts = [torch.zeros(0, *image.shape[1:], dtype=torch.bool, device=device)]
            for chunk in points.split(CHUNK) if len(points) else ():
                parts.append(self._decode(picture, embeddings, chunk).to(device))
            return torch.cat(parts)

        return masks_of

    def _decode(self, picture: Any, embeddings: Any, points: Tensor) -> Tensor:
        prompts = self.processor(
            images=picture, input_points=[points[:, None].tolist()], return_tensors="pt"
        )
        answer = self.model(
            image_embeddings=embeddings,
            input_points=prompts["input_points"].float().to(points.device),
            multimask_output=False,
        )
        sizes = [prompts["original_sizes"]]
        sizes += [prompts["reshaped_input_sizes"]] if "reshaped_input_sizes" in prompts else []
        masks = self.processor.post_process_masks(answer.pred_masks.cpu(), *sizes)
        return masks[0][:, 0]


def load_sam(weights: str = USUAL_SAM) -> Sam:
    """SAM or SAM 2 by its name on the hub, or from a folder that holds one.

    Raises:
        WeightsError: transformers is not installed, or the weights cannot be had.
    """
    try:
        from transformers import AutoModelForMaskGeneration, AutoProcessor
    except ImportError as error:
        raise WeightsError(
            "SAM needs transformers, which is not installed: pip install 'fsslib[sam]', or draw "
            "masks with 'superpixels' or 'clusters', which need nothing"
        ) from error
    try:
        model = AutoModelForMaskGeneration.from_pretrained(weights)
        return Sam(model, AutoProcessor.from_pretrained(weights))
    except (OSError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"SAM {weights!r} (Apache-2.0) could not be had ({str(error).splitlines()[0]}). No "
            "network: download its folder elsewhere and give the path, or draw masks with "
            "'superpixels' or 'clusters'"
        ) from error
