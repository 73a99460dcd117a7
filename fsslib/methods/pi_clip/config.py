"""Settings of PI-CLIP's priors, and the maps they come out as.

Where the paper (Wang et al., CVPR 2024) and its released code part ways, a switch says so, and the
presets `paper` and `official` set all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from fsslib.encoders.clip import Norm
from fsslib.layers.resize import resize
from fsslib.priors.refinement import BoxOn
from fsslib.settings import Count, Fraction, Natural, Positive, Settings

CandidateClasses = Literal["target", "all", "oracle"]


@dataclass(frozen=True)
class ClipPriorConfig(Settings):
    """How the priors are made; `preset` gives the paper's, the released code's and ours."""

    vtp: bool = True
    vvp: bool = True
    refine_vtp: bool = True
    refine_vvp: bool = False
    """PIR on either prior: the rows of the paper's Table 4."""
    candidate_classes: CandidateClasses = "target"
    """Whose prompts the softmax is over: the target's two, those of all classes of the benchmark,
    or those of the classes that the ground truth finds in the query (privileged)."""
    words: str = "clip_es"
    """What classes are called: a key of `prompts.CLASS_WORDS`."""
    vvp_layers: Literal[1, 2] | None = None
    """Last block alone, or the one before it too. None: what the base reads, as the authors have
    it: HDMNet both, PFENet and BAM the last; both where no base reads them."""
    stretch: bool = False
    """Min-max on the VVP (Eq. 8); the code has none."""
    square: bool = False
    """R R in place of R (the code)."""
    box_on: BoxOn = "columns"
    """Where the box mask goes: on the columns of R (the code), on the result (Eq. 11)."""
    threshold: Fraction = 0.4
    """Of the box mask, in parts of the map's maximum."""
    blocks: Count = 8
    """Attention is averaged over this many last blocks."""
    rounds: Natural = 1
    """Sinkhorn rounds."""
    vvp_norm: Norm = "clip"
    """Statistics that pictures of the VVP are normalised by; the code's are ImageNet's."""
    vtp_size: Literal["input", "tensor", "original"] = "input"
    """Size of the VTP's picture before rounding up to whole patches: the network's input; the same
    by Pillow, and the map brought to it before it goes to the network's grid (the code on COCO); or
    the photograph's (the code on PASCAL; needs a protocol with `fit="stretch"`; augmented pictures
    go as "tensor", for which the code takes the photograph's size)."""
    shared_pass: bool = False
    """One pass of the query serves both priors, at the size and statistics of the VTP, which the
    supports get too: half the time, and not what the paper measured."""
    scale: Positive | None = None
    """1 / temperature of the softmax; None: the encoder's own (OpenAI's: 100)."""

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`paper`: Eqs. 1-11 as printed, with the code's prompts. `official`: as the released code
        runs, labels included. `scenes`: as the code but for the labels, in one pass."""
        return {
            "paper": {"vvp_layers": 1, "stretch": True, "box_on": "result"},
            "official": {
                "candidate_classes": "oracle",
                "square": True,
                "vvp_norm": "imagenet",
                "vtp_size": "original",
            },
            "scenes": {"square": True, "shared_pass": True, "words": "raw"},
        }

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.vtp or self.vvp):
            raise ValueError("vtp=False and vvp=False leave no prior; use prior='none'")


class ClipMaps(NamedTuple):
    """Priors of a batch of queries, each on CLIP's own grid, and what they were made of.

    Attributes:
        vtp: refined unless the config says otherwise; None without VTP.
        vvp: per layer (last first) and shot; None without VVP.
        cam, boxes: the VTP before refinement, and where refinement may spread from.
    """

    vtp: Float[Tensor, "b 1 hv wv"] | None
    vvp: Float[Tensor, "b kl hs ws"] | None
    cam: Float[Tensor, "b hc wc"] | None = None
    boxes: UInt8[Tensor, "b hc wc"] | None = None

    def on(self, grid: Sequence[int], repeat_vtp: int = 1) -> Float[Tensor, "b m h w"]:
        """All maps side by side on another grid, VTP first; bilinear, corners aligned."""
        parts = [] if self.vtp is None else [resize(self.vtp, grid)] * repeat_vtp
        parts += [] if self.vvp is None else [resize(self.vvp, grid)]
        return torch.cat(parts, 1)

    def named(self) -> dict[str, Tensor]:
        """Maps by the paper's names, for lessons and widgets."""
        return {name: maps for name, maps in self._asdict().items() if maps is not None}
