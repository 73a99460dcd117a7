"""The shapes of a state dict, asked by a class's own keys whatever the file calls them.

What a network was built with mostly shows in its tensors: `FewShotSegmenter.shown_settings` reads
it there, of the released code's files as of our own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

OfficialNames = tuple[tuple[str, str], ...]
"""Our pattern and the official spelling of a state-dict key, tried in order."""
Shape = tuple[int, ...]


def official_name(key: str, names: OfficialNames) -> str:
    """A key of ours, or the beginning of one, as the official code spells it; as it is, where no
    pattern fits."""
    for ours, its in names:
        if match := re.match(ours, key):
            return match.expand(its) + _rest(key[match.end() :], its)
    return key


def _rest(key: str, before: str) -> str:
    """HSNet's 4-D convolution calls its parts by number."""
    if not before.startswith("hpn_learner."):
        return key
    return key.replace("query.", "conv1.").replace("support.", "conv2.")


class Shapes:
    """Shapes by our keys.

    Args:
        state: tensors, or shapes, by the file's keys.
        names: how the file spells our keys; none for files of ours.
    """

    def __init__(
        self, state: Mapping[str, Tensor | Sequence[int]], names: OfficialNames = ()
    ) -> None:
        self.names = names
        self._shapes: dict[str, Shape] = {
            key: tuple(value.shape) if isinstance(value, Tensor) else tuple(value)
            for key, value in state.items()
        }

    def get(self, key: str) -> Shape | None:
        return self._shapes.get(official_name(key, self.names))

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def axis(self, key: str, axis: int, absent: int | None = None) -> int | None:
        """The size of one axis; `absent` where there is no such tensor or axis."""
        shape = self.get(key)
        return shape[axis] if shape is not None and len(shape) > axis else absent

    def pair(self, key: str) -> tuple[int, int] | None:
        """Output and input channels of a layer; None where there is no such layer."""
        shape = self.get(key)
        return (shape[0], shape[1]) if shape is not None and len(shape) > 1 else None

    def count(self, pattern: str) -> int:
        """How many tensors "layers.{}.weight" there are, numbered from 0."""
        number = 0
        while pattern.format(number) in self:
            number += 1
        return number

    def any_below(self, prefix: str) -> bool:
        """Whether any key begins so."""
        beginning = official_name(prefix, self.names)
        return any(key.startswith(beginning) for key in self._shapes)
