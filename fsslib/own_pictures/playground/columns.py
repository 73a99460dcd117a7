"""Answers side by side on the page, a column for each, and what their colours mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import ipywidgets as widgets

from fsslib.own_pictures.playground.asking import Answer
from fsslib.own_pictures.playground.case import Case
from fsslib.own_pictures.playground.results import legend, shown, shown_maps
from fsslib.viz.overlay import overlay
from fsslib.viz.panel import Panel
from fsslib.viz.plots import show_images


class Columns(widgets.HBox):
    """A column an answer: the masked query above, the method's maps below.

    Attributes:
        legend: of the colours; the page has a place for it.
    """

    def __init__(self) -> None:
        self.legend, self.pairs = widgets.HTML(), {}
        super().__init__(layout=widgets.Layout(flex_flow="row wrap", grid_gap="4px 14px"))

    def draw(self, answers: Mapping[str, Answer], case: Case, threshold: float) -> None:
        """These answers in the place of all others."""
        self.pairs = {name: (widgets.HTML(), widgets.HTML()) for name in answers}
        self.children = tuple(widgets.VBox(pair) for pair in self.pairs.values())
        self.legend.value = "" if case.truth is None else legend()
        self.cut(answers, case, threshold)
        self.show_maps(answers, answers)

    def cut(self, answers: Mapping[str, Answer], case: Case, threshold: float) -> None:
        """The masks at a threshold; no network runs."""
        for name, answer in answers.items():
            self.pairs[name][0].value = shown(answer, case.truth, threshold)

    def show_maps(self, answers: Mapping[str, Answer], names: Iterable[str]) -> None:
        """The maps of these methods, which have answered anew."""
        for name in names:
            self.pairs[name][1].value = shown_maps(answers[name])


def static_panel(answers: Mapping[str, Answer], case: Case, threshold: float) -> Panel:
    """Support and answers as a figure, for pages without a kernel."""
    cells = [overlay(case.support, case.mask)]
    cells += [overlay(case.query, a.mask(threshold), case.truth) for a in answers.values()]
    return show_images(cells, ["support", *answers])
