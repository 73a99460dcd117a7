"""What a run needs before a kernel starts: its files, its device.

Configurations are also read from cards, on machines where none of that is there; so it is asked
for when something is to be run, and not when a configuration is made.
"""

from __future__ import annotations

from collections.abc import Iterable

from fsslib.config import ConfigError, shown
from fsslib.data.benchmark import BENCHMARKS
from fsslib.data.registry import default_root
from fsslib.files import local_path
from fsslib.settings import Precision


def require_file(name: str, value: str | None, words: Iterable[str] = ()) -> None:
    """ConfigError unless `value` is None, one of the `words`, or an existing file."""
    if value is None or value in (words := list(words)):
        return
    if not local_path(value).is_file():
        instead = f", nor one of {words}" if words else ""
        raise ConfigError(
            f"{name}={shown(value)}: no such file{instead}; give the path of an existing file"
        )


def require_folder(name: str, value: str | None) -> None:
    """ConfigError unless `value` is None or an existing folder."""
    if value is not None and not local_path(value).is_dir():
        raise ConfigError(
            f"{name}={shown(value)}: no such folder; give the path of an existing one"
        )


def require_weights(name: str, network: str, weights: str | None) -> None:
    """ConfigError unless the weights of a network are a tag that it has, or a file."""
    if ":" not in network:  # a class of one's own knows its tags itself
        require_file(name, weights, tags_of(network))


def tags_of(network: str) -> list[str]:
    """What can be said in place of a file of weights."""
    import open_clip

    from fsslib.encoders.clip_small import SMALL_CLIPS
    from fsslib.encoders.timm_stages import timm_tags
    from fsslib.encoders.weights import SOURCES

    known = sorted(tag for architecture, tag in SOURCES if architecture == network)
    if network.startswith("timm/"):
        known += timm_tags(network)
    elif network in open_clip.list_models() and network not in SMALL_CLIPS:
        known = list(open_clip.list_pretrained_tags_by_model(network))
    return [*known, "random"]


def require_benchmark(benchmark: str, root: str | None) -> None:
    """ConfigError for a benchmark on disk whose folder is not there; names the command that gets
    its files."""
    kind = BENCHMARKS.get(benchmark)
    if kind.rendered or (root is None and kind.default_folder is None):
        return
    chosen = default_root(benchmark) if root is None else local_path(root)
    if not chosen.is_dir():
        raise ConfigError(
            f"root={shown(str(chosen))}: no such folder; give the one that holds {benchmark}'s "
            f"files (`python -m fsslib.data download {benchmark} --root FOLDER` says how to get "
            "those of a published benchmark)"
        )


def require_device_for(device: str, precision: Precision) -> None:
    """ConfigError for a precision that the device has not."""
    import torch

    from fsslib.training.precision import require_precision

    alone = device == "cpu" or (device == "auto" and not torch.cuda.is_available())
    try:
        require_precision(precision, "cpu" if alone else "cuda")
    except ValueError as error:
        raise ConfigError(f"device={device!r}: {error}") from error
