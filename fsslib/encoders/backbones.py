"""Backbones by name: `build_backbone("resnet50", weights="imagenet")`, or any CNN of timm:
`build_backbone("timm/convnext_tiny", "timm")`."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torchvision.models.resnet import BasicBlock, Bottleneck

from fsslib.encoders.resnet import ResNet
from fsslib.encoders.stages import StageBackbone
from fsslib.encoders.vgg import VGG16
from fsslib.encoders.weights import WeightsError, load_fitting, load_weights
from fsslib.registry import Registry

BACKBONES: dict[str, Callable[..., StageBackbone]] = {
    "scenes-resnet": partial(ResNet, BasicBlock, (2, 2, 2, 2), width=32),
    "scenes-moco": partial(ResNet, BasicBlock, (2, 2, 2, 2), width=32),
    "resnet18": partial(ResNet, BasicBlock, (2, 2, 2, 2)),
    "resnet50": partial(ResNet, Bottleneck, (3, 4, 6, 3)),
    "resnet101": partial(ResNet, Bottleneck, (3, 4, 23, 3)),
    "resnet50-v2": partial(ResNet, Bottleneck, (3, 4, 6, 3), stem="deep"),
    "resnet101-v2": partial(ResNet, Bottleneck, (3, 4, 23, 3), stem="deep"),
    "vgg16": partial(VGG16, batch_norm=False),
    "vgg16_bn": partial(VGG16, batch_norm=True),
}

OUTSIDE: Registry[StageBackbone] = Registry("backbone", StageBackbone)
"""Classes from outside the package, by `module:Class`."""

# torchvision's and the deep-stem release's names of the stem, in the order of `ResNet.stem`.
STEM_KEYS = {"conv1": 0, "bn1": 1, "conv2": 3, "bn2": 4, "conv3": 6, "bn3": 7}


MocoEncoder = Literal["query", "key"]
MOCO_PREFIXES: dict[MocoEncoder, str] = {"query": "encoder_q.", "key": "encoder_k."}


def build_backbone(
    name: str, weights: str | Path, dilated: bool = True, encoder: MocoEncoder = "key"
) -> StageBackbone:
    """A frozen backbone.

    Args:
        name: one of `BACKBONES`, "timm/" and an architecture of timm (`timm_stages.py`), or
            `module:Class`, a `StageBackbone` (built with `dilated`, if it takes that).
        weights: "scenes", "scenes-single" (of scenes-resnet: weaker, it saw single objects alone),
            "imagenet", "random", or a path to a checkpoint file, also the official MoCo's; of
            timm's, "timm" or a tag. Random weights are only ever used when asked for by this name.
        dilated: output stride 8 (VGGs have no dilation).
        encoder: which one of a MoCo checkpoint: QGNet's code reads the key encoder, MoCo transfers
            the query encoder. A file that holds one of them gives that one, and says so.

    Raises:
        ValueError: unknown name, or an architecture of timm that has no such features.
        WeightsError: the weights cannot be had or do not fit.
    """
    require_backbone(name)
    if name.startswith("timm/"):
        from fsslib.encoders.timm_stages import build_timm

        return _ready(build_timm(name, weights, dilated))
    factory = OUTSIDE.get(name) if ":" in name else BACKBONES[name]
    takes = "dilated" in signature(factory).parameters
    backbone = factory(**({"dilated": dilated} if takes else {}))
    if str(weights) != "random":
        state = load_weights(name, weights)
        if held := _moco_encoders(state):
            state = moco_encoder(state, _held(held, encoder, str(weights)))
        load_backbone_state(backbone, state, str(weights))
    return _ready(backbone)


def is_backbone(name: str) -> bool:
    """Whether `build_backbone` knows the name."""
    if ":" in name:
        return bool(OUTSIDE.get(name))  # or a ConfigError that says what is wrong with it
    if not name.startswith("timm/"):
        return name in BACKBONES
    from fsslib.encoders.timm_stages import is_timm  # a second, which others need not wait

    return is_timm(name)


def require_backbone(name: str, setting: str = "backbone") -> None:
    """ValueError unless `build_backbone` knows the name; `setting` is what it was given as."""
    if is_backbone(name):
        return
    near = get_close_matches(name, [*BACKBONES, *_timm_names(name)], 3, 0.7)
    hint = f" (did you mean {', '.join(near)}?)" if near else ""
    raise ValueError(
        f"{setting}={name!r}: expected one of {sorted(BACKBONES)}, or 'timm/' and a CNN of timm, "
        f"such as 'timm/convnext_tiny', or module:Class{hint}"
    )


def _timm_names(name: str) -> list[str]:
    if not name.startswith("timm/"):
        return []
    import timm

    return [f"timm/{each}" for each in timm.list_models()]


def _ready(backbone: StageBackbone) -> StageBackbone:
    # Channels last: the layout that convolutions on CPUs and tensor cores are fastest in.
    return backbone.freeze().to(memory_format=torch.channels_last)


def load_backbone_state(
    backbone: StageBackbone, state: dict[str, Tensor], origin: str = "state dict"
) -> None:
    """Load classification weights by torchvision's, the deep-stem release's or our own names."""
    if isinstance(backbone, VGG16):
        state = backbone.from_torchvision(state) if "features.0.weight" in state else state
    else:
        state = {_resnet_key(key): value for key, value in state.items()}
    state = {k: v for k, v in state.items() if not k.startswith(("fc.", "classifier."))}
    hint = " (a deep-stem 'v2' file needs resnet50-v2, a torchvision file resnet50)"
    load_fitting(backbone, state, origin, hint)


def moco_encoder(state: Mapping[str, Tensor], which: MocoEncoder = "key") -> dict[str, Tensor]:
    """One encoder's backbone from a checkpoint of the official MoCo, its head left out.

    Args:
        state: with or without `module.` before its keys (`encoder_q.*`, `encoder_k.*`, `queue`).
        which: MoCo transfers the query encoder, QGNet's code reads the key encoder.

    Returns:
        torchvision's names, for `load_backbone_state`.

    Raises:
        WeightsError: no such encoder among the keys.
    """
    prefix = MOCO_PREFIXES[which]
    bare = {key.removeprefix("module."): value for key, value in state.items()}
    tensors = {k.removeprefix(prefix): v for k, v in bare.items() if k.startswith(prefix)}
    if not tensors:
        raise WeightsError(
            f"no {prefix}* among {sorted(bare)[:5]}; expected a checkpoint of the official MoCo"
        )
    return {key: value for key, value in tensors.items() if not key.startswith("fc.")}


def _moco_encoders(state: Mapping[str, Tensor]) -> list[MocoEncoder]:
    """Which encoders of the official MoCo a checkpoint holds."""
    keys = [key.removeprefix("module.") for key in state]
    return [w for w, prefix in MOCO_PREFIXES.items() if any(k.startswith(prefix) for k in keys)]


def _held(held: list[MocoEncoder], requested: MocoEncoder, origin: str) -> MocoEncoder:
    """The encoder that is wanted, or with a warning the one that is there."""
    if requested in held:
        return requested
    warnings.warn(f"{origin} holds no {requested} encoder; read is its {held[0]} one", stacklevel=3)
    return held[0]


def _resnet_key(key: str) -> str:
    match = re.fullmatch(r"(conv[123]|bn[123])\.(\w+)", key)
    return f"stem.{STEM_KEYS[match[1]]}.{match[2]}" if match else key
