"""Files that are no method's: encoders, other parts, and networks that are not built here.

Each is known by a few keys, and told with where it can be used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from fsslib.encoders.backbones import MOCO_PREFIXES, STEM_KEYS
from fsslib.encoders.clip_small import SMALL_CLIPS
from fsslib.encoders.stages import StageBackbone
from fsslib.encoders.vgg import STAGE_NAMES, VGG16
from fsslib.interop.checkpoint import Checkpoint
from fsslib.interop.parts import Encoder, backbone_below, clip_below, resnet_clip_below
from fsslib.methods.shapes import OfficialNames, Shapes

FILE = "FILE"
"""What commands call the file."""


@dataclass(frozen=True)
class OtherFile:
    """What a file is, if it is no method's."""

    what: str
    """"a checkpoint of the official MoCo: …"."""
    use: str
    """What it fits here and how, or why nothing."""
    fits: bool = True


State = Mapping[str, Tensor]


def recognise(held: Checkpoint) -> OtherFile | None:
    """What the file is, where a few keys tell; None for methods and for what nobody knows."""
    if name := embedded_clip(held.file):
        return OtherFile(f"a CLIP of this package: {name}", f'-p clip="{name} weights={FILE}"')
    for known in _KNOWN:
        if about := known(held.state):
            return about
    return None


def embedded_clip(file: Path | None) -> str:
    """The name of an embedded CLIP, whose files hold their vocabulary; empty for other files."""
    if file is None or file.suffix != ".safetensors":
        return ""
    with safe_open(file, "pt") as content:
        name = (content.metadata() or {}).get("model", "")
    return name if name in SMALL_CLIPS else ""


def torchvision_names(backbone: StageBackbone, prefix: str = "") -> OfficialNames:
    """How torchvision and the deep-stem release spell a backbone's keys."""
    if isinstance(backbone, VGG16):
        return tuple(
            (rf"{stage}\.{number}\.", f"{prefix}features.{start + number}.")
            for stage, start, stop in zip(
                STAGE_NAMES, backbone.bounds, backbone.bounds[1:], strict=False
            )
            for number in range(stop - start)
        )
    stem = tuple((rf"stem\.{number}\.", f"{prefix}{its}.") for its, number in STEM_KEYS.items())
    return (*stem, (r"(layer[1-4])\.", rf"{prefix}\1."))


def _backbone(state: State, prefix: str = "") -> Encoder | None:
    """A backbone below a prefix, by torchvision's names or by ours."""
    theirs = backbone_below("", lambda net: Shapes(state, torchvision_names(net, prefix)))
    own = None if theirs or prefix else backbone_below("", lambda net: Shapes(state))
    return (theirs or own or (None,))[0]


def _moco(state: State) -> OtherFile | None:
    held = [w for w, prefix in MOCO_PREFIXES.items() if any(k.startswith(prefix) for k in state)]
    if not held:
        return None
    backbone = _backbone(state, MOCO_PREFIXES[held[0]])
    name = backbone.name if backbone and backbone.name else "BACKBONE"
    queue = f", a queue of {state['queue'].shape[-1]} keys" if "queue" in state else ""
    words = backbone.words if backbone else "of an unknown backbone"
    return OtherFile(
        f"a checkpoint of the official MoCo: {' and '.join(held)} encoder, {words}{queue}",
        f'weights of a backbone (-p backbone="{name} weights={FILE}") or of a prior extractor '
        f'(-p parts="extractor={name} extractor_weights={FILE}")',
    )


def _dinoiser(state: State) -> OtherFile | None:
    weight = state.get("obj_proj.weight")
    if weight is None:
        return None
    width = weight.shape[1] if weight.ndim == 4 else "unknown"
    lacking = {"obj_proj.bias", "bkg_decoder.weight", "bkg_decoder.bias"} - state.keys()
    return OtherFile(
        f"CLIP-DINOiser's heads, for a CLIP of width {width}",
        f"it lacks {sorted(lacking)}" if lacking else f'-p parts="heads={FILE}"',
        not lacking,
    )


def _clip(state: State) -> OtherFile | None:
    shapes = Shapes(state)
    if encoder := clip_below("", shapes) or resnet_clip_below("visual.", shapes):
        activation = "its activation does not show: OpenAI's weights need a -quickgelu name"
        return OtherFile(
            f"a CLIP: {encoder.words}",
            f'-p clip="{encoder.name or "NAME"} weights={FILE}" ({activation})',
        )
    if encoder := resnet_clip_below("", shapes):
        return OtherFile(
            f"the image tower of a CLIP: {encoder.words}",
            "it lacks the text tower, without which no class has a name; give the whole CLIP",
            False,
        )
    return None


def _transformer(state: State) -> OtherFile | None:
    width, patch = state.get("cls_token"), state.get("patch_embed.proj.weight")
    if width is None or patch is None:
        return None
    about = f"a Vision Transformer (DINO, timm): width {width.shape[-1]}, patches of "
    return OtherFile(
        f"{about}{patch.shape[-1]} px", f"load_dino(NAME, '{FILE}'); a teacher of train_dinoiser"
    )


def _not_built(state: State) -> OtherFile | None:
    def has(*beginnings: str) -> bool:
        return all(any(key.startswith(each) for key in state) for each in beginnings)

    if has("ASPP.layer6_0.", "down_conv.", "skip1."):
        return OtherFile(
            "ASGNet with its ASPP decoder",
            "this decoder is not built here: every published configuration has the other one "
            "(pyramid), which method=asgnet is",
            False,
        )
    if has("hpn_learner.") and "state" in state:
        return OtherFile(
            "IMR-HSNet", "this network is not built here; nearest is method=hsnet", False
        )
    return None


def _classification(state: State) -> OtherFile | None:
    heads = ("fc.", "classifier.")
    rest = [
        k for k in state if not k.startswith((*heads, "layer", "conv", "bn", "features", "stem"))
    ]
    encoder = None if rest else _backbone(state)
    if encoder is None:
        return None
    classifier = any(key.startswith(heads) for key in state)
    name = encoder.name or "NAME"
    return OtherFile(
        f"a backbone{' with its classifier' if classifier else ''}: {encoder.words}",
        f'-p backbone="{name} weights={FILE}"',
    )


_KNOWN: tuple[Callable[[State], OtherFile | None], ...] = (
    _moco,
    _dinoiser,
    _clip,
    _transformer,
    _not_built,
    _classification,
)
