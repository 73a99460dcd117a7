"""Golden numbers: inputs and outputs recorded from the papers' own code, and how to read them."""

from pathlib import Path

import numpy as np
import torch

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str) -> dict[str, torch.Tensor]:
    """Arrays of one golden file, as tensors; notes and names (texts) are left out."""
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        return {k: torch.from_numpy(arrays[k]) for k in arrays.files if arrays[k].dtype.kind != "U"}


def prefixed(case: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The entries under `prefix`, with it taken off."""
    return {k.removeprefix(prefix): v for k, v in case.items() if k.startswith(prefix)}
