"""Paired differences of results on disk, and results that say by themselves that they are stale."""

import csv
import json

import numpy as np
import pytest
import yaml
from simulated import World

from fsslib.config import ConfigError
from fsslib.evaluation import compare, read_table, write_table
from fsslib.files import write_json
from fsslib.runs import provenance, results_list, staleness, studies, study_page
from fsslib.runs import study as study_files
from fsslib.runs.__main__ import main
from fsslib.runs.compare_command import results_of
from fsslib.runs.detail_tables import size_table
from fsslib.runs.differences import difference, listing, share_supports
from fsslib.runs.results import episodes_beside, published_folder, read_results
from fsslib.runs.results_list import COLUMNS, lines
from fsslib.runs.study import read_study
from fsslib.runs.study_tables import study_table

ROWS = ("reference", "better", "old", "other_list")


def result(row, fold, miou):
    scores = {"miou": miou, "miou_interval": [miou - 0.02, miou + 0.02]}
    scores |= {"fb_iou": 0.5, "fb_iou_interval": [0.4, 0.6], "episodes": 100}
    return scores | {
        "run": row,
        "protocol": {"fold": fold, "shot": 1},
        "privileged_query_labels": False,
    }


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A study of four rows on two folds; one is of an older version, one of another list."""
    for module, name in ((study_files, "sweeps_folder"), (studies, "published_folder")):
        monkeypatch.setattr(module, name, lambda: tmp_path)
    monkeypatch.setattr("fsslib.runs.compare_command.sweeps_folder", lambda: tmp_path)
    rows = {row: {"template": "evaluate", "method": "prototype"} for row in ROWS}
    study = {"about": "a test", "folds": [0, 1], "reference": "reference", "rows": rows}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    for fold in (0, 1):
        tables = World(5, better=1).lists(np.random.default_rng(fold), 100)
        other = World(5).lists(np.random.default_rng(9), 100, 1)
        for row, table in zip(ROWS, [*tables, None, *other], strict=True):
            path = tmp_path / "small" / f"{row}_f{fold}_s0.json"
            write_json(path, result(row, fold, 0.3))
            if table is not None:
                write_table(table, episodes_beside(path))
    return tmp_path


def test_a_study_shows_differences_to_its_reference(published):
    text = study_table("small")
    cells = {line.split("|")[1].strip(): line.split("|")[-4:-1] for line in text.splitlines()[2:6]}
    assert [cell.strip() for cell in cells["reference"]] == ["", "", ""]
    assert cells["better"][0].strip() == "reference" and cells["better"][1].startswith(" +")
    assert cells["better"][2].strip() == "< 0.001"
    assert cells["old"][1].strip() == "needs a new evaluation"
    assert "fold 0: the episode lists differ" in cells["other_list"][1]
    alone = study_table("small", ["better"]).splitlines()
    assert len([line for line in alone if line.startswith("| ")]) == 3, "head and what was asked"
    assert "| better |" in study_table("small", reference="old")
    with pytest.raises(ConfigError, match="nobody"):
        study_table("small", reference="nobody")


def test_compare_prints_both_scores(published, capsys):
    assert main(["compare", "small/better", "small/reference"]) == 0
    shown = capsys.readouterr().out
    assert "| mIoU |" in shown and "| FB-IoU |" in shown and "+" in shown
    assert "200 episodes of" in shown and "folds 0, 1; 1 seed" in shown
    file = str(published / "small" / "better_f0_s0.json")
    assert main(["compare", file, file]) == 0
    assert "+0.0 [0.0, 0.0] | 50.0 % | 1.000" in capsys.readouterr().out


def test_what_cannot_be_compared_is_said_in_one_sentence(published, capsys):
    assert main(["compare", "small/old", "small/reference"]) == 2
    errors = capsys.readouterr().err
    assert "old_f0_s0.json has no table of episodes beside it" in errors
    assert "a paired difference needs a new evaluation" in errors
    assert main(["compare", "small/other_list", "small/reference"]) == 2
    assert "the episode lists differ" in capsys.readouterr().err
    assert main(["compare", "nothing", "small/reference"]) == 2
    assert "nothing: no results; expected" in capsys.readouterr().err
    (published / "half.json").write_text('{"miou": 0.')
    assert main(["compare", str(published / "half.json"), "small/reference"]) == 2
    assert "half.json is not valid JSON" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="expected one in common"):
        one, other = results_of("small/better")
        difference([one], [other])


def test_a_reference_must_be_a_row(published):
    content = yaml.safe_load((published / "small.yaml").read_text())
    content["rows"]["better"]["reference"] = "nobody"
    (published / "wrong.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match="reference='nobody'"):
        read_study(published / "wrong.yaml")


def test_any_runs_beside_one_of_them(published):
    for name in ("a", "b"):
        folder = published / "runs" / name
        folder.mkdir(parents=True)
        row = {"a": "better", "b": "reference"}[name]
        source = published / "small" / f"{row}_f0_s0.json"
        (folder / "results.json").write_bytes(source.read_bytes())
        (folder / "episodes.csv.gz").write_bytes(episodes_beside(source).read_bytes())
    results = read_results(published / "runs")
    rows = listing(results, "reference").splitlines()
    assert "mIoU to reference" in rows[0] and "+" in rows[2] and "< 0.001" in rows[2]
    assert listing(results).count("|") < "\n".join(rows).count("|")
    with pytest.raises(ConfigError, match="0 of these runs have this name"):
        listing(results, "nobody")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three modules, of which one imports another."""
    (tmp_path / "encoders").mkdir()
    (tmp_path / "encoders" / "w.safetensors").write_bytes(b"weights")
    (tmp_path / "a.py").write_text("from fsslib.b import g\n\ndef f(x):\n    return g(x)\n")
    (tmp_path / "b.py").write_text("def g(x):\n    return x + 1\n")
    (tmp_path / "c.py").write_text("def h(x):\n    return x\n")
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)
    yield tmp_path
    provenance._module.cache_clear()


