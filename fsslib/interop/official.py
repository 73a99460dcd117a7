"""Reading checkpoints as the papers' authors publish them, key by key.

One list of patterns for each network says how our names are spelled there. Loading is strict: every
key of the file must be used, and every tensor of the model be given.
"""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor, nn

from fsslib.encoders.vgg import STAGE_NAMES, STAGES, VGG16
from fsslib.encoders.weights import WeightsError, read_state
from fsslib.methods.hsnet import HSNet

Names = tuple[tuple[str, str], ...]
"""Our pattern and the official spelling, tried in order; the first one that fits is used."""

_BACKBONE: Names = (
    (r"backbone\.stem\.", "layer0."),
    (r"backbone\.(layer[1-4])\.", r"\1."),
)
_REDUCTIONS: Names = ((r"reduce_query\.", "down_query."), (r"reduce_support\.", "down_supp."))
_ENSEMBLE: Names = (
    (r"ensemble\.(gram_merge|cls_merge)\.", r"\1."),
    (r"shot_weights\.network\.", "kshot_rw."),
)

PFENET_NAMES: Names = (
    *_BACKBONE,
    *_REDUCTIONS,
    (r"fem\.merge\.", "init_merge."),
    (r"fem\.alpha\.", "alpha_conv."),
    (r"fem\.beta\.", "beta_conv."),
    (r"fem\.inner\.", "inner_cls."),
    (r"fem\.fuse\.", "res1."),
    (r"fem\.refine\.", "res2."),
    (r"classifier\.", "cls."),
)
QGNET_NAMES: Names = (
    (r"extractor\.stem\.", "layer0_unsuper."),
    (r"extractor\.(layer[1-4])\.", r"\1_unsuper."),
    (r"project_bridge\.", "down_learn_super."),
    (r"project_prior\.", "down_learn_unsuper."),
    *PFENET_NAMES,
)
PSPNET_NAMES: Names = (
    *_BACKBONE,
    (r"head\.ppm\.", "ppm."),
    (r"head\.embed\.", "cls."),
    (r"head\.classify\.2\.", "cls.4."),
)
BAM_NAMES: Names = (
    *_BACKBONE,
    *_REDUCTIONS,
    *_ENSEMBLE,
    (r"base\.ppm\.", "learner_base.0."),
    (r"base\.embed\.", "learner_base.1."),
    (r"base\.classify\.2\.", "learner_base.1.4."),
    (r"merge\.", "init_merge."),
    (r"aspp\.branches\.", "ASPP_meta.layer6_"),
    (r"fuse\.", "res1_meta."),
    (r"refine\.", "res2_meta."),
    (r"classifier\.", "cls_meta."),
)
DECODER_NAMES: Names = (
    (r"levels\.(\d)\.embed\.", r"down_sample_layers.\1.0."),
    (r"levels\.(\d)\.blocks\.0\.attention\.", r"down_sample_layers.\1.1.attn.attn."),
    (r"levels\.(\d)\.blocks\.1\.attention\.", r"down_sample_layers.\1.2.attn.attn."),
    (r"levels\.(\d)\.blocks\.0\.reduce\.", r"down_sample_layers.\1.1.attn."),
    (r"levels\.(\d)\.blocks\.1\.reduce\.", r"down_sample_layers.\1.2.attn."),
    (r"levels\.(\d)\.blocks\.0\.", r"down_sample_layers.\1.1."),
    (r"levels\.(\d)\.blocks\.1\.", r"down_sample_layers.\1.2."),
    (r"levels\.(\d)\.norm\.", r"down_sample_layers.\1.3."),
    (r"match\.(\d)\.attention\.", r"match_layers.\1.0.attn.attn."),
    (r"match\.(\d)\.", r"match_layers.\1.0."),
    (r"merge\.(\d)\.0\.", r"match_layers.\1.1.conv."),
    (r"merge\.(\d)\.1\.", r"match_layers.\1.1.bn."),
    (r"parse\.", "parse_layers."),
    (r"classify\.", "cls."),
)
HDMNET_NAMES: Names = (
    *_BACKBONE,
    *_REDUCTIONS,
    *_ENSEMBLE,
    (r"base\.ppm\.", "ppm."),
    (r"base\.embed\.", "cls."),
    (r"base\.classify\.2\.", "base_learnear.2."),
    (r"merge_query\.", "query_merge."),
    (r"merge_support\.", "supp_merge."),
    *((rf"decoder\.{ours}", f"transformer.mix_transformer.{its}") for ours, its in DECODER_NAMES),
    (r"clip\.encoder\.model\.", "clip_model."),
)
"""HDMNet's and, with `prior="pi_clip"`, PI-CLIP's."""
_HSNET: Names = (
    *(
        (rf"decoder\.{ours}\.(\d)\.", rf"hpn_learner.{its}.\1.")
        for ours, its in (
            ("coarse", "encoder_layer4"),
            ("middle", "encoder_layer3"),
            ("fine", "encoder_layer2"),
            ("mix_middle", "encoder_layer4to3"),
            ("mix_fine", "encoder_layer3to2"),
            ("decode", "decoder1"),
            ("classify", "decoder2"),
        )
    ),
)
HSNET_NAMES: Names = (
    (r"backbone\.stem\.0\.", "backbone.conv1."),
    (r"backbone\.stem\.1\.", "backbone.bn1."),
    *_HSNET,
)
HSNET_VGG_NAMES: Names = (
    *(
        (rf"backbone\.{stage}\.{number}\.", f"backbone.features.{start + number}.")
        for stage, start in zip(STAGE_NAMES, STAGES[False], strict=False)
        for number in range(8)
    ),
    *_HSNET,
)
ASGNET_NAMES: Names = (
    *_BACKBONE,
    (r"reduce\.", "down_conv."),
    (r"fem\.merge\.", "corr_conv."),
    *PFENET_NAMES[-6:],
)

