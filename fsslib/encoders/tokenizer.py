"""Words to numbers for the embedded CLIPs: one token a word, a few hundred words in all.

Real CLIP splits words into 49,408 byte pairs; its token table alone would weigh ten times what a
whole embedded model may. The numbering follows CLIP's habits: 0 pads, the end token has the highest
number, so that `argmax` over a row finds where the sentence ends.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Int64
from torch import Tensor

_WORD = re.compile(r"[a-z]+|[0-9]+")


class UnknownWordError(ValueError):
    """A text holds words that the embedded CLIP has never seen."""


def words_of(text: str) -> list[str]:
    """The words of a text in lower case; punctuation is dropped."""
    return _WORD.findall(text.lower())


def vocabulary_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Every word of `texts`, sorted."""
    return tuple(sorted({word for text in texts for word in words_of(text)}))


class WordTokenizer:
    """Callable like open_clip's tokenizers.

    Args:
        vocabulary: the known words; token i + 1 is word i.
        context_length: longest text in tokens, start and end included.
    """

    def __init__(self, vocabulary: Sequence[str], context_length: int = 48) -> None:
        self.vocabulary, self.context_length = tuple(vocabulary), context_length
        self.start, self.end = len(self.vocabulary) + 1, len(self.vocabulary) + 2
        self.vocab_size = self.end + 1
        self._number = {word: i for i, word in enumerate(self.vocabulary, 1)}

    def __call__(
        self, texts: str | Sequence[str], context_length: int | None = None
    ) -> Int64[Tensor, "texts length"]:
        """Tokens of each text, padded with 0; longer texts are cut, the end token stays.

        Raises:
            UnknownWordError: naming the words.
        """
        texts = [texts] if isinstance(texts, str) else texts
        length = context_length or self.context_length
        rows = torch.zeros(len(texts), length, dtype=torch.long)
        for row, text in zip(rows, texts, strict=True):
            tokens = [self.start, *self._encode(text)[: length - 2], self.end]
            row[: len(tokens)] = torch.tensor(tokens)
        return rows

    def _encode(self, text: str) -> list[int]:
        words = words_of(text)
        unknown = [word for word in words if word not in self._number]
        if unknown:
            hint = "".join(map(self._nearest, unknown))
            raise UnknownWordError(
                f"{text!r}: the embedded CLIP does not know {unknown}{hint}; it was trained on the "
                f"{len(self.vocabulary)} words of its captions (tokenizer.vocabulary). Use one of "
                "these, or a real CLIP such as 'ViT-B-16-quickgelu' with weights='openai'"
            )
        return [self._number[word] for word in words]

    def _nearest(self, word: str) -> str:
        """The known words that look most like an unknown one."""
        near = difflib.get_close_matches(word, self.vocabulary, 3)
        return f" (near {word!r}: {', '.join(near)})" if near else ""
