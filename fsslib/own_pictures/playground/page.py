"""The page: a question on top, answers side by side under it, then switches and saving."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from fsslib.data.scenes import CLASS_NAMES
from fsslib.own_pictures.choice import EMBEDDED, require_known_words
from fsslib.own_pictures.playground.asking import LIKELY, Answer, ask
from fsslib.own_pictures.playground.case import Case, with_stranger, without_background
from fsslib.own_pictures.playground.columns import Columns, static_panel
from fsslib.own_pictures.playground.examples import stranger
from fsslib.own_pictures.playground.inputs import Inputs
from fsslib.own_pictures.playground.menu import Entry, Option, menu
from fsslib.own_pictures.playground.saving import free_folder, save_case
from fsslib.own_pictures.playground.telling import PHOTOGRAPHS, advice, spoken
from fsslib.viz.display import mimebundle
from fsslib.viz.explorer import Helper, choice

WEIGHTS = {"embedded (drawings)": EMBEDDED, "ImageNet": "imagenet", "CLIP of OpenAI": "openai"}
FIRST = ("PFENet", "CLIP-DINOiser, by mask", "nearest prototype")
"""Methods that are chosen when the page opens."""
SWITCHES = {
    "stranger": ("a stranger's support", "Does the method look at the support at all?"),
    "word": ("a wrong word", "Does it listen to the word?"),
    "background": ("support without background", "Is the object compared, or its company?"),
}
WRAPPED = widgets.Layout(flex_flow="row wrap", grid_gap="6px")


class Playground(widgets.VBox):
    """Paint a mask or type a word, choose methods, see what they answer; save the case.

    Args:
        folder: where cases are saved.
    """

    def __init__(self, folder: Path | str = "cases") -> None:
        self.folder, self.answers = Path(folder), {}
        self.options: dict[Option, bool | float] = {}
        self.status, self.saved, self.columns = widgets.HTML(), widgets.HTML(), Columns()
        self.inputs = Inputs(self.ask_all, self._say)
        self.weights = choice(list(WEIGHTS.items()))
        self.methods, self.adjust = widgets.HBox(layout=WRAPPED), widgets.HBox(layout=WRAPPED)
        self.optional = _line("Options", self.adjust)
        self.switches = {
            name: widgets.ToggleButton(description=title, tooltip=hint, layout={"width": "auto"})
            for name, (title, hint) in SWITCHES.items()
        }
        self.threshold = widgets.FloatSlider(LIKELY, min=0.01, max=0.99, step=0.01)
        self.threshold.description = "threshold"
        self.save = widgets.Button(description="save this case", icon="save")
        self._menu()
        self._listen()
        super().__init__([*self._layout(), Helper()])
        self.add_class("fsslib-explorer")  # keys that are pressed in here stay here
        self.ask_all()

    def _layout(self) -> list[widgets.Widget]:
        return [
            self.inputs,
            _line("Methods", self.methods),
            self.status,
            widgets.HBox([self.threshold, self.columns.legend], layout=WRAPPED),
            self.columns,
            _line("What if", *self.switches.values()),
            self.optional,
            _line("Weights", self.weights),
            widgets.HBox([self.save, self.saved], layout=WRAPPED),
        ]

    def _listen(self) -> None:
        self.weights.observe(lambda _: (self._menu(), self.ask_all()), "value")
        self.threshold.observe(lambda _: self.cut(), "value")
        for switch in self.switches.values():
            switch.observe(lambda _: self.ask_all(), "value")
        self.save.on_click(lambda _: self.save_case())

    # The menu

    def _menu(self) -> None:
        """Buttons for the methods that the weights allow, and for their options."""
        self.entries = menu(self.weights.value)
        chosen = [name for name in FIRST if name in self.entries] or list(self.entries)
        self.buttons = {
            name: widgets.ToggleButton(name in chosen, description=name, layout={"width": "auto"})
            for name in self.entries
        }
        for button in self.buttons.values():
            button.observe(lambda _: self.ask_all(), "value")
        self.methods.children, self.options, self.answers = tuple(self.buttons.values()), {}, {}

    def _chosen(self) -> list[Entry]:
        return [self.entries[name] for name, button in self.buttons.items() if button.value]

    def _show_options(self) -> None:
        """Those of the chosen methods, a control each."""
        options = {option: entry.name for entry in self._chosen() for option in entry.options}
        if [*options] == [getattr(control, "option", None) for control in self.adjust.children]:
            return
        self.optional.layout.display = "" if options else "none"
        self.adjust.children = tuple(self._control(option) for option in options)

    def _control(self, option: Option) -> widgets.Widget:
        value = self.options.get(option, option.start)
        if isinstance(option.start, bool):
            control = widgets.ToggleButton(value, description=option.name, layout={"width": "auto"})
        else:
            control = widgets.FloatSlider(value, min=0, max=1, step=0.02, description=option.name)
            control.style.description_width = "initial"
        control.option = option
        control.observe(lambda change: self.set_option(option, change.new), "value")
        return control

    # Asking

    @property
    def case(self) -> Case:
        """The question with the switches in it."""
        case = self.inputs.case
        if self.switches["stranger"].value:
            case = with_stranger(case, stranger(self.inputs.number or 0))
        if self.switches["word"].value and case.word:
            place = CLASS_NAMES.index(case.word) if case.word in CLASS_NAMES else 0
            word = CLASS_NAMES[(place + len(CLASS_NAMES) // 2) % len(CLASS_NAMES)]
            case = Case(case.support, case.mask, case.query, word, case.truth)
        return without_background(case) if self.switches["background"].value else case

    def ask_all(self) -> None:
        """Ask every chosen method anew; what it lacks is said."""
        self._show_options()
        case, self.answers = self.case, {}
        lacking = {e: e.lacks(case.marked, bool(case.word)) for e in self._chosen()}
        notes = self._notes() + advice(lacking)
        for entry in (entry for entry, lacks in lacking.items() if not lacks):
            try:
                self.answers[entry.name] = self._ask(case, entry)
            except (ValueError, RuntimeError, OSError) as error:
                notes.append(str(error))
        self._say(*notes)
        self.columns.draw(self.answers, case, self.threshold.value)

    def _ask(self, case: Case, entry: Entry) -> Answer:
        if "word" in entry.reads and case.word and self.weights.value == EMBEDDED:
            require_known_words([case.word])
        options = {o: self.options[o] for o in entry.options if o in self.options}
        return ask(case, entry, options)

    def set_option(self, option: Option, value: bool | float) -> None:
        """Ask those methods again that have it; encoders are not asked."""
        self.options[option] = value
        case = self.case
        changed = [name for name, answer in self.answers.items() if option in answer.entry.options]
        for name in changed:
            self.answers[name] = self._ask(case, self.entries[name])
        self.cut({name: self.answers[name] for name in changed})
        self.columns.show_maps(self.answers, changed)

    def _notes(self) -> list[str]:
        return [PHOTOGRAPHS] if self.inputs.own and self.weights.value == EMBEDDED else []

    # Showing

    def cut(self, answers: Mapping[str, Answer] | None = None) -> None:
        """Show all answers, or these, at the threshold; no network runs."""
        shown = self.answers if answers is None else answers
        self.columns.cut(shown, self.inputs.case, self.threshold.value)

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = mimebundle(static_panel(self.answers, self.case, self.threshold.value))
        return {**super()._repr_mimebundle_(**options), **data}, metadata

    def _say(self, *sentences: str) -> None:
        self.status.value = spoken(sentences)

    def save_case(self) -> Path | None:
        """Write the case, without what the switches made of it; says where, and what to do next."""
        case = self.inputs.case
        target = free_folder(self.folder, case.word)
        try:
            facts: dict[str, Any] = save_case(case, target, self.weights.value)
        except (ValueError, OSError) as error:
            self.saved.value = spoken([str(error)])
            return None
        where = [f"Saved as {target}. In {self.folder}: {facts['segment']}"]
        if "evaluate" in facts:
            where.append(f"As a benchmark: {facts['evaluate']}")
        else:
            where.append(
                "Mark the object on the query as well, and the benchmark reads the case, too."
            )
        self.saved.value = spoken(where)
        return target


def _line(title: str, *inside: widgets.Widget) -> widgets.HBox:
    layout = widgets.Layout(flex_flow="row wrap", grid_gap="6px")
    return widgets.HBox([widgets.HTML(f"<b>{title}</b>"), *inside], layout=layout)
