"""`predict`: segment things in anyone's picture, from one or a few annotated pictures of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from fsslib.config import shown
from fsslib.data.episode import Episode, stack
from fsslib.data.protocol import Protocol
from fsslib.data.transforms import fit_square
from fsslib.evaluation.evaluator import at_original
from fsslib.methods.base import FewShotSegmenter, Prediction
from fsslib.methods.n_way import any_way

Picture = UInt8[np.ndarray, "_ _ 3"]
Mask = UInt8[np.ndarray, "_ _"]


def predict(
    query: Picture,
    supports: Sequence[Picture] | Sequence[Sequence[Picture]],
    masks: Sequence[Mask] | Sequence[Sequence[Mask]] | None,
    method: FewShotSegmenter,
    class_name: str | Sequence[str] = "object",
    image_size: int = 97,
) -> Mask:
    """Segment `query` by the example of `supports`.

    Args:
        query: (h,w,3) uint8 RGB of any size.
        supports: K pictures, each of its own size. For several classes: K for each of N.
        masks: for each support (h,w): 1 the thing, 0 the rest, 255 don't know. Pictures of 0 and
            255 are passed as `mask > 0`. None for a method that a word guides (LFSS): two pictures
            and `class_name` are enough.
        method: a segmenter, such as `fsslib.methods.shipped.load_shipped()`. A binary one is asked
            about each class against the rest (`OneVersusRest`).
        class_name: one name, or N of them: then `supports` and `masks` have a list for each.
        image_size: side of the network's input in pixels; use the one it was trained at.

    Returns:
        (h,w) uint8 of the query's size, 1 where the thing is; j where the j-th of several is.

    Raises:
        TypeError: `method` is none. ValueError: counts or sizes that do not fit, masks with other
            values or without a 1, also once they have the network's size, or no masks for a method
            that reads them.
    """
    _require_names(class_name)
    names = (class_name,) if isinstance(class_name, str) else tuple(class_name)
    if isinstance(class_name, str):
        supports, masks = [supports], None if masks is None else [masks]
    return ask(query, supports, masks, method, names, image_size).mask[0].cpu().numpy()


@torch.inference_mode()
def ask(
    query: Picture,
    supports: Sequence[Sequence[Picture]],
    masks: Sequence[Sequence[Mask]] | None,
    method: FewShotSegmenter,
    names: tuple[str, ...],
    image_size: int,
) -> Prediction:
    """What `predict` asks, for N classes, with all that the method says of it: logits at the
    query's own size, maps at the method's. Raises as `predict`."""
    if not isinstance(method, FewShotSegmenter):
        raise TypeError(f"method={method!r}: give a segmenter, such as load_shipped()")
    protocol = Protocol("folder", image_size=image_size)
    if masks is None and method.reads_masks:
        raise ValueError(
            f"masks=None: {type(method).__name__} reads the supports' masks; give one for each, or "
            "take a method that a word guides, such as LFSS"
        )
    if masks is None:  # which nobody will read
        masks = [
            [np.ones(_array(p, "a support").shape[:2], np.uint8) for p in of] for of in supports
        ]
    batch, way = stack([_episode(query, supports, masks, names, protocol.image_size)]), len(names)
    device = next((tensor.device for tensor in method.state_dict().values()), torch.device("cpu"))
    batch, was_training = batch.to(device), method.training
    try:
        prediction = any_way(method, way).eval()(batch)
    finally:
        method.train(was_training)
    # Back to the query's own size exactly as a test on a folder of pictures does it.
    logits = at_original(prediction.logits[0].float(), query.shape[:2], protocol)
    return Prediction(logits[None], prediction.maps)


def _require_names(class_names: str | Sequence[str]) -> None:
    names = (class_names,) if isinstance(class_names, str) else class_names
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"class_name={shown(class_names)}: give a name, or a list of names")


def _array(value: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise ValueError(
            f"{name} is {shown(value)}; expected an array, of equally long rows"
        ) from error


def _episode(
    query: Picture,
    supports: Sequence[Sequence[Picture]],
    masks: Sequence[Sequence[Mask]],
    names: tuple[str, ...],
    size: int,
) -> Episode:
    """The question as an episode of N classes; ValueError where counts or sizes do not fit."""
    fitted = _fitted(supports, masks, names, size)
    way, shot = len(names), len(fitted) // len(names)
    empty = np.zeros(_array(query, "query").shape[:2], np.uint8)
    image, blank = _fit(query, empty, size, "query")
    return Episode(
        query_image=image,
        query_mask=blank,
        support_images=torch.stack([image for image, _ in fitted]).unflatten(0, (way, shot)),
        support_masks=torch.stack([mask for _, mask in fitted]).unflatten(0, (way, shot)),
        class_ids=-torch.arange(1, way + 1),  # no class of any benchmark, no base class
        class_names=names,
        ids=("query", *(f"support {i}" for i in range(len(fitted)))),
        original_mask=torch.from_numpy(empty),
    )


def _fitted(
    supports: Sequence[Sequence[Picture]],
    masks: Sequence[Sequence[Mask]],
    names: Sequence[str],
    size: int,
) -> list[tuple[Tensor, Tensor]]:
    """All supports in a row, class by class; ValueError where counts do not fit."""
    if not len(names) == len(supports) == len(masks) or not names:
        raise ValueError(
            f"{len(names)} class names, {len(supports)} lists of supports and {len(masks)} of "
            "masks; give one of each for every class"
        )
    for name, pictures, of_class in zip(names, supports, masks, strict=True):
        if pictures is None or of_class is None:
            raise ValueError(f"{name}: no supports or no masks; give a list of each")
        if not len(pictures) or len(pictures) != len(of_class):
            raise ValueError(
                f"{name}: {len(pictures)} supports and {len(of_class)} masks; give one for each"
            )
    if len({len(pictures) for pictures in supports}) > 1:
        counts = {name: len(p) for name, p in zip(names, supports, strict=True)}
        raise ValueError(f"supports per class {counts}; give every class equally many")
    pairs = [
        pair
        for pictures, of_class in zip(supports, masks, strict=True)
        for pair in zip(pictures, of_class, strict=True)
    ]
    return [_fit(*pair, size, f"support {number}") for number, pair in enumerate(pairs)]


def _fit(image: np.ndarray, mask: np.ndarray, size: int, name: str) -> tuple[Tensor, Tensor]:
    image, mask = _array(image, name), _array(mask, f"mask of {name}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        hint = ", and supports and masks as lists" if image.ndim == 2 else ""
        raise ValueError(f"{name} is {image.dtype} {image.shape}; expected uint8 (h,w,3) RGB{hint}")
    if mask.shape != image.shape[:2]:
        raise ValueError(f"{name}: mask {mask.shape} and image {image.shape[:2]} differ in size")
    values = sorted(set(np.unique(mask).tolist()))
    if not set(values) <= {0, 1, 255}:
        raise ValueError(f"{name}: mask holds {values[:8]}; expected 0, 1 and 255; use (mask > 0)")
    if name != "query" and 1 not in values:
        raise ValueError(
            f'{name}: mask holds {values} and no 1, which is the object (255 is "don\'t know"); '
            "for a mask of 0 and 255 pass (mask > 0)"
        )
    tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
    fitted = fit_square(tensor, torch.from_numpy(mask.astype(np.uint8)), size, "pad")
    if name != "query" and not (fitted[1] == 1).any():
        raise ValueError(
            f"{name}: nothing of the {int((mask == 1).sum())} object pixels is left at image_size="
            f"{size}; use a larger one, or crop the picture to the object"
        )
    return fitted
