"""Which words the embedded CLIPs have read: the names of Scenes-10i's classes, and no others."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from fsslib.config import ConfigError
from fsslib.data.scenes.classes import CLASS_NAMES


def all_known(names: Sequence[str]) -> bool:
    """Whether there are names, and the embedded CLIPs know them all."""
    return bool(names) and all(name in CLASS_NAMES for name in names)


def require_known_words(names: Sequence[str]) -> None:
    """ConfigError for a word that the embedded CLIPs have never read; suggests near ones."""
    for name in names:
        if name not in CLASS_NAMES:
            near = difflib.get_close_matches(name, CLASS_NAMES, 3, 0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"such as {CLASS_NAMES[0]!r}."
            raise ConfigError(
                f"class_name={name!r}: the embedded CLIPs know 40 words; {hint} For any word give "
                "weights of a published CLIP, such as weights='openai'"
            )