def made_now(package):
    provenance._module.cache_clear()
    weights = {
        "encoders/w.safetensors": provenance._file_digest(package / "encoders/w.safetensors")
    }
    modules = ["fsslib.a"]
    return {
        "provenance": {
            "modules": modules,
            "source": provenance.source_of(modules),
            "weights": weights | {"elsewhere.pth": "0"},
        }
    }


def test_a_result_says_what_has_changed_since(package):
    result = made_now(package)
    assert provenance.changed_since(result) == []
    (package / "b.py").write_text('def g(x):\n    """Now told."""\n    return x + 1  # why\n')
    made_now(package)
    assert provenance.changed_since(result) == [], "comments and docstrings change nothing"
    (package / "c.py").write_text("def h(x):\n    return 0\n")
    made_now(package)
    assert provenance.changed_since(result) == [], "nobody imports it"
    (package / "b.py").write_text("def g(angle):\n    return angle + 1\n")
    made_now(package)
    assert provenance.changed_since(result) == [], "what it calls its own variables"
    (package / "b.py").write_text("def g(x):\n    return x + 2\n")
    made_now(package)
    assert provenance.changed_since(result) == ["code"]
    (package / "encoders" / "w.safetensors").write_bytes(b"others")  # by this very process
    assert provenance.changed_since(result) == ["code", "w"]
    for older in ({}, {"provenance": {"source": "0"}}):
        assert provenance.changed_since(older) is None, "without a record nobody can tell"


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("def f(a, b):\n    c = [a for a in b]\n    return lambda d: c, a", True),
        ("def f(a, b):\n    c = [b for b in b]\n    return lambda d: c, a", False),
        ("def f(a, b):\n    c = [a for a in b]\n    return lambda d: d, a", False),
        ("def f(a, c):\n    b = [a for a in c]\n    return lambda e: b, a", True),
        ("def g(a, b):\n    c = [a for a in b]\n    return lambda d: c, a", False),
        ("def f(a, b):\n    c = [a for a in e]\n    return lambda d: c, a", False),
        ("def f(a, b):\n    global c\n    c = [a for a in b]\n    return lambda d: c, a", False),
    ],
)
def test_names_of_a_function_s_own_decide_nothing(package, other, same):
    (package / "b.py").write_text("def f(x, y):\n    z = [x for x in y]\n    return lambda w: z, x")
    digest = made_now(package)["provenance"]["source"]
    (package / "b.py").write_text(other)
    assert (made_now(package)["provenance"]["source"] == digest) == same


