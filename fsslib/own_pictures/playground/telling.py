"""Sentences of the page: what methods still lack, and lines that are read aloud."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from fsslib.own_pictures.playground.menu import Entry

PHOTOGRAPHS = (
    "The embedded encoders have seen drawings alone; on photographs they miss most objects. "
    "Other weights are chosen below."
)
STEPS = {"mask": "mark the object on the support", "word": "type a word"}


def spoken(sentences: Iterable[str]) -> str:
    """Lines of HTML that screen readers read when they appear."""
    lines = "".join(f"<div>{escape(sentence)}</div>" for sentence in sentences)
    return f'<div role="status">{lines}</div>'


def advice(lacking: Mapping[Entry, str | None]) -> list[str]:
    """What to do for methods that lack something, a sentence for each thing."""
    waiting: dict[str, list[str]] = {}
    for entry, lacks in lacking.items():
        if lacks:
            waiting.setdefault(lacks, []).append(entry.name)
    return [_sentence(lacks, names) for lacks, names in waiting.items()]


def _sentence(lacks: str, names: list[str]) -> str:
    todo = " and ".join(STEPS[what] for what in lacks.split(" and ")).capitalize()
    return f"{todo}: {'; '.join(names)} read{'s' * (len(names) == 1)} a {lacks}."
