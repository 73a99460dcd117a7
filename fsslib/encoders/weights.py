"""Where weights come from: a registry of tags, and one clear error when they cannot be had.

Nothing here ever falls back to random numbers. `weights="random"` must be asked for by name.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from fsslib.encoders.reading import read_content, read_state
from fsslib.encoders.storage import WeightsError, halved, require_finite
from fsslib.files import PACKAGE, atomic_path, data_root, read_json, write_json

__all__ = [
    "SHIPPED",
    "SOURCES",
    "Source",
    "WeightsError",
    "cached_tensor",
    "card_beside",
    "load_fitting",
    "load_weights",
    "read_content",
    "read_state",
    "seen_by",
    "weights_card",
    "write_weights",
]

SHIPPED = PACKAGE / "encoders" / "weights"


@dataclass(frozen=True)
class Source:
    """One downloadable or shipped set of weights."""

    tag: str
    architecture: str
    origin: str
    licence: str
    megabytes: float
    checksum: str | None = None
    """What the publisher states: the first 8 digits of SHA-256, in torchvision's file names and in
    the addresses of OpenAI's archives."""

    @property
    def shipped(self) -> Path | None:
        """The file, if the package holds it."""
        return SHIPPED / self.origin if self.origin.endswith(".safetensors") else None


SOURCES = {
    (source.architecture, source.tag): source
    for source in (
        Source("scenes", "scenes-resnet", "scenes-resnet.safetensors", "MIT", 5.6),
        Source("scenes-single", "scenes-resnet", "scenes-resnet-single.safetensors", "MIT", 5.6),
        Source("scenes", "scenes-moco", "scenes-moco.safetensors", "MIT", 5.6),
        Source("imagenet", "resnet18", "ResNet18_Weights.IMAGENET1K_V1", "BSD-3", 44.7, "f37072fd"),
        Source("imagenet", "resnet50", "ResNet50_Weights.IMAGENET1K_V1", "BSD-3", 97.8, "0676ba61"),
        Source(
            "imagenet", "resnet101", "ResNet101_Weights.IMAGENET1K_V1", "BSD-3", 170.5, "63fe2227"
        ),
        Source("imagenet", "vgg16", "VGG16_Weights.IMAGENET1K_V1", "BSD-3", 527.8, "397923af"),
        Source(
            "imagenet", "vgg16_bn", "VGG16_BN_Weights.IMAGENET1K_V1", "BSD-3", 527.9, "6c64b313"
        ),
        Source("scenes", "scenes-clip-rn", "scenes-clip-rn.safetensors", "MIT", 7.5),
        Source("scenes", "scenes-clip-vit", "scenes-clip-vit.safetensors", "MIT", 4.6),
        Source("scenes", "scenes-dino", "scenes-dino.safetensors", "MIT", 3.3),
        # OpenAI's SHA-256 is of its .pt archives; open_clip downloads the hub's copies of the same.
        Source("openai", "RN50-quickgelu", "timm/resnet50_clip.openai", "MIT", 408.0, "afeb0e10"),
        Source("openai", "RN101-quickgelu", "timm/resnet101_clip.openai", "MIT", 479.0, "8fa8567b"),
        Source(
            *("openai", "ViT-B-16-quickgelu", "timm/vit_base_patch16_clip_224.openai", "MIT"),
            *(599.0, "5806e77c"),
        ),
        Source(
            *("laion2b_s34b_b88k", "ViT-B-16", "laion/CLIP-ViT-B-16-laion2B-s34B-b88K", "MIT"),
            599.0,
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
    return _torchvision(source) if source.shipped is None else read_state(source.shipped)


def weights_card(name: str) -> dict[str, Any]:
    """The card that ships beside embedded weights: command, seed, seconds, machine, accuracy.

    Args:
        name: of the weights file, such as "scenes-resnet" or "scenes-resnet-single".
    """
    return read_json(SHIPPED / f"{name}.json")


def card_beside(weights: Path) -> dict[str, Any]:
    """The card of a weights file, of the same name with `.json`; empty where there is none.

    Raises:
        WeightsError: what lies there is no card.
    """
    path = weights.with_suffix(".json")
    if not path.is_file():
        return {}
    try:
        card = read_json(path, dict)
        for name in ("protocol", "config"):
            if not isinstance(card.get(name) or {}, dict):
                raise ValueError(f"{path}: {name} is no set of values")
    except ValueError as error:
        raise WeightsError(f"{error}; without a card the weights are read all the same") from error
    return card


def seen_by(name: str, weights: str | Path) -> str | None:
    """What an encoder was shown, as the card beside its weights says; None where there is none."""
    source = SOURCES.get((name, str(weights)))
    shipped = None if source is None else source.shipped
    return card_beside(shipped or Path(weights)).get("seen")


def write_weights(
    path: Path,
    state: Mapping[str, Tensor],
    card: dict[str, Any],
    metadata: dict[str, str] | None = None,
) -> None:
    """A safetensors file in fp16, and its card with the suffix `.json`; each of them whole.

    Raises:
        WeightsError: naming tensors with values that are not finite; nothing is written.
    """
    require_finite(state, f"{path.name} is not written: it")
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(halved(state), metadata))
    write_json(path.with_suffix(".json"), card)


def cached_tensor(kind: str, key: str, make: Callable[[], Tensor]) -> Tensor:
    """`make()`, or what it gave before for the same `key`; kept in `<data root>/<kind>/`.

    An unreadable file is made again. Where nothing can be written, nothing is kept.
    """
    path = data_root() / kind / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors"
    if path.is_file():
        with contextlib.suppress(SafetensorError, KeyError, OSError):
            return load_file(path)["value"]
    value = make()
    with contextlib.suppress(OSError), atomic_path(path) as temporary:
        temporary.write_bytes(save({"value": value.contiguous()}))
    return value


def load_fitting(module: nn.Module, state: dict[str, Tensor], origin: str, hint: str = "") -> None:
    """Load `state` into `module`, every tensor or none.

    Raises:
        WeightsError: naming missing, unknown and misshapen tensors, and `hint`; or those with
            values that are not finite.
    """
    own = module.state_dict()
    missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    shapes = [
        f"{key}: file {_form(state[key])}, model {_form(own[key])}"
        for key in sorted(own.keys() & state.keys())
        if not _alike(own[key], state[key])
    ]
    # Files from before PyTorch 0.4.1 have no batch counter; frozen BatchNorm never reads it.
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    if missing or unknown or shapes:
        raise WeightsError(
            f"{origin} does not fit {type(module).__name__}: missing {missing[:5]}, unknown "
            f"{unknown[:5]}, other shapes {shapes[:5]}{hint}"
        )
    require_finite({key: state[key] for key in sorted(own.keys() & state.keys())}, origin)
    module.load_state_dict(state, strict=False)


def _alike(expected: Tensor, loaded: Tensor) -> bool:
    """Of one shape; and weights, which are fractions, are never loaded from whole numbers."""
    fractions = loaded.is_floating_point() or not expected.is_floating_point()
    return expected.shape == loaded.shape and fractions


def _form(tensor: Tensor) -> str:
    whole = "" if tensor.is_floating_point() else " of whole numbers"
    return f"{tuple(tensor.shape)}{whole}"


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