def test_keywords_of_calls_are_no_names_of_its_own(package):
    (package / "b.py").write_text("def g(x, k):\n    return g(k, k=x)\n")
    digest = made_now(package)["provenance"]["source"]
    (package / "b.py").write_text("def g(x, n):\n    return g(n, n=x)\n")
    assert made_now(package)["provenance"]["source"] != digest


def test_stale_rows_are_marked(package):
    result = made_now(package)
    rows = {"fresh": [result], "old": [{}]}
    assert staleness.marked("fresh", rows["fresh"]) == "fresh" and staleness.legend(rows) == []
    assert staleness.unrecorded(rows)[-1].endswith("(older versions): old.")
    (package / "a.py").unlink()
    made_now(package)
    assert staleness.marked("fresh", rows["fresh"]) == "fresh ‡"
    assert staleness.legend(rows)[-1].startswith(
        "‡ changed since the row was run, by its own record: code (fresh)."
    )


def test_the_published_list_is_that_of_the_files():
    """`changed` is of the day on which the list was written."""
    with (published_folder() / "results.csv").open() as file:
        listed = list(csv.DictReader(file))
    current = [
        {name: str(value) for name, value in line.items()} for line in lines(published_folder())
    ]
    assert tuple(listed[0]) == COLUMNS
    for line in (*listed, *current):
        line.pop("changed")
    assert listed == current, "run `fsslib results`"


def test_the_list_is_written_whole(published, monkeypatch):
    monkeypatch.setattr(results_list, "published_folder", lambda: published)
    facts = {"benchmark": "scenes10i", "fold": 1, "way": 1, "shot": 1, "seed": 0}
    path = published / "small" / "better_f1_s0.json"
    about = {"protocol": facts, "episode_list": "0a"}
    for other in published.glob("small/*.json"):
        other.write_text(json.dumps(json.loads(other.read_text()) | about))
    rows = list(csv.DictReader(results_list.write_list().open()))
    assert len(rows) == 8 and [row["file"] for row in rows] == sorted(row["file"] for row in rows)
    row = next(row for row in rows if row["file"] == path.relative_to(published).as_posix())
    assert row["miou"] == "30.0" and row["episode_table"] == "1" and row["changed"] == "unknown"


def with_page(published, **changes):
    content = yaml.safe_load((published / "small.yaml").read_text())
    page = {"title": "A test", "text": "Better has {score:better}, {fb_iou:better}."}
    page |= {"tables": {"All": ["reference", "better"]}}
    page |= {"findings": ["**Better.** {gain:better}, {gain:better,reference}; {gain:old}."]}
    (published / "small.yaml").write_text(yaml.safe_dump(content | {"page": page | changes}))


def test_a_page_reads_its_numbers(published, monkeypatch):
    monkeypatch.setattr(study_page, "published_folder", lambda: published)
    with pytest.raises(ConfigError, match="has no page"):
        study_page.write_page("small")
    with_page(published)
    text = study_page.write_page("small").read_text()
    assert "Better has 30.0, 50.0." in text and "## All\n\n| row |" in text
    gain = text.partition("**Better.** ")[2]
    assert gain.startswith("+") and gain.count("[") == 2 and "needs a new evaluation." in gain
    with_page(published, text="{gain:nobody}")
    with pytest.raises(ConfigError, match="nobody"):
        study_page.write_page("small")
    with_page(published, text="{number:better}")
    with pytest.raises(ConfigError, match="expected one of"):
        study_page.write_page("small")
    for path in (published / "small").glob("better*"):
        path.unlink()
    with_page(published)
    assert "Better has (not published)" in study_page.write_page("small").read_text()


