"""CLIPs by name: `load_clip("ViT-B-16-quickgelu", "openai")`, `load_clip("scenes-clip-vit")`.

One call for the embedded models, every ResNet and ViT of open_clip, and local files. The trap with
OpenAI's weights, which want QuickGELU in the architecture's name, is an error here: open_clip only
warns, and every text embedding would be wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import open_clip
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import VisionTransformer
from safetensors import SafetensorError, safe_open

from fsslib.config import ConfigError
from fsslib.encoders.attention_config import AttentionConfig
from fsslib.encoders.clip import ClipEncoder, Resize
from fsslib.encoders.clip_resnet import ClipResNet
from fsslib.encoders.clip_small import SMALL_CLIPS, small_clip
from fsslib.encoders.clip_vit import ClipViT
from fsslib.encoders.torchscript import is_jit_archive
from fsslib.encoders.weights import (
    SHIPPED,
    SOURCES,
    WeightsError,
    load_fitting,
    read_state,
)

_FACTS = ("input_resolution", "context_length", "vocab_size")
"""What OpenAI keeps beside the weights."""


def load_clip(
    name: str = "scenes-clip-vit",
    weights: str | Path = "scenes",
    positions: Resize = "bicubic",
    attention: str | None = None,
) -> ClipEncoder:
    """A frozen CLIP in fp32.

    Args:
        name: "scenes-clip-rn", "scenes-clip-vit", or an architecture of open_clip such as
            "RN50-quickgelu", "ViT-B-16-quickgelu" (OpenAI) or "ViT-B-16" (LAION).
        weights: "scenes" for the embedded ones; a tag of open_clip such as "openai" or
            "laion2b_s34b_b88k"; a local file (OpenAI's .pt archives too); or "random", by name.
        positions: how a ViT's position embeddings are resized, see `ClipViT`. The embedded ones
            have seen bicubic ones in their training.
        attention: of a ViT's last block where dense features are read, such as "naclip sigma=1"
            (`AttentionConfig`); None: as each method is used to. A ResNet has "maskclip" alone,
            which is what it does anyway.

    Raises:
        ValueError: unknown architecture or attention, or one that a ResNet does not have.
        WeightsError: unknown tag, wrong activation, no network, or a file that does not fit.
    """
    if name in SMALL_CLIPS:
        encoder = _embedded(name, weights)
    elif name in open_clip.list_models():
        model = _open_clip(name, weights)
        encoder = wrap(model, open_clip.get_tokenizer(name), f"{name}/{weights}")
    else:
        raise ValueError(
            f"CLIP {name!r} is unknown: expected one of {sorted(SMALL_CLIPS)} or an architecture "
            "of open_clip (open_clip.list_models())"
        )
    if isinstance(encoder, ClipViT):
        encoder = ClipViT(encoder.model, encoder.tokenizer, encoder.name, positions, attention)
    else:
        require_maskclip(name, attention)
    return encoder.freeze()


def is_resnet(name: str) -> bool:
    """Whether the image tower of a CLIP is a ModifiedResNet, by its name."""
    config = SMALL_CLIPS.get(name) or open_clip.get_model_config(name) or {}
    return isinstance(config.get("vision_cfg", {}).get("layers"), list)


def require_maskclip(name: str, attention: str | None) -> None:
    """ConfigError for an attention that the pool of a ResNet does not have."""
    if attention is None:
        return
    config = AttentionConfig.parse("attention", attention)
    if config != AttentionConfig.preset("maskclip"):
        raise ConfigError(
            f"attention={attention!r} with {name}: a ResNet's pool has 'maskclip' alone, every "
            "cell's own value; take a ViT, such as scenes-clip-vit, for another"
        )


def wrap(model: Any, tokenizer: Any, name: str) -> ClipEncoder:
    """The encoder class that fits an open_clip model.

    Raises:
        ValueError: neither a ModifiedResNet nor a plain Vision Transformer.
    """
    if isinstance(model, open_clip.CLIP):
        if isinstance(model.visual, ModifiedResNet):
            return ClipResNet(model, tokenizer, name)
        if isinstance(model.visual, VisionTransformer) and model.visual.attn_pool is None:
            return ClipViT(model, tokenizer, name)
    raise ValueError(
        f"{name}: its image tower is a {type(model.visual).__name__}; dense features are there for "
        "CLIPs with a ModifiedResNet (RN50, RN101, …) or a plain ViT (ViT-B-16, ViT-L-14, …)"
    )


def _embedded(name: str, weights: str | Path) -> ClipEncoder:
    """The vocabulary travels in the file's metadata: one file is a whole model."""
    if str(weights) == "random":
        raise WeightsError(f"{name} with random weights has no vocabulary; use small_clip()")
    shipped = str(weights) == "scenes"
    path = SHIPPED / SOURCES[name, "scenes"].origin if shipped else Path(weights)
    if not path.is_file():
        raise WeightsError(
            f"weights={str(weights)!r} for {name}: neither a file nor 'scenes'; give the path of a "
            f".safetensors file made by notebooks/runs/pretrain_clip.ipynb"
        )
    try:
        with safe_open(path, "pt") as file:
            facts = file.metadata() or {}
    except SafetensorError as error:
        raise WeightsError(f"{path} is not a safetensors file ({error})") from error
    if facts.get("model") != name:
        raise WeightsError(f"{path} holds {facts.get('model', 'something else')}, not {name}")
    if "vocabulary" not in facts:
        raise WeightsError(f"{path} lacks its vocabulary; make it anew with pretrain_clip")
    encoder = small_clip(name, facts["vocabulary"].split())
    load_fitting(encoder.model, read_state(path), str(path))
    return encoder


def _open_clip(name: str, weights: str | Path) -> Any:
    tag = str(weights)
    if tag == "random":
        return open_clip.create_model(name, load_weights=False, pretrained_text=False)
    if Path(weights).is_file():
        return _from_file(name, Path(weights))
    tags = open_clip.list_pretrained_tags_by_model(name)
    if tag not in tags:
        hint = _activation_hint(name, tag) or "a -quickgelu name has the tags that need it"
        raise WeightsError(
            f"weights={tag!r} for {name}: neither a file nor a known tag; tags: {tags} ({hint})"
        )
    settings = open_clip.get_pretrained_cfg(name, tag)
    if settings.get("quick_gelu", False) != _quick_gelu(name):
        raise WeightsError(f"{name} with {tag!r}: {_activation_hint(name, tag)}")
    try:
        return open_clip.create_model(name, pretrained=tag)
    except Exception as error:  # urllib, requests and huggingface_hub each raise their own kinds
        origin = settings.get("hf_hub") or settings.get("url")
        known = SOURCES.get((name, tag))
        facts = f", {known.megabytes:.0f} MB in fp32, licence {known.licence}" if known else ""
        raise WeightsError(
            f"{name} with {tag!r} could not be had from {origin}{facts} ({error}). No network: "
            "download the file elsewhere and pass its path as weights=, or use an embedded CLIP "
            f"({', '.join(sorted(SMALL_CLIPS))}, weights='scenes')"
        ) from error


def _from_file(name: str, path: Path) -> Any:
    state = {key: value for key, value in read_state(path).items() if key not in _FACTS}
    if is_jit_archive(path) and not _quick_gelu(name):
        raise WeightsError(
            f"{path} is one of OpenAI's archives, which need QuickGELU: use {name}-quickgelu"
        )
    model = open_clip.create_model(name, load_weights=False, pretrained_text=False)
    load_fitting(model, state, str(path))
    return model


def _quick_gelu(name: str) -> bool:
    return bool(open_clip.get_model_config(name).get("quick_gelu", False))


def _activation_hint(name: str, tag: str) -> str:
    """What to write instead when only the activation is wrong; "" where that is not the trouble."""
    other = name.removesuffix("-quickgelu") if name.endswith("-quickgelu") else f"{name}-quickgelu"
    if tag not in open_clip.list_pretrained_tags_by_model(other):
        return ""
    return f"these weights were trained with the other activation: use {other!r}"
