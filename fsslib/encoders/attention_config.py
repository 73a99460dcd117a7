"""CLIP's last attention as one argument: what the cells of the last block look at.

    weights = softmax(scores),  mixed = out_proj(weights v)
    "vanilla":  x + mixed, then its MLP;    "reduced":  mixed alone

Seven papers differ in `scores` and in the arch; `AttentionConfig` names each of them. f is
1/sqrt(channels of a head), q, k and v are the heads of the last block on its own input x.

    clip       q k' f                  vanilla   Radford et al. 2021
    maskclip   identity                reduced   Zhou et al. 2022 (as ClearCLIP's code has it)
    residual   identity                vanilla   CLIP-DINOiser's MaskCLIP, and this package's usual
    sclip      q q' f and k k' f       vanilla   Wang et al. 2024: two softmaxes, summed, not halved
    clearclip  q q' f                  reduced   Lan et al. 2024
    kk         k k' f                  reduced   the base of NACLIP
    naclip     k k' f + omega          reduced   Hajimiri et al. 2025
    nonly      omega, scaled           reduced   NACLIP's ablation: neighbours alone
    proxy      another model's cosines reduced   ProxyCLIP, Lan et al. 2024; see `proxy.py`

omega is a Gaussian of the distance between two cells, added after f.

Which one is best depends on who reads it. `scenes-clip-vit`, mean of Scenes-10i's four folds, 150
one-shot episodes each, usual attention against sclip (`fsslib run evaluate -p attention=sclip -p
protocol="scenes10i episodes=150" -p fold=F` and `fsslib compare`):

    -p method="word_mask refine=false" -p clip=scenes-clip-vit   44.1 -> 47.0  +2.9 [2.2, 3.6]
    -p method="clip_dinoiser variant=text"                       28.1 -> 37.7  +9.6 [8.3, 10.8]
    -p method="clip_dinoiser variant=prototype"                  40.3 -> 39.8  -0.5 [-1.4, 0.3]
    -p method=clip_prior -p prior="pi_clip preset=scenes vvp=false"  54.6 -> 47.6  -7.0 [-8.4, -5.5]

Presets keep what their published results were made with. Lesson 63 shows why counting over objects
alone, which the plain block wins, is no guide to these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from fsslib.grammar import format_group
from fsslib.settings import Positive, Settings

Scores = Literal["qk", "identity", "qq", "kk", "qq+kk", "kk+omega", "omega", "proxy"]
Arch = Literal["vanilla", "reduced"]
Facet = Literal["tokens", "q", "k", "v"]


@dataclass(frozen=True)
class AttentionConfig(Settings):
    """What the cells of CLIP's last block look at; the module's text has the table."""

    preset_word = "kind"

    scores: Scores = "qk"
    """What the softmax is of."""
    arch: Arch = "vanilla"
    """Whether residual and MLP of the block are kept."""
    sigma: Positive = 5.0
    """Of the Gaussian over neighbours, in cells (`naclip`, `nonly`)."""
    beta: Positive = 1.2
    """Cosines below beta times their mean are cut (`proxy`)."""
    gamma: Positive = 3.0
    """1 / temperature of what is left (`proxy`)."""
    proxy: str = "scenes-dino"
    """Whose features are compared (`proxy`): an embedded DINO, timm's copies of DINO's own, any ViT
    of timm as `timm/NAME`, or another encoder of cells."""
    proxy_weights: str | None = None
    """Of the proxy: a file or a tag; None: its usual ones."""
    facet: Facet = "tokens"
    """What of the proxy's last block is compared; others than tokens for DINO's ViTs alone."""
    centred: bool | None = None
    """Whether the proxy's features are seen from their mean over the picture. None: as a DINO
    itself has them, and not for others; the paper's are not, `scenes-dino` needs it (see `Dino`).
    """
    official: bool = False
    """ProxyCLIP's released code: the mean of the cosines is over the whole batch, and rows and
    columns of the values change places."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """The papers' names; `residual` is MaskCLIP's identity with residual and MLP."""
        return {
            "clip": {},
            "maskclip": {"scores": "identity", "arch": "reduced"},
            "residual": {"scores": "identity"},
            "sclip": {"scores": "qq+kk"},
            "clearclip": {"scores": "qq", "arch": "reduced"},
            "kk": {"scores": "kk", "arch": "reduced"},
            "naclip": {"scores": "kk+omega", "arch": "reduced"},
            "nonly": {"scores": "omega", "arch": "reduced"},
            "proxy": {"scores": "proxy", "arch": "reduced"},
        }

    def __str__(self) -> str:
        """One text for what means the same, in the grammar that `parse` reads."""
        return format_group("clip", self.changed())