def test_of_several_seeds_those_count_that_both_have(published):
    """Where nothing was trained, one stands beside several."""
    folder = published / "small"
    lists = World(5, better=1).lists(np.random.default_rng(3), 100, 5)
    for row, seeds in (("better", (0, 1, 2)), ("reference", (1, 2, 3))):
        for seed in seeds:
            path = folder / f"{row}_f0_s{seed}.json"
            write_json(path, result(row, 0, 0.3) | {"seed": seed})
            write_table(lists[seed], episodes_beside(path))

    def runs(row, *seeds):
        paths = [folder / f"{row}_f0_s{seed}.json" for seed in seeds]
        return [json.loads(path.read_text()) | {"file": str(path)} for path in paths]

    whole = difference(runs("better", 0, 1, 2), runs("reference", 1, 2, 3))
    assert whole.seeds == (1, 2)
    assert whole == difference(runs("better", 1, 2), runs("reference", 1, 2))
    assert difference(runs("better", 0), runs("reference", 1, 2, 3)).seeds == (1, 2, 3)
    assert difference(runs("better", 1), runs("reference", 1, 2, 3)).seeds == (1, 2, 3)
    trained = [
        [one | {"training": {"seed": one["seed"]}} for one in row]
        for row in (runs("better", 1), runs("reference", 1, 2, 3))
    ]
    own = difference(*trained)
    assert own.seeds == (1,) and own == difference(runs("better", 1), runs("reference", 1))
    assert difference(trained[0], runs("reference", 1, 2, 3)).seeds == (1, 2, 3)
    listed = [
        one | {"protocol": {"fold": 0, "seed": one["seed"]}} for one in runs("better", 0, 1, 2)
    ]
    alone = difference(runs("reference", 1), listed)
    assert alone.seeds == (1,) and alone == difference(runs("reference", 1), listed[1:2])


def test_rows_share_supports_unless_shots_or_strangers_part_them():
    def row(**protocol):
        return [{"protocol": {"shot": 1, "question": "as_drawn"} | protocol}]

    older = [{"protocol": {"shot": 1}}]
    assert share_supports(row(), row()) and share_supports(older, row(question="wrong_word"))
    assert share_supports(row(question="no_background"), row())
    assert not share_supports(row(question="stranger"), row())
    assert not share_supports(row(shot=5), row())


def test_differences_by_the_size_of_the_object(published, monkeypatch):
    known = {}
    for row in ("reference", "better"):
        for fold in (0, 1):
            path = episodes_beside(published / "small" / f"{row}_f{fold}_s0.json")
            table = read_table(path)
            # Half of the episodes show a small object, on the same queries in both rows.
            table.areas[:, 1:, 2] = np.where(np.arange(100) % 4 < 2, 1000, 8000)[:, None]
            write_table(table, path)
            known[row, fold] = table
    heads, _, plain, better = size_table("small", ["reference", "better"]).splitlines()
    assert heads == "| row | difference to | under 8 % | 8 to 16 % | over 16 % |"
    small = [
        compare(*(known[row, f].subset(np.arange(100) % 4 < 2) for row in ("better", "reference")))
        for f in (0, 1)
    ]
    cells = [cell.strip() for cell in better.split("|")[2:-1]]
    gain = 100 * np.mean([one.miou.difference for one in small])
    assert cells[0] == "reference" and f"({gain:+.1f} [" in cells[1]
    assert cells[2] == "no such objects" and cells[3] != cells[1]
    assert plain.split("|")[3].strip() == f"{100 * np.mean([one.miou.b for one in small]):.1f}"
    assert "needs a new evaluation" in size_table("small", ["old"])
    with_page(
        published,
        text="{gain_on_small:better}; {gain_on_large:better}",
        sizes={"By size": ["better"]},
    )
    monkeypatch.setattr(study_page, "published_folder", lambda: published)
    text = study_page.write_page("small").read_text()
    assert f"{gain:+.1f} [" in text.partition(";")[0] and "## By size\n" in text
    with_page(published, text="{gain_on_small:old}")
    assert "needs a new evaluation" in study_page.write_page("small").read_text()
