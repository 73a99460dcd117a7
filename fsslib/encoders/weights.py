"""Where weights come from: a registry of tags, and one clear error when they cannot be had.

Nothing here ever falls back to random numbers. `weights="random"` must be asked for by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from fsslib.files import PACKAGE, read_json

SHIPPED = PACKAGE / "encoders" / "weights"


class WeightsError(RuntimeError):
    """Weights that cannot be had or do not fit; the message says what was tried and what to do."""


@dataclass(frozen=True)
class Source:
    """One downloadable or shipped set of weights."""

    tag: str
    architecture: str
    origin: str
    licence: str
    megabytes: float
    checksum: str | None = None
    """What the publisher states: torchvision puts the first 8 digits of SHA-256 in the name."""


SOURCES = {
    (source.architecture, source.tag): source
    for source in (
        Source("scenes", "scenes-resnet", "scenes-resnet.safetensors", "MIT", 7.0),
        Source("imagenet", "resnet18", "ResNet18_Weights.IMAGENET1K_V1", "BSD-3", 44.7, "f37072fd"),
        Source("imagenet", "resnet50", "ResNet50_Weights.IMAGENET1K_V1", "BSD-3", 97.8, "0676ba61"),
        Source(
            "imagenet", "resnet101", "ResNet101_Weights.IMAGENET1K_V1", "BSD-3", 170.5, "63fe2227"
        ),
        Source("imagenet", "vgg16", "VGG16_Weights.IMAGENET1K_V1", "BSD-3", 527.8, "397923af"),
        Source(
            "imagenet", "vgg16_bn", "VGG16_BN_Weights.IMAGENET1K_V1", "BSD-3", 527.9, "6c64b313"
        ),
    )
}


def load_weights(architecture: str, weights: str | Path) -> dict[str, Tensor]:
    """State dict of `architecture` for a tag of the registry or a local file.

    Raises:
        WeightsError: unknown tag, missing file, no network, or a file that cannot be read.
    """
    source = SOURCES.get((architecture, str(weights)))
    if source is None:
        return _local(architecture, Path(weights))
    if source.tag == "scenes":
        return read_state(SHIPPED / source.origin)
    return _torchvision(source)


def weights_card(name: str) -> dict[str, Any]:
    """The card that ships beside embedded weights: command, seed, seconds, machine, accuracy."""
    return read_json(SHIPPED / f"{name}.json")


def read_state(path: Path) -> dict[str, Tensor]:
    """Tensors of a `.safetensors` or torch checkpoint file, fp32, without `module.` prefixes."""
    if not path.is_file():
        raise WeightsError(f"no weights at {path}; give the path of an existing file")
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read ({error}); get it again") from error
    except Exception as error:  # torch's unpickler raises its own type for unsafe content
        raise WeightsError(f"{path} is not a plain checkpoint of tensors ({error})") from error
    state = _unwrap(state)
    return {k.removeprefix("module."): v.float() if v.is_floating_point() else v for k, v in state}


def _unwrap(state: Any) -> list[tuple[str, Tensor]]:
    """The tensors of a checkpoint, also when they sit under "state_dict", "model" or the like."""
    for name in ("state_dict", "model", "model_state_dict"):
        if isinstance(state, dict) and isinstance(state.get(name), dict):
            state = state[name]
    return [(key, value) for key, value in state.items() if isinstance(value, Tensor)]


def _local(architecture: str, path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        tags = sorted(tag for name, tag in SOURCES if name == architecture)
        raise WeightsError(
            f"weights={str(path)!r} for {architecture}: neither a file nor a known tag "
            f"{[*tags, 'random']}; give one of these or the path of a .safetensors or .pth file"
        )
    return read_state(path)


def _torchvision(source: Source) -> dict[str, Tensor]:
    from torchvision.models import get_weight

    try:
        return get_weight(source.origin).get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise WeightsError(
            f"{source.origin} ({source.megabytes} MB) could not be downloaded or its checksum "
            f"{source.checksum}… did not match ({error}). Without a network: download the file "
            f"elsewhere and pass its path as weights=, use the embedded backbone 'scenes-resnet', "
            f"or ask for weights='random' by name"
        ) from error
