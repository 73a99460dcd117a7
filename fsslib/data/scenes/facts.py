"""What is known of one object of a scene."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SceneObject:
    """Facts about one object; the same at every resolution.

    Attributes:
        class_id: 1..40.
        name: the class name.
        colour: the word for its main colour.
        pattern: "" or the word for its main pattern ("striped", "dotted", ...).
        area: visible area, fraction of the image.
        hidden: share of its area inside the frame that other objects cover, 0..0.5.
        box: x0, y0, x1, y1 of the visible part, fractions of the image (y down).
        in_front_of: class ids of the objects that it partly covers.
    """

    class_id: int
    name: str
    colour: str
    pattern: str
    area: float
    hidden: float
    box: tuple[float, float, float, float]
    in_front_of: tuple[int, ...] = ()

    @property
    def centre(self) -> tuple[float, float]:
        """x, y of the middle of the box."""
        x0, y0, x1, y1 = self.box
        return (x0 + x1) / 2, (y0 + y1) / 2
