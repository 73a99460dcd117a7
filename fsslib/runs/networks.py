"""Networks of a run as parameters name them: weights, encoders, parts that come trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from fsslib.config import ConfigError, strict
from fsslib.grammar import format_group, parse_group
from fsslib.settings import GridFacet, Settings, Tap

if TYPE_CHECKING:
    from fsslib.encoders.clip import ClipEncoder, Resize

CLIP = "scenes-clip-vit"
"""The embedded CLIP whose dense features are read."""
CLIP_NAMES = {
    "clip_model": ("clip", None),
    "clip_weights": ("clip", "weights"),
    "attention": ("clip", "attention"),
}
"""Parameters that stand for a part of `clip`."""


@dataclass(frozen=True)
class Weights(Settings):
    """A network and where its weights come from."""

    name: str
    weights: str
    """A tag, or a path."""
    dilated: bool | None = None
    """Of a backbone: whether its output stride is 8; None: as the method reads it."""

    @classmethod
    def of_backbone(cls, parameter: str, text: str) -> Weights:
        """`"resnet50 weights=imagenet"`; without weights the embedded ones, or ImageNet's; timm's
        are called `timm/ARCHITECTURE`."""
        usual = "timm" if text.lstrip().startswith("timm/") else "imagenet"
        parsed = cls._parsed(parameter, text, usual)
        from fsslib.encoders.backbones import require_backbone

        require_backbone(parsed.name, parameter)
        return parsed

    @classmethod
    def _parsed(cls, parameter: str, text: str, usual: str, usual_name: str | None = None) -> Self:
        name, changes = parse_group(parameter, text)
        name = name or usual_name
        if name is None:
            raise ConfigError(f"{parameter}={text!r}: expected a network's name first")
        default = "scenes" if name.startswith("scenes") else usual
        return strict(cls, {"name": name, "weights": default} | changes)

    @property
    def embedded(self) -> bool:
        return self.name.startswith("scenes")

    @property
    def choices(self) -> list[str]:
        """What else its answers depend on, in the grammar's words."""
        return []

    def __str__(self) -> str:
        return format_group(self.name, {"weights": self.weights})


@dataclass(frozen=True)
class ClipWeights(Weights):
    """A CLIP, where its weights come from, and what its dense features are."""

    attention: str | None = None
    """Of a ViT's last block where dense features or its tokens are read: "naclip sigma=1", a name
    of `AttentionConfig` and changes to it. None: as each method is used to."""
    positions: Literal["bicubic", "bilinear", "area", "scaled"] | None = None
    """How a ViT's positions are resized: bicubic, bilinear, area or scaled (NACLIP and its line).
    None: as each method is used to."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.attention is not None:
            from fsslib.encoders.attention_config import AttentionConfig
            from fsslib.encoders.clip_loading import is_resnet, require_maskclip

            config = AttentionConfig.parse("attention", self.attention)
            if is_resnet(self.name):
                require_maskclip(self.name, self.attention)
            object.__setattr__(self, "attention", str(config))

    @property
    def choices(self) -> list[str]:
        chosen = {"attention": self.attention, "positions": self.positions}
        return [f"{name}={value}" for name, value in chosen.items() if value is not None]

    def load(self, positions: Resize = "bicubic") -> ClipEncoder:
        """The encoder; `positions` where none are chosen."""
        from fsslib.encoders.clip_loading import load_clip

        return load_clip(self.name, self.weights, self.positions or positions, self.attention)

    @classmethod
    def of_clip(cls, parameter: str, text: str, usual: str | None = None) -> ClipWeights:
        """`"ViT-B-16-quickgelu weights=openai"`; without weights the embedded ones, or OpenAI's.

        Args:
            usual: the model where the text has weights alone.
        """
        import open_clip

        from fsslib.encoders.clip_small import SMALL_CLIPS

        parsed = cls._parsed(parameter, text, "openai", usual)
        if parsed.name not in SMALL_CLIPS and parsed.name not in open_clip.list_models():
            known = sorted(SMALL_CLIPS)
            raise ConfigError(
                f"{parameter}={parsed.name!r}: expected one of {known} or a model of open_clip"
            )
        return parsed


@dataclass(frozen=True)
class EncoderConfig(Settings):
    """The encoder of a training-free method: a network, its weights, and what is read of it."""

    name: str
    weights: str
    """A tag, or a path."""
    facet: GridFacet | None = None
    """What is read: `dense` features of a CLIP, `tokens`, or `q`, `k`, `v` of a DINO; None: `dense`
    of a CLIP, `tokens` of a ViT."""
    block: Tap = -1
    """Whose tokens are read."""
    norm: bool | None = None
    """Whether tokens are read after the final norm; None: as the method's paper has it."""
    attention: str | None = None
    """Of a CLIP's last block, as for `clip`; None: as its dense features usually are."""

    @classmethod
    def parse(cls, parameter: str, text: str) -> EncoderConfig:
        """`"timm/vit_small_patch14_dinov2 weights=FILE"`; without weights the embedded ones,
        timm's, OpenAI's or ImageNet's."""
        from fsslib.encoders.grid_encoders import is_grid_encoder, usual_weights

        name, changes = parse_group(parameter, text)
        if name is None or not is_grid_encoder(name):
            raise ConfigError(
                f"{parameter}={text!r}: expected an encoder's name first: an embedded one such as "
                "scenes-clip-vit or scenes-dino, a CLIP of open_clip, a backbone, or 'timm/' and a "
                "ViT of timm such as timm/vit_small_patch14_dinov2"
            )
        return strict(cls, {"name": name, "weights": usual_weights(name)} | changes)

    @property
    def choices(self) -> list[str]:
        """What else its answers depend on, in the grammar's words."""
        changed = self.changed()
        return [f"{n}={v}" for n, v in changed.items() if n not in ("name", "weights")]

    @property
    def embedded(self) -> bool:
        return self.name.startswith("scenes")


