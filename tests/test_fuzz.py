"""Hundreds of bad files and parameters; each is handled, refused in one sentence, or a failure.

    PYTHONPATH=.:tests python tests/test_fuzz.py

prints how many of each area ended how. They are tried in processes apart (`hostile.judge`), and
made of fixed seeds: the same cases on every machine. No kernel is started.
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path

import pycocotools.mask  # noqa: F401  imported once, before processes are forked
import pytest
import scipy.io  # noqa: F401
from hostile import annotations, arrays, parameters, pictures, texts, weights
from hostile.judge import Case, judged

LEAST = 500
GENERATORS = (weights, pictures, annotations, texts, parameters, arrays)
CASES = [case for generator in GENERATORS for case in generator.cases()]
AREAS = list(dict.fromkeys(case.area for case in CASES))


def tried(area, folder):
    """Outcomes of an area, and what failed."""
    cases = [case for case in CASES if case.area == area]
    verdicts = judged(cases, folder)
    failures = [
        f"{area}/{case.name}: {verdict.text}"
        for case, verdict in zip(cases, verdicts, strict=True)
        if verdict.outcome == "failed"
    ]
    return Counter(verdict.outcome for verdict in verdicts), failures


@pytest.mark.parametrize("area", AREAS)
def test_every_case_is_handled_or_refused_in_a_sentence(area, tmp_path):
    counts, failures = tried(area, tmp_path)
    assert not failures, "\n".join([str(dict(counts)), *failures])


def test_there_are_enough_cases_and_each_has_a_name():
    names = [(case.area, case.name) for case in CASES]
    assert len(names) >= LEAST and len(set(names)) == len(names)


def crash(_):
    import ctypes

    ctypes.string_at(0)


def hang(_):
    while True:
        pass


def plant(folder):
    (folder / "executed").mkdir()


def traceback(_):
    raise ValueError("two\nlines")


@pytest.mark.parametrize(
    ("act", "expected", "why"),
    [
        (crash, "either", "SIGSEGV"),
        (hang, "either", "SIGALRM"),
        (plant, "either", "code in the file was run"),
        (traceback, "either", "not the package's own error"),
        (lambda _: {}["a"], "either", "not the package's own error"),
        (lambda _: bytearray(2**40), "either", "not the package's own error"),
        (lambda _: None, "refused", "expected refused"),
    ],
)
def test_the_suite_can_fail(act, expected, why, tmp_path, monkeypatch):
    monkeypatch.setattr("hostile.judge.SECONDS", 1)
    cases = [
        Case("area", "before", str),
        Case("area", "bad", act, expected),
        Case("area", "after", str),
    ]
    before, verdict, after = judged(cases, tmp_path)
    assert verdict.outcome == "failed" and why in verdict.text
    assert before.outcome == after.outcome == "handled"


def main():
    total, troubles = Counter(), []
    print(f"{'area':<14}{'cases':>7}{'handled':>9}{'refused':>9}{'failed':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for area in AREAS:
            counts, failures = tried(area, Path(folder) / area)
            troubles += failures
            total += counts
            _print_row(area, counts)
    _print_row("all", total)
    print("\n".join(troubles), file=sys.stderr)
    return bool(troubles)


def _print_row(area, counts):
    row = [sum(counts.values()), counts["handled"], counts["refused"], counts["failed"]]
    print(f"{area:<14}{row[0]:>7}{row[1]:>9}{row[2]:>9}{row[3]:>8}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
