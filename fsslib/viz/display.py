"""How notebooks show figures: at twice the resolution, and with a text for those who cannot see.

Panels bring both along. What matplotlib draws gets them by `use_sharp_figures()`.
"""

from __future__ import annotations

import io
import platform
import textwrap
from importlib.metadata import version
from typing import Any

import matplotlib.pyplot as plt
import torch
from IPython import get_ipython
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from fsslib.data.episode import Episode, stack
from fsslib.data.protocol import Protocol
from fsslib.data.reader import EpisodeReader
from fsslib.data.registry import load_benchmark
from fsslib.data.sampler import test_episodes
from fsslib.viz.overlay import palette
from fsslib.viz.sharp import recognise

SCALE = 2  # pixels a pixel of the page
LINE = 80  # characters that a narrow page shows
TONES = 96  # colours of a chart: lines and words need no more

STYLE = {
    "figure.dpi": 100,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": plt.cycler(color=palette(7)[[1, 0, 2, 3, 6, 5, 4]] / 255),
    "legend.frameon": False,
    "savefig.facecolor": "white",
}
MIMETYPES = ("image/png", "image/jpeg", "image/svg+xml", "application/pdf")


def use_sharp_figures() -> None:
    """Style matplotlib, and in a notebook show its figures sharply and with alternative text."""
    plt.rcParams.update(STYLE)
    shell = get_ipython()
    if shell is None:
        return
    plt.switch_backend(plt.get_backend())  # loading it registers formatters of its own, now
    formatters = shell.display_formatter.formatters
    for mimetype in MIMETYPES:
        formatters[mimetype].pop(Figure, None)
    formatters["image/png"].for_type(Figure, chart_png)
    formatters["text/plain"].for_type(Figure, _write_plain)


def set_up(protocol: Protocol, gradients: bool = False) -> Episode:
    """What a lesson does before its first figure, in one call: figures become sharp and get an
    alternative text, torch works on one thread and, unless `gradients` are wanted, keeps none, and
    the test list of the protocol is read; figures draw its scenes anew, sharper.

    Returns:
        All episodes of the list, stacked: images (E,3,h,w), ground truth of the queries (E,h,w)
        with 0, 1 and 255 (not scored), supports (E,way,shot,…).
    """
    use_sharp_figures()
    torch.set_num_threads(1)
    torch.set_grad_enabled(gradients)
    benchmark = load_benchmark(protocol)
    reader = EpisodeReader(benchmark, protocol)
    episodes = stack([reader.read(spec) for spec in test_episodes(benchmark, protocol)])
    recognise(episodes)
    return episodes


def made_with(*packages: str) -> None:
    """Print the versions that a notebook ran with: Python, fsslib, torch, and what is named."""
    names = dict.fromkeys(("fsslib", "torch", *packages))
    versions = [f"python {platform.python_version()}", *(f"{n} {version(n)}" for n in names)]
    whole = " | ".join(text.replace(" ", "\N{NO-BREAK SPACE}") for text in versions)
    print(textwrap.fill(whole, LINE, break_on_hyphens=False).replace("\N{NO-BREAK SPACE}", " "))


def chart_png(figure: Figure) -> tuple[bytes, dict[str, Any]]:
    """A figure as PNG of few colours, and its width on the page and alternative text."""
    content = io.BytesIO()
    figure.savefig(
        content, format="png", dpi=SCALE * figure.dpi, bbox_inches="tight", pad_inches=0.05
    )
    image = Image.open(content).convert("RGB")
    small = io.BytesIO()
    method = Image.Quantize.MEDIANCUT
    image.quantize(TONES, method, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue(), {"alt": describe(figure), "width": image.width // SCALE}


def describe(figure: Figure) -> str:
    """What a chart shows: its own label, or its titles, axes and legends: "Chart: mIoU over
    step: a, b"."""
    if figure.get_label():
        return str(figure.get_label())
    heading = figure.get_suptitle()
    parts = dict.fromkeys(filter(None, map(_describe, figure.axes)))
    words = "; ".join(" ".join(part.split()) for part in parts)
    return f"Chart: {heading + ': ' if heading else ''}{words or 'no words in it'}"


def _describe(axis: Axes) -> str:
    across, up = axis.get_xlabel(), axis.get_ylabel()
    ticks = [label.get_text() for label in (*axis.get_yticklabels(), *axis.get_xticklabels())]
    words = [name for name in ticks if not name.startswith("$")]  # powers are no names
    names = [name for name in words if any(letter.isalpha() for letter in name)]
    legend = axis.get_legend()
    names += [text.get_text() for text in legend.get_texts()] if legend else []
    parts = [axis.get_title(), f"{up} over {across}" if up and across else up or across]
    return ": ".join(filter(None, [*parts, ", ".join(names)]))


def mimebundle(figure: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Data and metadata of a panel or a matplotlib figure, as notebooks keep them."""
    if isinstance(figure, Figure):
        png, facts = chart_png(figure)
        return {"image/png": png, "text/plain": facts["alt"]}, {"image/png": facts}
    return figure._repr_mimebundle_()


def _write_plain(figure: Figure, printer: Any, cycle: bool) -> None:
    printer.text(describe(figure))