def proxies_of(network: Weights | EncoderConfig) -> list[tuple[str, str]]:
    """The encoder that a CLIP's last attention asks, and its weights; none for most."""
    text = getattr(network, "attention", None)
    if text is None:
        return []
    from fsslib.encoders.attention_config import AttentionConfig
    from fsslib.encoders.grid_encoders import usual_weights

    config = AttentionConfig.parse("attention", text)
    if config.scores != "proxy":
        return []
    return [(config.proxy, config.proxy_weights or usual_weights(config.proxy))]


@dataclass(frozen=True)
class PartsConfig(Settings):
    """Parts of methods that come trained."""

    base: str = "shipped"
    """Base learner of BAM and HDMNet: a `.safetensors` file of `train_base`, or "shipped", which
    finds the one of the fold in `methods/weights`."""
    extractor: str = "scenes-moco"
    """Prior extractor of QGNet's region map: a backbone."""
    extractor_weights: str | None = None
    """Of one that learned without labels, such as a checkpoint of MoCo, of which the key encoder is
    taken; None: the embedded one's own."""
    heads: str = "shipped"
    """CLIP-DINOiser's: a `.safetensors` file of `train_dinoiser`, the published checkpoint,
    "shipped", or "teachers", which asks DINO and FOUND instead."""
    masks: str = "clusters"
    """Who draws the masks of GF-SAM's, Matcher's and PerSAM's points: clusters, superpixels, sam, a
    SAM's name on the hub, or the folder of one."""

    text_map: str | None = None
    """Of Talk2DINO, from CLIP's texts to DINO's cells: its authors' file, which has no licence."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.masks != type(self).masks:
            from fsslib.methods.mask_makers import require_mask_maker

            require_mask_maker(self.masks)

    @classmethod
    def parse(cls, parameter: str, text: str) -> PartsConfig:
        """`"base=base.safetensors"`: changes alone."""
        head, changes = parse_group(parameter, text)
        if head is not None:
            raise ConfigError(f"{parameter}={text!r}: expected changes as name=value alone")
        return strict(cls, changes)

    def require_text_map(self) -> None:
        """ConfigError unless Talk2DINO's map is named, and there."""
        if self.text_map is None:
            from fsslib.encoders.talk2dino import GET_IT

            raise ConfigError(f"text_map is not given. {GET_IT}, parts='text_map=FILE'")
        from fsslib.runs.required import require_file

        require_file("text_map", self.text_map)

    @property
    def prior_extractor(self) -> Weights:
        """The extractor and its weights.

        Raises:
            ConfigError: a network that is not embedded, and no weights.
        """
        text = format_group(self.extractor, {})
        chosen = Weights.of_backbone("extractor", text)
        if self.extractor_weights is None and not chosen.embedded:
            raise ConfigError(
                f"extractor={self.extractor!r} needs extractor_weights=, such as the path of a "
                "MoCo checkpoint"
            )
        return Weights(self.extractor, self.extractor_weights or chosen.weights)
