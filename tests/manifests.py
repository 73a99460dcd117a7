"""Keys and shapes of the released checkpoints, as tensors without values."""

import json
from functools import cache

import torch
from golden import GOLDEN

from fsslib.interop.infer import Candidate, infer

MANIFESTS = tuple(sorted(path.stem.removeprefix("keys_") for path in GOLDEN.glob("keys_*.json")))


def manifest(name: str) -> dict[str, torch.Tensor]:
    """The state dict of a released checkpoint, on the meta device."""
    content = json.loads((GOLDEN / f"keys_{name}.json").read_text())
    for inner in ("keys", "trainable"):  # beside notes
        if isinstance(content.get(inner), dict):
            content = content[inner]
    shapes = {k: v["shape"] if isinstance(v, dict) else v for k, v in content.items()}
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


@cache
def inferred(name: str) -> Candidate:
    """What a released checkpoint is taken for."""
    return infer(manifest(name)).best


def zeros(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same with values, all zero, that take no memory."""
    return {key: torch.zeros(()).expand(value.shape) for key, value in state.items()}