NAMES = {
    "PFENet": PFENET_NAMES,
    "QGNet": QGNET_NAMES,
    "BaseLearner": PSPNET_NAMES,
    "BAM": BAM_NAMES,
    "HDMNet": HDMNET_NAMES,
    "MatchingDecoder": DECODER_NAMES,
    "HSNet": HSNET_NAMES,
    "ASGNet": ASGNET_NAMES,
}
_UNUSED = re.compile(
    r"encoder\.\d|clip_model\.visual\.positional_embedding_new$|backbone\.(fc|classifier)\."
)
"""PSPNet lists its backbone twice; PI-CLIP's test adds a table to its CLIP; HSNet keeps the
classifier of its backbone."""
_OWN = ("class_ids",)
"""Ours alone: a base learner's file does not say which classes it knows."""


def official_name(key: str, names: Names) -> str:
    """A key of ours as the official code spells it; as it is, where no pattern fits."""
    for ours, its in names:
        if match := re.match(ours, key):
            return match.expand(its) + _rest(key[match.end() :], its)
    return key


def _rest(key: str, before: str) -> str:
    """HSNet's 4-D convolution calls its parts by number."""
    if not before.startswith("hpn_learner."):
        return key
    return key.replace("query.", "conv1.").replace("support.", "conv2.")


def _names(model: nn.Module) -> Names:
    vgg = isinstance(getattr(model, "backbone", None), VGG16)
    return HSNET_VGG_NAMES if vgg and isinstance(model, HSNet) else NAMES[type(model).__name__]


def load_official(
    model: nn.Module, checkpoint: Path | str | dict[str, Tensor], names: Names | None = None
) -> None:
    """Load an official checkpoint strictly: every key must be used, every tensor be given.

    Args:
        checkpoint: a file, or its state dict; keys with or without `module.`.
        names: by default those of the model's class, in `NAMES`.

    Raises:
        ValueError: no names for this class. WeightsError: names the missing and unknown keys, in
        the official spelling, or the shapes.
    """
    kind = type(model).__name__
    if names is None and kind not in NAMES:
        raise ValueError(f"{kind} has no official names; expected one of {sorted(NAMES)}")
    state = checkpoint if isinstance(checkpoint, dict) else read_state(Path(checkpoint))
    state = {key.removeprefix("module."): value for key, value in state.items()}
    state = {key: value for key, value in state.items() if not _UNUSED.match(key)}
    wanted = {
        official_name(key, names or _names(model)): (key, value)
        for key, value in model.state_dict().items()
        if key not in _OWN
    }
    missing, unknown = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    shapes = [
        f"{key}: file {tuple(state[key].shape)}, model {tuple(value.shape)}"
        for key, (_, value) in wanted.items()
        if key in state and state[key].shape != value.shape
    ]
    if missing or unknown or shapes:
        raise WeightsError(
            f"checkpoint does not fit {kind}: missing {missing[:8]}, "
            f"unknown {unknown[:8]}, other shapes {shapes[:8]}"
        )
    ours = {own: state[key] for key, (own, _) in wanted.items()}
    model.load_state_dict(ours, strict=False)
