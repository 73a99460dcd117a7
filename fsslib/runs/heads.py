"""Trained heads of a run: where they lie, and that they fit what they are put on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fsslib.config import ConfigError
from fsslib.data.protocol import Protocol
from fsslib.encoders.weights import card_beside
from fsslib.runs.config import parse_card
from fsslib.runs.evaluate_config import EvaluateConfig
from fsslib.runs.run_config import file_name


def head_path(config: EvaluateConfig) -> Path:
    """The trained head that `config.head` names."""
    return config.shipped_head if config.head == "shipped" else Path(config.head)


def head_card(config: EvaluateConfig) -> dict[str, Any]:
    """How the head was trained, as the card beside it says; empty without head or card."""
    return {} if config.head is None else card_beside(head_path(config))


def require_unseen(config: EvaluateConfig, protocol: Protocol) -> None:
    """ConfigError for a head whose card says that it was trained on this test's classes."""
    trained = head_card(config).get("protocol", {})
    if trained.get("benchmark") != protocol.benchmark:
        return  # other classes altogether, or nobody knows
    for name in ("fold", "coco_folds"):
        if trained[name] != getattr(protocol, name):
            raise ConfigError(
                f"head={config.head!r} was trained with {name}={trained[name]!r}, and classes of "
                f"{name}={getattr(protocol, name)!r} are no novel ones for it; give its own"
            )


def require_encoders(config: EvaluateConfig) -> None:
    """ConfigError for a head whose card names other encoders or another base learner than it would
    now be put on."""
    trained = trained_with(head_card(config).get("config"))
    if trained is None:
        return
    for name, then in _read_by(trained).items():
        now = _read_by(config).get(name)
        if now is not None and now != then:
            raise ConfigError(
                f"head={config.head!r} was trained with {name}={then!r} and reads nothing else; "
                f"got {name}={now!r}"
            )


def require_learner(config: EvaluateConfig, path: Path) -> None:
    """ConfigError for a base learner whose card names another backbone, or other weights of it,
    than it would now be put on."""
    try:
        trained = parse_card("train_base", card_beside(path)["config"])
    except (KeyError, ConfigError):
        return  # nobody knows
    then, now = (
        f"{one.name} {file_name(one.weights)}"
        for one in (trained.backbone_weights, config.backbone_weights)
    )
    if then != now:
        raise ConfigError(
            f"base={config.trained_parts.base!r} was trained with backbone={then!r} and reads "
            f"nothing else; got backbone={now!r}"
        )


def trained_with(parameters: dict[str, Any] | None) -> EvaluateConfig | None:
    """The typed parameters of a card, also of one that older versions wrote; None where there are
    none, or none that are understood today."""
    try:
        return parse_card("train", parameters | {"head": None}) if parameters else None
    except ConfigError:
        return None


def _read_by(config: EvaluateConfig) -> dict[str, str]:
    """Encoders and base learner as cards name them: files by their names."""
    parts, trained = config.part_types, config.trained_parts
    known = {"backbone": lambda: config.backbone_weights}
    known |= {"extractor": lambda: trained.prior_extractor}
    known |= {"clip": lambda: config.clip_weights_of("clip")}
    known |= {"words": lambda: config.clip_weights_of("words")}
    chosen = {name: known[name]() for name in known if name in parts}
    texts = {
        name: " ".join([one.name, file_name(one.weights), *one.choices])
        for name, one in chosen.items()
    }
    return texts | ({"base": file_name(trained.base)} if "base" in parts else {})
