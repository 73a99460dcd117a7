"""Golden numbers: inputs and outputs recorded from the papers' own code, and how to read them."""

from pathlib import Path

import numpy as np
import torch

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str) -> dict[str, torch.Tensor]:
    """Arrays of one golden file, as tensors."""
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files}


def prefixed(case: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The entries under `prefix`, with it taken off."""
    return {k.removeprefix(prefix): v for k, v in case.items() if k.startswith(prefix)}
