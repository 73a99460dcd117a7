"""Under which licence the weights of an encoder are.

Code here is MIT; weights are their publishers'. What asks for more than a line of thanks is told in
words, in the card of every run and before anything is downloaded.
"""

from __future__ import annotations

from pathlib import Path

from fsslib.encoders.weights import SOURCES, card_beside

CONDITIONS = {
    "dinov3-license": (
        "Meta's DINOv3 License: no open-source licence; using the weights accepts it, whoever "
        "passes them on passes it on, publications name it, and trade controls apply "
        "(https://ai.meta.com/resources/models-and-libraries/dinov3-license)"
    ),
    "cc-by-nc-4.0": "CC BY-NC 4.0: not for commercial use",
}
"""Licences with conditions of their own, in words."""


class LicenceWarning(UserWarning):
    """Weights that are about to be downloaded have a licence with conditions of its own."""


def text_map_licence(path: str) -> str:
    """Of a map from words to DINO's cells: as the card beside it says. Talk2DINO's have none."""
    licence = card_beside(Path(path)).get("licence") if Path(path).is_file() else None
    return licence or "none given by its authors (Talk2DINO's are): all rights reserved"


def timm_licence(name: str) -> str:
    """Of timm's weights of "timm/ARCHITECTURE.TAG", in words; "unknown" where timm names none."""
    from timm.models import get_pretrained_cfg  # a second, which others need not wait

    config = get_pretrained_cfg(name.removeprefix("timm/"))
    licence = (config.license if config else None) or "unknown"
    return CONDITIONS.get(licence, licence)


def licence_of(name: str, weights: str) -> str | None:
    """The licence of a network's weights, as far as it is known: of the registry's, of timm's, or
    as the card beside a file says. None for random weights and files without such a card."""
    if weights == "random":
        return None
    if (known := SOURCES.get((name, weights))) is not None:
        return known.licence
    if Path(weights).is_file():
        return card_beside(Path(weights)).get("licence")
    if name.startswith("timm/"):
        return timm_licence(name if weights == "timm" else f"{name.partition('.')[0]}.{weights}")
    return None
