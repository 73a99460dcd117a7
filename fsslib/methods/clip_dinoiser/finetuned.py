"""V6: CLIP-DINOiser's heads, fine-tuned on episodes (V0 to V5: `variants.py`)."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fsslib.config import ConfigError
from fsslib.data.episode import Episode
from fsslib.layers.losses import balanced_cross_entropy
from fsslib.methods.base import METHODS, Prediction, require_batch
from fsslib.methods.clip_dinoiser.config import DinoiserConfig
from fsslib.methods.clip_dinoiser.model import ClipDinoiser
from fsslib.methods.clip_dinoiser.variants import SupportDinoiser


@METHODS.register("clip_dinoiser_finetuned")
class FineTunedDinoiser(SupportDinoiser):
    """V6: fusion whose heads, temperature and alpha learn on episodes of base classes.

    The seed's recipe made real: its code trains nothing. `bkg_decoder` takes part by lowering the
    background where a cell is salient. Logits are enlarged, not probabilities, so that the loss has
    a gradient where the method is sure and wrong.
    """

    trainable = True

    @classmethod
    def configure(cls, preset: str, **changes: Any) -> DinoiserConfig:
        """ConfigError for another variant than the one there is."""
        config = DinoiserConfig.preset(preset, **{"variant": "finetuned"} | changes)
        if config.variant != "finetuned":
            raise ConfigError(f"variant={config.variant!r}: 'clip_dinoiser_finetuned' has none")
        return config

    @classmethod
    def label(cls, config: DinoiserConfig) -> str:
        return cls.name

    def __init__(self, dinoiser: ClipDinoiser) -> None:
        if dinoiser.heads is None:
            raise ValueError("finetuned needs heads to go on with; teachers alone have none")
        heads = copy.deepcopy(dinoiser.heads).requires_grad_(True)
        super().__init__(ClipDinoiser(dinoiser.encoder, heads, dinoiser.config, dinoiser.cache))
        self.heads = heads
        alpha = min(max(self.config.alpha, 1e-3), 1 - 1e-3)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(self.config.temperature)))
        self.alpha_logit = nn.Parameter(torch.tensor(math.log(alpha / (1 - alpha))))

    def forward(self, episodes: Episode) -> Prediction:
        require_batch(episodes, type(self).__name__)
        query = self._view(episodes.query_image)
        images, maps = self.image_logits(query, episodes)
        words, alpha = self.word_logits(query, episodes), self.alpha_logit.sigmoid()
        cosine = alpha * words / self.config.temperature
        cosine = cosine + (1 - alpha) * images / self.config.image_temperature
        logits = self.log_temperature.exp() * cosine
        logits = torch.cat([logits[:, :1] - query.saliency, logits[:, 1:]], 1)
        full = self.dinoiser.enlarge(logits, episodes.query_mask.shape[-2:])
        return Prediction(full, maps | {"saliency": query.saliency.sigmoid()})

    def loss(self, prediction: Prediction, episodes: Episode) -> dict[str, Float[Tensor, ""]]:
        """`main`: cross-entropy with classes weighted by their rarity in the batch."""
        return {"main": balanced_cross_entropy(prediction.logits, episodes.query_mask)}


def dinoiser_method(dinoiser: ClipDinoiser) -> SupportDinoiser:
    """The method of `dinoiser.config.variant`."""
    kind = FineTunedDinoiser if dinoiser.config.variant == "finetuned" else SupportDinoiser
    return kind(dinoiser)
