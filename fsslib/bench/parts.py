"""What is measured, in the sizes that are asked for: networks with random weights, noisy pictures.

Speed does not depend on weights, and on pictures only through their masks. Embedded networks come
as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from fsslib.config import ConfigError
from fsslib.data.episode import Episode
from fsslib.data.scenes import CLASS_NAMES
from fsslib.encoders import build_backbone
from fsslib.encoders.clip import ClipEncoder
from fsslib.encoders.clip_loading import load_clip
from fsslib.encoders.grid import GridEncoder
from fsslib.encoders.grid_encoders import build_grid_encoder
from fsslib.encoders.stages import StageBackbone
from fsslib.encoders.talk2dino import TextToDino
from fsslib.grammar import parse_group
from fsslib.layers.weighted_pooling import DinoiserHeads
from fsslib.methods import METHODS, PriorSpec, build_method, parts_of
from fsslib.methods.base import FewShotSegmenter, PriorExtractor
from fsslib.methods.base_learner import BaseLearner, BaseLearnerConfig
from fsslib.methods.build import suitable_preset
from fsslib.methods.clip_dinoiser.model import ClipDinoiser
from fsslib.methods.mask_makers import MaskMaker, build_mask_maker
from fsslib.methods.n_way import any_way
from fsslib.methods.pi_clip import ClipPriorConfig, ClipPriors
from fsslib.methods.talk2dino import DinoWords
from fsslib.methods.words import WordConfig, WordMasks

BASE_CLASSES = tuple(range(1, 16))
NAMES = tuple(CLASS_NAMES)
EMBEDDED = "scenes"


@cache
def backbone(name: str, dilated: bool = True) -> StageBackbone:
    """Shared by all rows that read it."""
    known = name in ("scenes-resnet", "scenes-moco")
    torch.manual_seed(0)
    return build_backbone(name, "scenes" if known else "random", dilated)


@cache
def clip(name: str) -> ClipEncoder:
    """Shared like backbones; positions of a ViT are resized as PI-CLIP's code does it."""
    torch.manual_seed(0)
    weights = _weights(name)
    return load_clip(name, weights, "bicubic" if weights == "scenes" else "bilinear")


def _weights(name: str) -> str:
    return "scenes" if name.startswith(EMBEDDED) else "random"


def make_method(case: dict[str, Any]) -> FewShotSegmenter:
    """The method of a case, on the CPU."""
    text, networks = case["name"], (case["backbone"], case["clip"])
    name, changes = parse_group("name", text)
    kind, prior = METHODS.get(name or ""), case.get("prior", "own")
    spec = PriorSpec.parse(kind.fixed_prior if kind.fixed_prior and prior == "own" else prior)
    usual = EMBEDDED if networks[0].startswith(EMBEDDED) else "paper"
    preset = changes.pop("preset", None) or suitable_preset(kind.config_class, usual)
    if "shot" in kind.config_class.__dataclass_fields__:
        changes.setdefault("shot", case["shot"])
    body = backbone(networks[0], kind.dilated)
    parts = make_parts(parts_of(kind, spec), networks, kind.dilated, preset, spec)
    torch.manual_seed(0)
    chosen = {"prior": prior} if kind.reads_prior else {}
    method = build_method(kind, body, preset, **chosen, **parts, **changes)
    return any_way(method, case.get("way", 1))


def make_parts(
    types: dict[str, Any],
    networks: tuple[str, str],
    dilated: bool,
    preset: str,
    prior: PriorSpec,
) -> dict[str, Any]:
    """All parts of these types but the backbone.

    Args:
        networks: names of backbone and CLIP. An extractor is of the backbone's architecture.

    Raises:
        ConfigError: a part of a type that is made nowhere here.
    """
    body, words = networks
    extractor = "scenes-moco" if body == "scenes-resnet" else body
    makers: dict[Any, Callable[[], Any]] = {
        BaseLearner: lambda: base_learner(body, dilated, preset),
        PriorExtractor: lambda: backbone(extractor),
        ClipPriors: lambda: _clip_priors(clip(words), preset, prior),
        WordMasks: lambda: WordMasks(clip(words), NAMES, _suited(WordConfig, preset)),
        ClipDinoiser: lambda: _dinoiser(clip(words)),
        GridEncoder: lambda: build_grid_encoder(words, _weights(words)),
        MaskMaker: build_mask_maker,
        DinoWords: lambda: DinoWords(clip(words), TextToDino((clip(words).dim, clip(words).dim))),
    }
    needed = {name: kind for name, kind in types.items() if kind is not StageBackbone}
    if foreign := [name for name, kind in needed.items() if kind not in makers]:
        raise ConfigError(f"part {foreign[0]!r}: the bench makes none of type {needed[foreign[0]]}")
    return {name: makers[kind]() for name, kind in needed.items()}


def _suited(kind: Any, preset: str) -> Any:
    return kind.preset(suitable_preset(kind, preset))


@cache
def base_learner(body: str, dilated: bool, preset: str) -> BaseLearner:
    """On a backbone, by its name; shared like it."""
    torch.manual_seed(0)
    dim = _suited(BaseLearnerConfig, preset).dim
    settings = BaseLearnerConfig(dim=dim, train_backbone=False)
    return BaseLearner(backbone(body, dilated), BASE_CLASSES, settings).freeze()


def _clip_priors(encoder: ClipEncoder, preset: str, prior: PriorSpec) -> ClipPriors:
    chosen = [s for s in prior.sources if s.kind.config_class is ClipPriorConfig]
    settings = chosen[0].config(preset) if chosen else _suited(ClipPriorConfig, preset)
    return ClipPriors(encoder, settings, NAMES)


def _dinoiser(encoder: ClipEncoder) -> ClipDinoiser:
    heads = DinoiserHeads(encoder.width, min(256, encoder.width)).requires_grad_(False)
    return ClipDinoiser(encoder, heads)


def noise(*shape: int) -> Tensor:
    """uint8, the same every time."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, shape, generator=generator, dtype=torch.uint8)


def episodes(batch: int, shot: int, size: int, way: int = 1, coverage: float = 0.24) -> Episode:
    """Noise, with objects that are rectangles in the middle: of a support `coverage` of the
    picture, of a query as much for all classes together."""
    supports = torch.zeros(batch, way, shot, size, size, dtype=torch.uint8)
    query = torch.zeros(batch, size, size, dtype=torch.uint8)
    side = round(coverage**0.5 * size)
    begin = (size - side) // 2
    supports[..., begin : begin + side, begin : begin + side] = 1
    edges = [begin + side * number // way for number in range(way + 1)]
    for number in range(way):
        query[:, begin : begin + side, edges[number] : edges[number + 1]] = number + 1
    return Episode(
        query_image=noise(batch, 3, size, size),
        query_mask=query,
        support_images=noise(batch, way, shot, 3, size, size),
        support_masks=supports,
        class_ids=torch.arange(1, way + 1).repeat(batch, 1),
        class_names=(NAMES[:way],) * batch,
        ids=tuple((f"query{number}",) for number in range(batch)),
        original_mask=tuple(query.clone().unbind()),
    )
