"""Reading PFENet checkpoints as its authors publish them, key by key."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from torch import Tensor, nn

from fsslib.encoders.weights import WeightsError, read_state

# Official module name -> name here; what follows (index, leaf) is the same on both sides.
PFENET_NAMES = {
    "layer0": "backbone.stem",
    "layer1": "backbone.layer1",
    "layer2": "backbone.layer2",
    "layer3": "backbone.layer3",
    "layer4": "backbone.layer4",
    "down_query": "reduce_query",
    "down_supp": "reduce_support",
    "init_merge": "fem.merge",
    "alpha_conv": "fem.alpha",
    "beta_conv": "fem.beta",
    "inner_cls": "fem.inner",
    "res1": "fem.fuse",
    "res2": "fem.refine",
    "cls": "classifier",
}


def rename(key: str, names: dict[str, str]) -> str:
    """`key` with its first part translated; unknown parts stay and will be reported."""
    head, _, rest = key.removeprefix("module.").partition(".")
    return f"{names.get(head, head)}.{rest}"


def load_official(
    model: nn.Module, checkpoint: Path | str | dict[str, Tensor], names: dict[str, str]
) -> None:
    """Load an official checkpoint strictly: every key must be used, every parameter be given.

    Args:
        checkpoint: a file, or its state dict; keys with or without `module.`.

    Raises:
        WeightsError: names the missing and unknown keys, in the official spelling, or the shapes.
    """
    state = checkpoint if isinstance(checkpoint, dict) else read_state(Path(checkpoint))
    renamed = {rename(key, names): (key, value) for key, value in state.items()}
    wanted = model.state_dict()
    missing = _official(wanted.keys() - renamed.keys(), names)
    unknown = sorted(key for ours, (key, _) in renamed.items() if ours not in wanted)
    shapes = [
        f"{key}: file {tuple(value.shape)}, model {tuple(wanted[ours].shape)}"
        for ours, (key, value) in renamed.items()
        if ours in wanted and value.shape != wanted[ours].shape
    ]
    if missing or unknown or shapes:
        raise WeightsError(
            f"checkpoint does not fit {type(model).__name__}: missing {missing[:8]}, "
            f"unknown {unknown[:8]}, other shapes {shapes[:8]}"
        )
    model.load_state_dict({ours: value for ours, (_, value) in renamed.items()})


def load_official_pfenet(model: nn.Module, checkpoint: Path | str | dict[str, Tensor]) -> None:
    """PFENet's own key names (`layer0.0.weight`, `init_merge.0.0.weight`, …) into `PFENet`."""
    load_official(model, checkpoint, PFENET_NAMES)


def _official(keys: Iterable[str], names: dict[str, str]) -> list[str]:
    """Our names spelled the official way, so that the error speaks the file's language."""
    back = {ours: official for official, ours in names.items()}
    spelled = []
    for key in keys:
        prefix = next((ours for ours in back if key.startswith(f"{ours}.")), None)
        spelled.append(key if prefix is None else back[prefix] + key.removeprefix(prefix))
    return sorted(spelled)
