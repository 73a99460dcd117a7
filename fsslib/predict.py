"""`predict`: segment a thing in anyone's picture, from one or a few annotated pictures of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from fsslib.data.episode import Episode, stack
from fsslib.data.protocol import Protocol
from fsslib.data.transforms import fit_square
from fsslib.evaluation.evaluator import compare_at
from fsslib.methods.base import FewShotSegmenter

Picture = UInt8[np.ndarray, "_ _ 3"]
Mask = UInt8[np.ndarray, "_ _"]


@torch.inference_mode()
def predict(
    query: Picture,
    supports: Sequence[Picture],
    masks: Sequence[Mask],
    method: FewShotSegmenter,
    class_name: str = "object",
    image_size: int = 97,
) -> Mask:
    """Segment `query` by the example of `supports`.

    Args:
        query: (h,w,3) uint8 RGB of any size.
        supports: K pictures, each of its own size.
        masks: for each support (h,w): 1 the thing, 0 the rest, 255 don't know.
        method: a segmenter, such as `fsslib.methods.shipped.load_shipped()`.
        image_size: side of the network's input in pixels; use the one it was trained at.

    Returns:
        (h,w) uint8 of the query's size, 1 where the thing is.

    Raises:
        ValueError: counts or sizes that do not fit, or masks with other values.
    """
    if not supports or len(supports) != len(masks):
        raise ValueError(f"{len(supports)} supports and {len(masks)} masks; give one for each")
    fitted = [
        _fit(support, mask, image_size, f"support {number}")
        for number, (support, mask) in enumerate(zip(supports, masks, strict=True))
    ]
    empty = np.zeros(np.asarray(query).shape[:2], np.uint8)
    image, blank = _fit(query, empty, image_size, "query")
    episode = Episode(
        query_image=image,
        query_mask=blank,
        support_images=torch.stack([image for image, _ in fitted])[None],
        support_masks=torch.stack([mask for _, mask in fitted])[None],
        class_ids=torch.tensor([1]),
        class_names=(class_name,),
        ids=("query", *(f"support {i}" for i in range(len(fitted)))),
        original_mask=torch.from_numpy(empty),
    )
    device = next((tensor.device for tensor in method.state_dict().values()), torch.device("cpu"))
    batch = stack([episode]).to(device)
    was_training = method.training
    logits = method.eval()(batch).logits[0]
    method.train(was_training)
    # Back to the query's own size exactly as a test at original resolution does it.
    protocol = Protocol("folder", image_size=image_size)
    return compare_at(logits, batch, 0, protocol)[0].cpu().numpy()


def _fit(image: np.ndarray, mask: np.ndarray, size: int, name: str) -> tuple[Tensor, Tensor]:
    image, mask = np.asarray(image), np.asarray(mask)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"{name} is {image.dtype} {image.shape}; expected uint8 (h,w,3) RGB")
    if mask.shape != image.shape[:2]:
        raise ValueError(f"{name}: mask {mask.shape} and image {image.shape[:2]} differ in size")
    values = sorted(set(np.unique(mask).tolist()))
    if not set(values) <= {0, 1, 255}:
        raise ValueError(f"{name}: mask holds {values[:8]}; expected 0, 1 and 255; use (mask > 0)")
    tensor = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).contiguous()
    return fit_square(tensor, torch.from_numpy(mask.astype(np.uint8)), size, "pad")
