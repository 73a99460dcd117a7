"""The base learner of BAM and HDMNet: an ordinary segmentation network for the base classes.

A PSPNet, trained once for each fold, whose backbone the few-shot network reads as well.
`WithBaseLearner` is what the two methods have in common because of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from fsslib.encoders.stages import StageBackbone
from fsslib.layers.ensemble import Ensemble, Unsort, known_objects, shot_weights
from fsslib.layers.fem import resize
from fsslib.layers.pyramid import BaseHead
from fsslib.methods.base import Prediction
from fsslib.methods.pi_clip import ClipPriors
from fsslib.methods.prior_guided import PriorGuided


class BaseLearner(nn.Module):
    """PSPNet: pictures to logits of background and the base classes.

    Args:
        class_ids: global ids of the base classes, in the order of the logits.
        dim: channels of the head's embedding (512 in the papers).
    """

    def __init__(self, backbone: StageBackbone, class_ids: Sequence[int], dim: int = 512) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = BaseHead(backbone.channels[2], len(class_ids), dim)
        self.register_buffer("class_ids", torch.tensor(class_ids, dtype=torch.int64))

    def forward(self, images: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes h w"]:
        layer4 = self.backbone(images).layer4
        return resize(self.head(layer4), images.shape[-2:])


class WithBaseLearner(PriorGuided):
    """What BAM and HDMNet share: a frozen base learner beside the meta learner, and the ensemble.

    Args:
        base: the base learner's head, on this backbone's layer4.
        base_classes: global ids of its classes, in the order of its logits.
    """

    frozen = ("backbone", "clip", "base")

    def __init__(
        self,
        backbone: StageBackbone,
        base: BaseHead,
        base_classes: Sequence[int],
        prior: str,
        clip: ClipPriors | None,
        shot: int,
        unsort: Unsort,
    ) -> None:
        super().__init__(backbone, prior, clip)
        if len(base_classes) != base.classes:
            raise ValueError(
                f"base_classes are {len(base_classes)}, but the base learner has {base.classes}: "
                "give the ids that it was trained on, in order"
            )
        self.base, self.base_classes, self.shot = base.requires_grad_(False), base_classes, shot
        self.shot_weights, self.ensemble = shot_weights(shot, unsort), Ensemble()

    def train(self, mode: bool = True) -> WithBaseLearner:
        super().train(mode)
        self.base.eval()
        return self

    def require_shot(self, shots: int) -> None:
        if shots != self.shot:
            raise ValueError(
                f"episodes have {shots} supports and this {type(self).__name__} was built for "
                f"{self.shot}; build it with shot={shots} and train it so"
            )

    def own_class(self, class_ids: Tensor | None, batch: int) -> Int64[Tensor, " b"]:
        """Each episode's class among the base learner's logits, 0 if it is not there."""
        device = next(self.base.parameters()).device
        if class_ids is None:
            return torch.zeros(batch, dtype=torch.int64, device=device)
        table = {class_id: number for number, class_id in enumerate(self.base_classes, start=1)}
        return torch.tensor([table.get(int(c), 0) for c in class_ids], device=device)

    def together(
        self,
        meta: Float[Tensor, "b 2 h w"],
        psi: Float[Tensor, " b"],
        base: Float[Tensor, "b classes h w"],
        class_ids: Tensor | None,
        maps: dict[str, Tensor],
        size: Sequence[int],
        inner: tuple[Tensor, ...] = (),
    ) -> Prediction:
        """The ensemble as a prediction at the picture's size."""
        known = known_objects(base.float(), self.own_class(class_ids, len(base)))
        final = self.ensemble(meta.float().softmax(1), psi.float(), known)
        maps = maps | {
            "known": known[:, None],
            "meta": meta.softmax(1)[:, 1:],
            "psi": psi[:, None, None, None],
        }
        return Prediction(resize(final, size), maps, (resize(meta, size), *inner))
