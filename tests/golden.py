"""Golden numbers: inputs and outputs recorded from the papers' own code, and how to read them."""

import zlib
from pathlib import Path

import numpy as np
import torch

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str) -> dict[str, torch.Tensor]:
    """Arrays of one golden file, as tensors; notes and names (texts) are left out."""
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        return {k: torch.from_numpy(arrays[k]) for k in arrays.files if arrays[k].dtype.kind != "U"}


def assert_near(actual: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    """Nowhere farther apart than `tolerance`, as fp32 (some numbers were recorded in fp16)."""
    torch.testing.assert_close(actual.float(), expected.float(), atol=tolerance, rtol=0)


def prefixed(case: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The entries under `prefix`, with it taken off."""
    return {k.removeprefix(prefix): v for k, v in case.items() if k.startswith(prefix)}


def formula_weights(shapes: dict[str, list[int]]) -> dict[str, torch.Tensor]:
    """Weights from key names alone, so that two programs can make the same ones."""
    state = {}
    for key, shape in shapes.items():
        z = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape)
        z = torch.from_numpy(np.asarray(z, np.float32))
        if key.endswith("num_batches_tracked"):
            state[key] = torch.zeros((), dtype=torch.int64)
        elif key.endswith("running_var"):
            state[key] = 1 + 0.25 * z.abs()
        elif key.endswith("running_mean"):
            state[key] = 0.1 * z
        elif z.ndim >= 2:
            state[key] = z / float(np.sqrt(np.prod(shape[1:])))
        else:
            state[key] = 1 + 0.1 * z if key.endswith("weight") else 0.1 * z
    return state
