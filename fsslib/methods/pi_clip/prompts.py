"""Whose names PI-CLIP's softmax is over: the prompts of an episode."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from fsslib.data.episode import Episode
from fsslib.encoders.clip import ClipEncoder
from fsslib.encoders.prompts import class_words
from fsslib.methods.pi_clip.config import CandidateClasses


class Prompts:
    """Prompt embeddings of episodes, each class's made once.

    Args:
        candidates: whose prompts take part (see `ClipPriorConfig.candidate_classes`).
        words: what classes are called, a key of `prompts.CLASS_WORDS`.
        names: all classes of the benchmark, for "all".
    """

    def __init__(
        self,
        encoder: ClipEncoder,
        candidates: CandidateClasses,
        words: str,
        names: Sequence[str] = (),
    ) -> None:
        if candidates == "all" and not names:
            raise ValueError("candidate_classes='all' needs names=, all classes of the benchmark")
        self.encoder, self.candidates, self.words = encoder, candidates, words
        self.names = tuple(names)

    @property
    def made(self) -> dict[str, Tensor]:
        """Embeddings by name, of the encoder's weights as they are."""
        return self.encoder.while_unchanged(f"prompts {self.words}", dict[str, Tensor])

    def __call__(self, episodes: Episode) -> Float[Tensor, "b prompts d"]:
        """Prompt embeddings of each episode: "a photo of …" of its candidates, the target first,
        then "a photo without …" of the same; rows of zeros fill up."""
        rows = []
        for number, (target,) in enumerate(episodes.class_names):
            others = [name for name in self._others(episodes, number) if name != target]
            pairs = self._pairs([target, *others])
            rows.append(torch.cat([pairs[:, 0], pairs[:, 1]]))
        longest = max(len(row) for row in rows)
        return torch.stack([F.pad(row, (0, 0, 0, longest - len(row))) for row in rows])

    def _others(self, episodes: Episode, number: int) -> Sequence[str]:
        if self.candidates == "target":
            return ()
        if self.candidates == "all":
            return self.names
        if not episodes.query_classes:
            raise ValueError(
                "candidate_classes='oracle' reads the query's labels, and these episodes carry "
                "none; a protocol with query_labels='oracle' gives them"
            )
        present = episodes.query_classes[number]
        # The released code gives a constant 255 where the target is missing from the labels.
        return present if episodes.class_names[number][0] in present else ()

    def _pairs(self, names: Sequence[str]) -> Float[Tensor, "names 2 d"]:
        """Unit embeddings of each class's target and non-target prompt."""
        made = self.made
        if new := [name for name in names if name not in made]:
            words = class_words(new, self.words)
            both = [self.encoder.encode_text(words, group) for group in ("target", "non_target")]
            made.update(zip(new, torch.stack(both, 1), strict=True))
        pairs = torch.stack([made[name] for name in names])
        return pairs.to(self.encoder.logit_scale.device)
