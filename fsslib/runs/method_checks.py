"""Parameters of a method that contradict each other, or that nothing would read, are refused."""

from __future__ import annotations

from fsslib.config import ConfigError
from fsslib.runs.network_config import EMBEDDED_CLIP, NetworkGroups


def require_readable(config: NetworkGroups) -> None:
    """ConfigError for groups that say what is impossible, or what nobody would read."""
    # Each of these is checked by being read.
    _ = config.word_settings, config.clip_weights_of("clip"), config.networks
    _ = [source.config(config.preset) for source in config.prior_spec.sources]
    _require_read(config)
    weights = config.backbone_weights
    if "extractor" in config.part_types:
        extractor = config.trained_parts.prior_extractor
        if extractor.embedded != weights.embedded:
            raise ConfigError(
                f"extractor={extractor.name!r} beside backbone={weights.name!r}: one of them "
                "is the embedded benchmark's; name the extractor, such as extractor=resnet50 "
                "with extractor_weights=PATH of a MoCo checkpoint"
            )
    reads_no_mask = not {"backbone", "dinoiser"} & config.part_types.keys()
    maskless = config.method_class.guided_by(config.method_settings) in ("word", "image")
    own = "guidance" in config.method_class.config_class.__dataclass_fields__
    if config.guidance is not None and not own and (reads_no_mask or maskless):
        raise ConfigError(f"guidance={config.guidance!r}: {config.label!r} reads no support mask")


def _require_read(config: NetworkGroups) -> None:
    """ConfigError for what is given and read by nobody."""
    readers = {
        "base": ("base",),
        "dinoiser": ("heads",),
        "extractor": ("extractor", "extractor_weights"),
        "masks": ("masks",),
        "dino_words": ("text_map",),
    }
    changed = config.trained_parts.changed()
    for part, names in readers.items():
        unread = [name for name in names if name in changed]
        if unread and part not in config.part_types:
            raise ConfigError(
                f"{unread[0]}={changed[unread[0]]!r}: method {config.label!r} reads none; leave "
                "it out"
            )
    _require_networks_read(config)


def _require_networks_read(config: NetworkGroups) -> None:
    usual = {name: field.default for name, field in type(config).__dataclass_fields__.items()}
    if config.words != usual["words"] and "words" not in config.part_types:
        raise ConfigError(
            f"words={config.words!r}: method {config.label!r} reads no word; leave it out, or add "
            "guidance=word"
        )
    if config.encoder != usual["encoder"] and "encoder" not in config.part_types:
        raise ConfigError(
            f"encoder={config.encoder!r}: method {config.label!r} reads none; leave it out, or "
            "name its network by backbone="
        )
    if config.clip is not None and not EMBEDDED_CLIP.keys() & config.part_types.keys():
        raise ConfigError(f"clip={config.clip!r}: method {config.label!r} has none; leave it out")
