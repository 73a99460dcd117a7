"""What `segment` gives back: masks, probabilities, maps; shown, and saved."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import Image

from fsslib.evaluation.absence import sureness
from fsslib.files import atomic_path, write_json
from fsslib.viz.overlay import overlay


@dataclass(frozen=True)
class Segmentation:
    """Where the classes are in the query.

    Attributes:
        mask: (h,w) of the query's size: j where the j-th class is, 0 elsewhere.
        probability: (N,h,w) in 0..1, of each class, as the method has it: not calibrated.
        picture: the query as it was read, upright.
        names: of the classes.
        maps: the method's intermediate maps, by the paper's name, (h',w') each; of several classes
            "NAME of CLASS". None of a picture in tiles.
        method, reason: what answered, and why it was chosen.
        threshold: the least score of a class that is there; None: not measured for this method.
    """

    mask: UInt8[np.ndarray, "h w"]
    probability: Float32[np.ndarray, "n h w"]
    picture: UInt8[np.ndarray, "h w 3"]
    names: tuple[str, ...]
    method: str
    reason: str
    seconds: float
    maps: Mapping[str, np.ndarray] = field(default_factory=dict)
    threshold: float | None = None

    @property
    def scores(self) -> tuple[float, ...]:
        """How sure the method is that each class is there: the mean over its surest pixels."""
        return tuple(sureness(torch.from_numpy(self.probability)).tolist())

    @property
    def present(self) -> tuple[bool | None, ...]:
        """Whether each class is there; None where nobody has measured from which score on."""
        return tuple(
            None if self.threshold is None else score >= self.threshold for score in self.scores
        )

    def overlay(self) -> Image.Image:
        """The query at its own size, dark where nothing was found, with outlines."""
        return Image.fromarray(overlay(self.picture, self.mask, enlarge=False).pixels)

    def save(self, folder: Path | str) -> Path:
        """Write `mask.png`, `overlay.png` and `result.json` into a folder, whole or not at all.

        Raises:
            OSError: the folder cannot be written to.
        """
        folder = Path(folder)
        for name, picture in (("mask", Image.fromarray(self.mask)), ("overlay", self.overlay())):
            with atomic_path(folder / f"{name}.png") as temporary:
                picture.save(temporary)
        write_json(folder / "result.json", self.facts())
        return folder

    def facts(self) -> dict[str, object]:
        """What there is to say of it in numbers."""
        rows = zip(self.names, self.scores, self.present, strict=True)
        shares = [float((self.mask == number).mean()) for number in range(1, len(self.names) + 1)]
        classes = [
            {"name": name, "score": round(score, 8), "present": present, "share_of_pixels": share}
            for (name, score, present), share in zip(rows, shares, strict=True)
        ]
        return {
            "method": self.method,
            "reason": self.reason,
            "height": self.mask.shape[0],
            "width": self.mask.shape[1],
            "seconds": round(self.seconds, 3),
            "there_from_score": self.threshold,
            "classes": classes,
        }

    def __str__(self) -> str:
        words = {True: "there", False: "not there", None: "unsure"}
        needed = "" if self.threshold is None else f" of {_share(self.threshold)} needed"
        sentences = [
            f"{row['name']}: {words[row['present']]} (score {_share(row['score'])}{needed}, "
            f"{100 * row['share_of_pixels']:.1f} % of pixels)"
            for row in self.facts()["classes"]
        ]
        return f"{'; '.join(sentences)}. By {self.method} ({self.reason}), {self.seconds:.1f} s"

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.overlay().save(content, "PNG")
        return content.getvalue()


def _share(value: float) -> str:
    """A number up to 1, with what it lacks where that is little: 0.87, 1 - 4e-06."""
    return f"{value:.2f}" if value < 0.995 or value == 1 else f"1 - {1 - value:.0e}"
