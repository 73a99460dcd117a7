"""N-way episodes for binary methods: every class against the rest, and the arg max of all.

The usual way to let a 1-way method answer an N-way episode; no paper of theirs defines one. The
method is asked about each class alone, with that class's supports. A pixel belongs to the class
whose foreground logit is farthest above its background logit, or to the background where none is
above. Costs N passes; classes do not know of each other until the end.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from fsslib.data.episode import IGNORE, Episode
from fsslib.methods.base import Around, FewShotSegmenter, Prediction


class OneVersusRest(Around):
    """A binary method on episodes of any way. 1-way episodes go through as they are.

    Maps come as (B,N,…): each class's own. Training stays 1-way.
    """

    def __init__(self, method: FewShotSegmenter) -> None:
        super().__init__(method)
        self.frozen, self.binary = method.frozen, False

    def forward(self, episodes: Episode) -> Prediction:
        if not episodes.batched or episodes.way == 1:
            return self.method(episodes)
        batch, way = len(episodes), episodes.way
        answer = self.method(one_way_episodes(episodes))
        logits = answer.logits.unflatten(0, (batch, way))  # (B, N, 2, H, W)
        margin = logits[:, :, 1] - logits[:, :, 0]
        background = torch.zeros_like(margin[:, :1])
        maps = {
            name: value.unflatten(0, (batch, way)) if len(value) == batch * way else value
            for name, value in answer.maps.items()
        }
        return Prediction(torch.cat([background, margin], 1), maps)

    def loss(self, prediction: Prediction, episodes: Episode) -> dict[str, Float[Tensor, ""]]:
        if episodes.way != 1:
            raise ValueError(
                f"{type(self.method).__name__} is binary and learns from 1-way episodes, got "
                f"{episodes.way}-way ones; train with way=1 and evaluate with more"
            )
        return super().loss(prediction, episodes)


def one_way_episodes(episodes: Episode) -> Episode:
    """B episodes of N classes as B·N episodes of one: each class in turn, all else background."""
    way = episodes.way
    each = torch.arange(1, way + 1, device=episodes.query_mask.device)[:, None, None]
    masks = episodes.query_mask[:, None]  # (B, 1, H, W)
    own = (masks == each).byte().masked_fill(masks == IGNORE, IGNORE)
    return replace(
        episodes,
        query_image=episodes.query_image.repeat_interleave(way, 0),
        query_mask=own.flatten(0, 1),
        support_images=episodes.support_images.flatten(0, 1)[:, None],
        support_masks=episodes.support_masks.flatten(0, 1)[:, None],
        class_ids=episodes.class_ids.flatten()[:, None],
        class_names=tuple((name,) for names in episodes.class_names for name in names),
        ids=_repeated(episodes.ids, way),
        original_mask=_repeated(episodes.original_mask or (), way) or None,
        query_classes=_repeated(episodes.query_classes, way),
    )


def _repeated(entries: tuple, times: int) -> tuple:
    return tuple(entry for entry in entries for _ in range(times))


def any_way(method: FewShotSegmenter, way: int) -> FewShotSegmenter:
    """`method` itself where it takes episodes of this way, else in `OneVersusRest`."""
    return OneVersusRest(method) if way > 1 and method.binary else method
