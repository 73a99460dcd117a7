"""Settings of LFSS, and the paper's numbers for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from fsslib.layers.losses import LossName
from fsslib.priors.self_support import Variant
from fsslib.settings import Count, Fraction, NonNegative, Positive, Settings

Supervision = Literal["gt", "pseudo"]
Fusion = Literal["prototype", "vote"]
LFSSGuidance = Literal["word", "mask"]


@dataclass(frozen=True)
class LFSSConfig(Settings):
    """Numbers of LFSS; `preset` gives the paper's and the embedded benchmark's."""

    guidance: LFSSGuidance = "word"
    """Where the support's mask comes from: a word, or its annotation (an upper bound, in one pass:
    a circle would put a prediction in the place of what is known). The query's always comes from
    the word."""
    refine: bool = True
    """The refiner of Eqs. 2 to 5."""
    variant: Variant = "ssp"
    alpha: Fraction = 0.5
    global_weight: NonNegative = 0.0
    dps: bool = True
    """Distributed prototypes; without them one masked average, spread over the query."""
    window: Count = 3
    """n of the rectification (Eq. 7); 1 leaves the seeds where they are."""
    seeds: Count = 5
    area_per_seed: Positive = 100
    """In cells. 100 of a grid of 50 x 50, as in ASGNet's code."""
    spacing: Positive = 10.0
    """Cells that count as much as a distance of 1 in features (r of ASGNet)."""
    official_border: bool = False
    feature_scale: Positive = 1.0
    """Factor on the features that are clustered; see `layers/clustering` on why it matters."""
    ccm: bool = True
    """Complementary correlation: attention-weighted prototype and both maps. Without it the region
    map alone, of the masked average."""
    temperature: Positive = 1.0
    """Of the attention of Eq. 13, as a factor on the cosine."""
    circle: Literal["hard", "soft", "none"] = "hard"
    """What the second pass gets: the first one's mask, cut and detached; its probabilities, with
    their gradient (IMR-HSNet); or nothing, there is one pass."""
    circle_at_test: bool = True
    supervision: Supervision = "gt"
    beta: Fraction = 0.5
    """Share of the support's loss (Eq. 20)."""
    fusion: Fusion = "prototype"
    """Several shots: all their prototypes and means of the maps, or a vote of one-shot predictions.
    Means, because the sum of Eq. 12 over the prototypes of five supports is five times what a head
    trained with one has read."""
    loss: LossName = "cross_entropy"
    dim: Count = 256
    rates: tuple[Count, ...] = (6, 12, 18)
    reduce_dropout: Fraction = 0.5

    @classmethod
    def presets(cls) -> dict[str, dict[str, Any]]:
        """`paper`: 400 pixels, a grid of 50 x 50. `scenes`: the embedded benchmark, a grid of
        13 x 13, smaller, with a balanced loss."""
        scenes = {
            "dim": 64,
            "rates": (2, 4, 6),
            "area_per_seed": 8,
            "spacing": 3.0,
            "loss": "cross_entropy_dice",
        }
        return {"paper": {}, "scenes": scenes}
