"""Any CNN of timm as a stage backbone: `build_backbone("timm/convnext_tiny", "timm")`.

timm's `features_only` says behind which module a network reaches strides of 8, 16 and 32: those
features are layer2, layer3 and layer4 here. The modules must form a chain that can be cut there,
since methods put masked features through the last part alone (`last`).

`dilated` is timm's output stride of 8, as torchvision has it: the first block of a stage keeps the
previous stage's dilation, unlike the papers' (see `resnet.py`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import timm
import torch
from timm.models import FeatureListNet, get_pretrained_cfg
from timm.models.efficientnet import EfficientNetFeatures
from timm.models.mobilenetv3 import MobileNetV3Features
from torch import Tensor, nn

from fsslib.encoders.stages import IMAGENET_MEAN, IMAGENET_STD, StageBackbone
from fsslib.encoders.weights import WeightsError, load_fitting, read_state

PREFIX = "timm/"
STRIDES = {False: [8, 16, 32], True: [8, 8, 8]}
"""Of layer2, layer3 and layer4, undilated and dilated."""
PROBE = 64
"""Side in pixels of the picture that a new backbone is tried with."""


class TimmStages(StageBackbone):
    """A CNN of timm without its classifier; modules keep timm's names within each stage.

    Args:
        name: an architecture of timm, and perhaps a tag, whose statistics pictures are normalised
            with: "resnet26d", "resnet26d.bt_in1k".
        dilated: output stride 8.

    Raises:
        ValueError: it is no chain that can be cut at three depths, or it cannot be dilated.
    """

    def __init__(self, name: str, dilated: bool = True) -> None:
        super().__init__()
        network = _features(name, dilated)
        chain = _chain(name, network)
        info = network.feature_info.get_dicts()
        self.channels = tuple(level["num_chs"] for level in info[-3:])
        # The stem ends where the last feature before stride 8 does.
        cuts = [list(chain).index(level["module"].replace(".", "_")) + 1 for level in info[-4:]]
        self.stem, self.layer1 = _part(chain, 0, cuts[0]), nn.Identity()
        self.layer2, self.layer3, self.layer4 = (
            _part(chain, start, stop) for start, stop in pairwise(cuts)
        )
        source = get_pretrained_cfg(name)
        self.mean = torch.tensor(source.mean if source else IMAGENET_MEAN)[:, None, None]
        self.std = torch.tensor(source.std if source else IMAGENET_STD)[:, None, None]
        self._require_stages(name, dilated)

    def from_timm(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """timm's names ("stages.0.blocks…") as they are here ("layer1.stages_0.blocks…"); what
        follows the last stage, such as the classifier, is dropped."""
        owners = {name: stage for stage, part in self.named_children() for name in part._modules}
        renamed = {}
        for key, value in state.items():
            parts = key.split(".")
            for count in (1, 2):
                name = "_".join(parts[:count])
                if name in owners:
                    renamed[".".join([owners[name], name, *parts[count:]])] = value
        return renamed

    @torch.no_grad()
    def _require_stages(self, name: str, dilated: bool) -> None:
        """ValueError unless the parts give what timm says of them, and leave their input alone."""
        parts = (self.layer2, self.layer3, self.layer4)
        try:
            hidden = self.eval().stem(torch.zeros(1, 3, PROBE, PROBE))
            for part, channels, stride in zip(parts, self.channels, STRIDES[dilated], strict=True):
                inputs, written = hidden, hidden._version
                hidden = part(inputs)
                expected = (1, channels, PROBE // stride, PROBE // stride)
                if tuple(hidden.shape) != expected or inputs._version != written:
                    raise RuntimeError(f"a stage gives {tuple(hidden.shape)}, not {expected}")
        except (RuntimeError, AssertionError) as error:
            raise ValueError(f"{PREFIX}{name} cannot be cut into stages ({error})") from error
        self.train()


def is_timm(name: str) -> bool:
    """Whether `name` is "timm/" and an architecture of timm, with or without a tag that it has."""
    model, _, tag = name.removeprefix(PREFIX).partition(".")
    known = name.startswith(PREFIX) and timm.is_model(model)
    return known and (not tag or tag in pretrained_tags(model))


def pretrained_tags(model: str) -> list[str]:
    """Tags of the weights that timm can download for an architecture."""
    return [each.partition(".")[2] for each in timm.list_pretrained(f"{model}.*")]


def timm_tags(name: str) -> list[str]:
    """What `weights` of `timm/NAME` may be besides a file or "random"."""
    tags = pretrained_tags(name.removeprefix("timm/").partition(".")[0])
    return [*(["timm"] if tags else []), *tags]


def build_timm(name: str, weights: str | Path, dilated: bool) -> TimmStages:
    """A backbone of timm that is not frozen yet.

    Args:
        name: "timm/" and an architecture, with a tag or without.
        weights: "timm" (the name's tag, or the usual one), a tag, a file with timm's names or those
            of this backbone, or "random".

    Raises:
        ValueError: see `TimmStages`. WeightsError: the weights cannot be had or do not fit.
    """
    model, _, tag = name.removeprefix(PREFIX).partition(".")
    tags, requested = pretrained_tags(model), str(weights)
    tag = requested if requested in tags else tag
    backbone = TimmStages(f"{model}.{tag}" if tag else model, dilated)
    if requested == "random":
        return backbone
    if Path(weights).is_file():
        state = read_state(Path(weights))
        state = state if state.keys() == backbone.state_dict().keys() else backbone.from_timm(state)
    elif tags and requested in ("timm", *tags):
        state = backbone.from_timm(_download(f"{model}.{tag or get_pretrained_cfg(model).tag}"))
    else:
        raise WeightsError(
            f"weights={requested!r} for {name}: neither a file nor a known tag "
            f"{[*(['timm'] if tags else []), *tags, 'random']}; give one of these or the path of a "
            "file"
        )
    load_fitting(backbone, state, requested)
    return backbone


def _features(name: str, dilated: bool) -> nn.Module:
    """timm's own extractor, with features at strides 8, 16 and 32."""
    options = {"output_stride": 8} if dilated else {}
    try:
        network = timm.create_model(name, pretrained=False, features_only=True, **options)
    except (TypeError, ValueError, RuntimeError, AssertionError, NotImplementedError) as error:
        condition = (
            "at output stride 8; build it with dilated=False" if dilated else "at several depths"
        )
        raise ValueError(f"{PREFIX}{name} gives no features {condition} ({error})") from error
    strides = network.feature_info.reduction()
    if len(strides) < 4 or strides[-3:] != STRIDES[dilated]:
        hint = "; build it with dilated=False" if dilated and strides[-3:] == STRIDES[False] else ""
        raise ValueError(
            f"{PREFIX}{name} has features at strides {strides}; expected {STRIDES[dilated]} at "
            f"its end{hint}"
        )
    return network


def _chain(name: str, network: nn.Module) -> dict[str, nn.Module]:
    """The modules of a feature extractor in their order, each reading what the last one gave."""
    if isinstance(network, FeatureListNet):
        return dict(network.named_children())
    if isinstance(network, (EfficientNetFeatures, MobileNetV3Features)):
        blocks = {f"blocks_{number}": block for number, block in network.blocks.named_children()}
        return {n: m for n, m in network.named_children() if n != "blocks"} | blocks
    raise ValueError(
        f"{PREFIX}{name} is no chain of stages ({type(network).__name__}); use a CNN such as "
        "timm/resnet26d, timm/convnext_tiny, timm/regnety_016 or timm/efficientnet_b0"
    )


def _part(chain: Mapping[str, nn.Module], start: int, stop: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(list(chain.items())[start:stop]))


def _download(model: str) -> dict[str, Tensor]:
    """All of a classifier's weights, loaded strictly by timm."""
    try:
        return timm.create_model(model, pretrained=True).state_dict()
    except Exception as error:  # huggingface_hub, urllib and requests raise their own kinds
        raise WeightsError(
            f"{model} could not be had from timm's hub ({error}). No network: download its file "
            "elsewhere and pass the path as weights=, use the embedded backbone 'scenes-resnet', "
            "or ask for weights='random' by name"
        ) from error
