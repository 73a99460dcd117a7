"""A study's page, `papermill_runs/published/STUDY/README.md`: tables and findings, read from its
results.

The study's file says what is on it:

    page:
      title: The same list for everyone
      text: a paragraph or more
      tables: {"1 way, 1 shot": [clip_prototype, clip_fssdino]}
      findings: ["**Words win.** {score:word} beside {score:clip_prototype}: {gain:word}."]

Numbers in texts stand as `{score:ROW}` (mIoU), `{fb_iou:ROW}`, `{minus:A,B}` (A's mIoU minus B's,
unpaired, where results kept no episodes), `{gain:ROW}` (the paired difference to the row's
reference, with its interval) and `{gain:A,B}` (of A to B, over queries alone where their supports
differ), `{ahead:ROW}` and `{ahead:A,B}` (in how many pairs of trainings of one fold and seed the
first has the higher mIoU: what another seed does, which no interval over queries holds), of rows
with absent objects as `{auroc:ROW}`, `{believed:ROW}`, `{refused:ROW}`, `{marked:ROW}` and
`{empty:ROW}` (`evaluation.absence`; the last is mIoU with refused queries left empty), and
`{points:ROW,MAP}`, the AUROC of a map; all in percent and read from the results: none is typed.
ROW@0 is a row on its fold 0 alone, ROW@01 on two folds, ROW@OTHER on those that another row has;
`{folds:ROW}` names a row's own.
`absence:` and `maps:`, beside `tables:`, have tables of those rows.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

from fsslib.config import ConfigError, strict
from fsslib.files import atomic_path
from fsslib.runs.detail_tables import ABSENCE, SIZES, absence_table, map_table, size_table
from fsslib.runs.differences import (
    NEEDS_NEW,
    NO_SUCH_OBJECTS,
    NoEpisodes,
    NothingLeft,
    ahead_text,
    difference,
    share_supports,
    signed,
)
from fsslib.runs.results import folds_text, mean_and_half, published_folder
from fsslib.runs.staleness import unrecorded
from fsslib.runs.study import Page, Study, load_study
from fsslib.runs.study_tables import study_results, study_table

PLACE = re.compile(r"\{(\w+):([^{}]+)\}")
MISSING = "(not published)"
MAPS_SHOW = (
    "How well the maps point, in percent: AUROC (the lowest and highest run), the share of "
    "pictures whose object is the darker part, the mean difference of object and background, and "
    "above three thresholds recall / coverage / precision."
)
SIZES_SHOW = (
    "mIoU in percent by the fraction of the query's pixels that its object takes, counted from the "
    "published episodes; in brackets paired differences with 95 % intervals."
)
RETRAINED = (
    "A retraining with the same settings and seed moved a row by 0.3 points on another machine "
    "(`pfenet+pi_clip` of the study `pi_clip`, fold 3: 62.8 in place of 63.1); intervals do not "
    "hold it, nor what another seed does where there is one."
)

SMALL, *_, LARGE = SIZES.values()

Results = dict[str, list[dict[str, Any]]]


def write_page(name: str) -> Path:
    """The page of a study, written anew; where it lies.

    Raises:
        ConfigError: the study has no page, or a text names what there is not.
    """
    text = page(load_study(name))
    path = published_folder() / name / "README.md"
    with atomic_path(path) as temporary:
        temporary.write_text(text)
    return path


def page(study: Study) -> str:
    """Its Markdown."""
    if not study.page:
        raise ConfigError(f"study {study.name!r} has no page; give its file page: with a title")
    content, results = strict(Page, study.page), study_results(study.name)
    blocks = [f"# {content.title}", filled(content.text, study, results), *_caveats(results)]
    for title, rows in content.tables.items():
        blocks += [f"## {title}", study_table(study.name, rows)]
    for title, rows in content.absence.items():
        blocks += [f"## {title}", absence_table(study.name, rows)]
    for title, rows in content.maps.items():
        blocks += [f"## {title}", MAPS_SHOW, map_table(study.name, rows)]
    for title, rows in content.sizes.items():
        blocks += [f"## {title}", SIZES_SHOW, size_table(study.name, rows)]
    if content.findings:
        blocks += ["## What it says", *(filled(f, study, results) for f in content.findings)]
    blocks.append(
        f"This page is made by `fsslib study {study.name} --page`; `fsslib study {study.name} ROW "
        "--print` prints the command of each of a row's runs."
    )
    return "\n\n".join(block.strip() for block in blocks) + "\n"


def _caveats(results: Results) -> list[str]:
    """What tables and intervals do not hold: retraining, and results that recorded no code."""
    trained = any(job.get("trained") and "training" in job for of in results.values() for job in of)
    return [*([RETRAINED] if trained else []), *unrecorded(results)]


def filled(text: str, study: Study, results: Results) -> str:
    """A text with its numbers.

    Raises:
        ConfigError: a kind of number or a row that there is not.
    """
    kinds = {"score": _score, "fb_iou": _fb_iou, "folds": _folds, "minus": _minus, "gain": _gain}
    kinds |= {
        "ahead": _ahead,
        "gain_on_small": partial(_gain, sizes=SMALL),
        "gain_on_large": partial(_gain, sizes=LARGE),
    }
    kinds |= {name: partial(_absence, name) for name in ABSENCE}

    def number(match: re.Match) -> str:
        kind, rows = match[1], match[2].split(",")
        if kind == "points":
            return _points(_of(rows[0], study, results), rows[1])
        if kind not in kinds:
            known = sorted([*kinds, "points"])
            raise ConfigError(f"{match[0]}: expected one of {known} before the colon")
        if kind.startswith(("gain", "ahead")) and len(rows) == 1:
            rows.append(study.references().get(rows[0], rows[0]))
        chosen = [_of(row, study, results) for row in rows]
        return kinds[kind](*chosen) if all(chosen) else MISSING

    return PLACE.sub(number, text)


def _of(text: str, study: Study, results: Results) -> list[dict[str, Any]]:
    """The results of ROW, of ROW@01 those on the folds that it names, of ROW@OTHER those on the
    folds that OTHER has; empty where there are none."""
    row, _, folds = text.partition("@")
    study.require(row)
    own = results.get(row, [])
    if not folds:
        return own
    if not folds.isdecimal():
        study.require(folds)
        folds = {str(result["fold"]) for result in results.get(folds, [])}
    return [result for result in own if str(result["fold"]) in folds]


def _folds(results: list[dict[str, Any]]) -> str:
    return folds_text(result["fold"] for result in results)


def _score(results: list[dict[str, Any]]) -> str:
    return f"{mean_and_half(results)[0]:.1f}"


def _fb_iou(results: list[dict[str, Any]]) -> str:
    return f"{mean_and_half(results, 'fb_iou')[0]:.1f}"


def _minus(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> str:
    text = f"{mean_and_half(a)[0] - mean_and_half(b)[0]:+.1f}"
    return text.replace("-", "\N{MINUS SIGN}")


def _ahead(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> str:
    return ahead_text(a, b) or MISSING


def _points(results: list[dict[str, Any]], map_: str) -> str:
    values = [result["maps"][map_]["auroc"] for result in results if map_ in result.get("maps", {})]
    return f"{100 * sum(values) / len(values):.1f}" if values else MISSING


def _absence(name: str, results: list[dict[str, Any]]) -> str:
    values = [result["absence"][ABSENCE[name]] for result in results if "absence" in result]
    return f"{100 * sum(values) / len(values):.1f}" if values else MISSING


def _gain(
    a: list[dict[str, Any]], b: list[dict[str, Any]], sizes: tuple[float, float] | None = None
) -> str:
    try:
        return signed(difference(a, b, share_supports(a, b), sizes).miou)
    except NoEpisodes:
        return NEEDS_NEW
    except NothingLeft:
        return NO_SUCH_OBJECTS
