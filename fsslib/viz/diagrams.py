"""The drawing of a system: blocks, what flows between them and in which shape, "you are here".

Drawings are data (`viz/systems/NAME.yaml`), so that one system looks the same in every lesson:

    title: PFENet
    blocks:
      backbone: {at: [1, 0], text: "backbone, layers 2-4", kind: frozen}
    arrows:
      - {from: support, to: backbone, text: "3×H×W"}

`at` is column and row of a grid, also between two (0.5). An arrow may bend (`bend: 0.3`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import matplotlib.pyplot as plt
import numpy as np
import yaml
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch

from fsslib.config import ConfigError
from fsslib.viz.lettering import folded

FOLDER = Path(__file__).parent / "systems"

Kind = Literal["data", "frozen", "free", "trained"]
KINDS: dict[Kind, tuple[str, str]] = {
    "data": ("#ffffff", "data"),
    "frozen": ("#cfe3f2", "frozen network"),
    "free": ("#e6e6e6", "computed, nothing to train"),
    "trained": ("#f9d9b0", "trained"),
}
COLUMN, ROW, WIDTH, HEIGHT = 1.85, 1.15, 1.38, 0.72  # inches
TEXT, SMALL, LIT = 8.5, 7.5, "#c2185b"


@dataclass(frozen=True)
class Block:
    """A box: its place in the grid, its text, and what kind of thing it is."""

    at: tuple[float, float]
    text: str
    kind: Kind = "free"

    @property
    def centre(self) -> np.ndarray:
        return np.array([self.at[0] * COLUMN, -self.at[1] * ROW])


@dataclass(frozen=True)
class Arrow:
    """What flows from one block to another, its shape as text."""

    start: str
    end: str
    text: str = ""
    bend: float = 0.0


@dataclass(frozen=True)
class System:
    """A drawing as data."""

    title: str
    blocks: dict[str, Block]
    arrows: list[Arrow] = field(default_factory=list)


def systems() -> list[str]:
    """The systems that have a drawing."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_system(name: str) -> System:
    """A drawing's blocks and arrows.

    Raises:
        ConfigError: no such drawing, or one that names a block or kind that it does not have.
    """
    if name not in systems():
        raise ConfigError(f"diagram {name!r}: expected one of {systems()}")
    content = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    blocks = {
        key: Block(**{**facts, "at": tuple(facts["at"])})
        for key, facts in content["blocks"].items()
    }
    arrows = [_arrow(facts) for facts in content.get("arrows", [])]
    named = {end for arrow in arrows for end in (arrow.start, arrow.end)}
    if missing := sorted(named - blocks.keys()):
        raise ConfigError(f"{name}.yaml: arrows name {missing}, expected blocks of {list(blocks)}")
    if odd := {block.kind for block in blocks.values()} - set(get_args(Kind)):
        raise ConfigError(f"{name}.yaml: kinds {sorted(odd)}, expected some of {list(KINDS)}")
    return System(content["title"], blocks, arrows)


def diagram(name: str, here: str | Iterable[str] = ()) -> Figure:
    """The drawing of a system, with the blocks of `here` lit.

    Args:
        name: one of `systems()`.
        here: a block or several, by the keys of the drawing's file.

    Raises:
        ConfigError: unknown system or block.
    """
    system = load_system(name)
    lit = {here} if isinstance(here, str) else set(here)
    if unknown := sorted(lit - system.blocks.keys()):
        raise ConfigError(f"diagram {name}: here={unknown}, expected some of {list(system.blocks)}")
    centres = np.array([block.centre for block in system.blocks.values()])
    margin = np.array([WIDTH / 2 + 0.1, HEIGHT / 2 + 0.35])  # below the legend, above the title
    low, high = centres.min(0) - margin, centres.max(0) + margin
    figure = plt.figure(figsize=tuple(high - low))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axis.axis("off")
    for arrow in system.arrows:
        _draw_arrow(axis, arrow, system.blocks)
    for key, block in system.blocks.items():
        _draw_block(axis, block, key in lit)
    _draw_legend(axis, system)
    places = [system.blocks[key].text for key in system.blocks if key in lit]
    title = _title(system.title, places)
    axis.set_title(title, fontsize=TEXT + 2, pad=-12, loc="left")
    figure.set_label(f"{title}. {_flow(system)}")  # the alternative text
    plt.close(figure)
    return figure


def _arrow(facts: dict[str, Any]) -> Arrow:
    others = {key: value for key, value in facts.items() if key not in ("from", "to")}
    return Arrow(facts["from"], facts["to"], **others)


def _title(title: str, places: list[str]) -> str:
    """The system, and which of its blocks are lit, each by its name alone."""
    names = [re.split("[:,]", " ".join(place.split()))[0] for place in places]
    together = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    return f"{title}. Here: {together}" if names else title


def _flow(system: System) -> str:
    """The arrows in words: "query image to backbone (3×H×W); …"."""
    text = {key: " ".join(block.text.split()) for key, block in system.blocks.items()}
    return "; ".join(
        f"{text[arrow.start]} to {text[arrow.end]}{f' ({arrow.text})' if arrow.text else ''}"
        for arrow in system.arrows
    )


def _draw_block(axis: Axes, block: Block, lit: bool) -> None:
    corner = block.centre - [WIDTH / 2, HEIGHT / 2]
    edge, width = (LIT, 3) if lit else ("#555555", 1)
    style = "round,pad=0,rounding_size=0.08"
    axis.add_patch(
        FancyBboxPatch(corner, WIDTH, HEIGHT, style, fc=KINDS[block.kind][0], ec=edge, lw=width)
    )
    lines = "\n".join(folded(block.text, int(WIDTH * 68), 10))
    axis.text(*block.centre, lines, ha="center", va="center", fontsize=TEXT, linespacing=1.1)


def _draw_arrow(axis: Axes, arrow: Arrow, blocks: dict[str, Block]) -> None:
    start, end = blocks[arrow.start].centre, blocks[arrow.end].centre
    ends = _edge(start, end), _edge(end, start)
    style = f"arc3,rad={arrow.bend}"
    axis.add_patch(
        FancyArrowPatch(
            *ends,
            arrowstyle="-|>",
            connectionstyle=style,
            mutation_scale=9,
            color="#333333",
            lw=1,
            shrinkA=0,
            shrinkB=1,
        )
    )
    if arrow.text:
        across = np.array([ends[1][1] - ends[0][1], ends[0][0] - ends[1][0]])
        place = (ends[0] + ends[1]) / 2 + arrow.bend / 2 * across
        box = {"fc": "white", "ec": "none", "pad": 0.8, "alpha": 0.9}
        axis.text(*place, arrow.text, ha="center", va="center", fontsize=SMALL, bbox=box)


def _edge(centre: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """Where the line from a block's centre to another place leaves its box."""
    step = towards - centre
    with np.errstate(divide="ignore"):
        share = np.min(np.array([WIDTH / 2, HEIGHT / 2]) / np.abs(step))
    return centre + min(share, 0.5) * step


def _draw_legend(axis: Axes, system: System) -> None:
    used = {block.kind for block in system.blocks.values()}
    patches = [
        Patch(fc=colour, ec="#555555", label=text)
        for kind, (colour, text) in KINDS.items()
        if kind in used
    ]
    axis.legend(
        handles=patches, loc="lower left", ncols=len(patches), fontsize=SMALL, frameon=False
    )
