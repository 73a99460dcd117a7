"""Two values side by side: in words what is off, in a picture where."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from fsslib.viz.cells import Map
from fsslib.viz.panel import panel

Fault = str
"""What is wrong, in a few words; empty where nothing is."""

CHANNELS, NUMBERS = 4, 128  # the most that are drawn
FEW = 12  # numbers, drawn as bars
SLENDER = 4  # how much longer than the other a side of a drawn matrix is at most


def compared(answer: Any, expected: Any, tolerance: float = 1e-4) -> Fault:
    """What is off about `answer`: its kind, its shape, values that are no numbers, or where it
    differs most from `expected` and by how much; and a likely slip (transposed, a factor, an
    offset, reversed), if one explains all of it."""
    if isinstance(expected, tuple | list):
        return _of_several(answer, expected, tolerance)
    ours, theirs = _numbers(answer), _numbers(expected)
    if theirs is None:
        return "" if answer == expected else f"returned {answer!r}, expected {expected!r}"
    if ours is None:
        return f"returned {type(answer).__name__}, expected {_kind(theirs)}"
    if ours.shape != theirs.shape:
        return f"shape {ours.shape}, expected {theirs.shape}{_reshaped(ours, theirs, tolerance)}"
    if bad := int((~np.isfinite(ours) & np.isfinite(theirs)).sum()):
        return f"{bad} of {ours.size} values are no finite number"
    if _close(ours, theirs, tolerance):
        return ""
    place = np.unravel_index(int(np.nanargmax(np.abs(ours - theirs))), ours.shape)
    where = f" at [{', '.join(map(str, place))}]" if place else ""
    off = f"{ours[place]:.4g}{where}, expected {theirs[place]:.4g}"
    return off + _slip(ours, theirs, tolerance)


def drawn(answer: Any, expected: Any) -> Any:
    """Yours, expected and difference (expected alone where `answer` is None); None if the values
    are neither maps nor a line of numbers."""
    ours, theirs = _numbers(answer), _numbers(expected)
    if theirs is None or not np.isfinite(theirs).any():
        return None
    if ours is not None and ours.shape != theirs.shape:
        ours = None
    if theirs.ndim == 1 and 1 < theirs.size <= NUMBERS:
        return _lines(ours, theirs)
    planes = theirs.reshape(-1, *theirs.shape[-2:]) if theirs.ndim >= 2 else theirs
    if planes.ndim != 3 or min(planes.shape[1:]) < 2 or len(planes) > CHANNELS:
        return None
    return _maps(None if ours is None else ours.reshape(planes.shape), planes)


def _of_several(answer: Any, expected: Any, tolerance: float) -> Fault:
    if not isinstance(answer, tuple | list) or len(answer) != len(expected):
        return f"returned {type(answer).__name__}, expected {len(expected)} values"
    faults = [compared(*pair, tolerance) for pair in zip(answer, expected, strict=True)]
    return next((f"value {n}: {fault}" for n, fault in enumerate(faults, 1) if fault), "")


def _numbers(value: Any) -> np.ndarray | None:
    if isinstance(value, int | float | bool | np.generic):
        return np.asarray(value, np.float64)
    if not hasattr(value, "shape"):
        return None
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value, np.float64)


def _kind(theirs: np.ndarray) -> str:
    return f"a tensor {theirs.shape}" if theirs.shape else "a number"


def _close(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> bool:
    return ours.shape == theirs.shape and np.allclose(
        ours, theirs, rtol=tolerance, atol=tolerance, equal_nan=True
    )


def _reshaped(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> str:
    if ours.ndim == 2 and _close(ours.T, theirs, tolerance):
        return ": it is transposed"
    if _close(ours.squeeze(), theirs.squeeze(), tolerance):
        return ": the values are right, an axis of length 1 is too many or missing"
    return ""


def _slip(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> str:
    if ours.ndim == 2 and ours.shape[0] == ours.shape[1] and _close(ours.T, theirs, tolerance):
        return ": it is transposed"
    if _close(1 - ours, theirs, tolerance):
        return ": yours is 1 minus the expected"
    if ours.size > 1:
        factor = float((ours * theirs).sum() / max((theirs**2).sum(), 1e-12))
        if factor and _close(ours / factor, theirs, tolerance):
            return f": yours is {factor:.4g} times the expected"
        offset = float((ours - theirs).mean())
        if _close(ours - offset, theirs, tolerance):
            return f": yours is the expected {offset:+.4g}"
    return ""


def _lines(ours: np.ndarray | None, theirs: np.ndarray) -> Any:
    """Bars for a few numbers, whose indices are no scale; points on a line for many."""
    figure, axis = plt.subplots(figsize=(6, 2), layout="constrained")
    places = np.arange(len(theirs))
    if len(theirs) <= FEW:
        _bars(axis, places, ours, theirs)
    else:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.plot(theirs, "o-", ms=5, lw=3, alpha=0.5, label="expected")
        if ours is not None:
            axis.plot(ours, "s--", ms=3, lw=1, label="yours")
    axis.set(xlabel="index", ylabel="value")
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    plt.close(figure)
    return figure


def _bars(axis: Axes, places: np.ndarray, ours: np.ndarray | None, theirs: np.ndarray) -> None:
    shift = 0.0 if ours is None else 0.2
    axis.bar(places - shift, theirs, 0.38, label="expected")
    if ours is not None:
        axis.bar(places + shift, ours, 0.38, label="yours")
    axis.axhline(0, color="0.4", lw=0.8)
    axis.set_xticks(places)
    axis.set_xlim(-0.6, max(len(places), 4) - 0.4)


def _maps(ours: np.ndarray | None, theirs: np.ndarray) -> Any:
    """One map: yours, expected and difference beside each other; several: a row of each, in whose
    columns the channels stand."""
    low, high = float(np.nanmin(theirs)), float(np.nanmax(theirs))
    ours, theirs = (None if each is None else _stretched(each) for each in (ours, theirs))
    kinds = {"expected": [Map(plane, low, high) for plane in theirs]}
    if ours is not None:
        span = max(high - low, 1e-12)
        yours = [Map(plane, low, high) for plane in ours]
        off = [Map(plane, 0, span) for plane in np.abs(ours - theirs)]
        kinds = {"yours": yours, **kinds, "difference": off}
    if len(theirs) == 1:
        return panel([[cell for row in kinds.values() for cell in row]], list(kinds), side=240)
    channels = [f"channel {number}" for number in range(len(theirs))]
    return panel(list(kinds.values()), channels, row_names=list(kinds), side=240)


def _stretched(planes: np.ndarray) -> np.ndarray:
    """With cells so tall or wide that no side is longer than SLENDER times the other."""
    height, width = planes.shape[1:]
    tall, wide = (max(1, -(-a // (SLENDER * b))) for a, b in ((width, height), (height, width)))
    return planes.repeat(tall, axis=1).repeat(wide, axis=2)
