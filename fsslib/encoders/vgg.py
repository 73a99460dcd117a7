"""VGG-16 with the stage taps of PFENet: stages end behind each pooling, the last one has none.

Output stride 16 from layer3 on (473 px give 29x29), layer2 has stride 8; methods bring layer2 to
layer3's grid. torchvision's weights load by their own key names through `from_torchvision`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torchvision.models import vgg16, vgg16_bn

from fsslib.encoders.pass_cache import Made
from fsslib.encoders.stages import StageBackbone

# Index ranges of torchvision's `features`; each stage takes its closing max-pool along, and the
# pool behind the last convolution is left out.
STAGE_NAMES = ("stem", "layer1", "layer2", "layer3", "layer4")
STAGES = {False: (0, 5, 10, 17, 24, 30), True: (0, 7, 14, 24, 34, 43)}


class VGG16(StageBackbone):
    """VGG-16 (`batch_norm=False`) or VGG-16-bn, without the classifier."""

    channels = (256, 512, 512)

    def __init__(self, batch_norm: bool = True) -> None:
        super().__init__()
        features = (vgg16_bn if batch_norm else vgg16)(weights=None).features
        bounds = STAGES[batch_norm]
        for name, start, stop in zip(STAGE_NAMES, bounds, bounds[1:], strict=False):
            setattr(self, name, nn.Sequential(*features[start:stop]))
        self.bounds = bounds

    def fine_features(self, images: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b c hf wf"]:
        """layer3 is read before its pooling (relu4_3), so that nothing has to be enlarged."""

        def make(part: Tensor) -> Made:
            layer2 = self.layer2(self.layer1(self.stem(part)))
            return (torch.cat([self.layer3[:-1](layer2), layer2], 1),)

        return self.once("fine", self.preprocess(images), make)[0]

    def from_torchvision(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """torchvision's `features.N.…` keys renamed to the stages here; the classifier dropped."""
        renamed = {}
        for key, value in state.items():
            if not key.startswith("features."):
                continue
            _, index, leaf = key.split(".")
            stage = sum(int(index) >= bound for bound in self.bounds) - 1
            renamed[f"{STAGE_NAMES[stage]}.{int(index) - self.bounds[stage]}.{leaf}"] = value
        return renamed
