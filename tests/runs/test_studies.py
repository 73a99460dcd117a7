"""Studies: from one file to runs, results and tables; what is published is what they ask for."""

import json
import re
from dataclasses import replace

import pytest
import yaml

from fsslib.config import ConfigError
from fsslib.runs import job as jobs
from fsslib.runs import studies
from fsslib.runs import study as study_files
from fsslib.runs.config import parse, parse_card, run_id
from fsslib.runs.detail_tables import absence_table, map_table
from fsslib.runs.results import published_folder, seeds_cell
from fsslib.runs.staleness import MARK
from fsslib.runs.status import BusyError, RunError
from fsslib.runs.studies import run_study
from fsslib.runs.study import load_study, sweeps_folder
from fsslib.runs.study_page import filled, page
from fsslib.runs.study_tables import study_results, study_table, sweep_table

NAMES = sorted(path.stem for path in sweeps_folder().glob("*.yaml"))
SMALL = {
    "about": "a test",
    "always": {"workers": 0, "steps": 3},
    "folds": [0, 2],
    "seeds": [0, 1],
    "rows": {
        "pfenet": {"method": "pfenet"},
        "tested": {
            "template": "evaluate",
            "method": "pfenet",
            "seeds": [0, 1],
            "head": "@pfenet/head.safetensors",
        },
        "base": {"template": "train_base", "folds": [0], "seeds": [0]},
    },
}


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study of its own folder, and a runner that scores 10 % a fold, and 1 % more a seed."""
    monkeypatch.setattr(study_files, "sweeps_folder", lambda: tmp_path)
    monkeypatch.setattr(studies, "published_folder", lambda: tmp_path / "published")
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL, sort_keys=False))
    study, executed = load_study("small"), []

    def run(template, parameters):
        config = parse(template, parameters)
        miou = 0.1 * (config.fold + 1) + 0.01 * getattr(config, "seed", 0)
        folder = tmp_path / str(len(executed))
        executed.append((template, parameters))
        folder.mkdir()
        scores = {"miou": miou, "miou_interval": [miou - 0.03, miou + 0.03]}
        scores["privileged_query_labels"] = False
        scores |= {f"fb_iou{end}": scores[f"miou{end}"] for end in ("", "_interval")}
        (folder / "results.json").write_text(json.dumps(scores))
        (folder / "weights.safetensors").touch()
        (folder / "weights.json").write_text(json.dumps({"made by": template}))
        return folder

    monkeypatch.setattr(studies, "run", run)
    return study, executed


def test_a_study_becomes_runs_and_a_table(study):
    study, executed = study
    run_study(study)
    assert [(job.row, job.fold, job.seed) for job in study.jobs()] == [
        *(("pfenet", 0, 0), ("tested", 0, 0), ("base", 0, 0)),
        *(("pfenet", 2, 0), ("tested", 2, 0), ("pfenet", 0, 1), ("tested", 0, 1)),
        *(("pfenet", 2, 1), ("tested", 2, 1)),
    ]
    assert all(p["steps"] == 3 for template, p in executed if template == "train")
    assert all("steps" not in p for template, p in executed if template == "evaluate")
    assert {row: len(results) for row, results in study_results("small").items()} == {
        "pfenet": 4,
        "tested": 4,
    }, "what is no few-shot score is in no table"
    card = studies.published_folder() / "small" / "cards" / "base_f0_s0.json"
    assert json.loads(card.read_text()) == {"made by": "train_base"}
    rows = study_table("small").splitlines()
    # Means over seeds: 10.5 and 30.5; the two folds' half intervals of 3 in quadrature, over two.
    assert rows[2] == "| pfenet | 10.5 | 30.5 | 20.5 ± 2.1 | 20.5 | 2 (spread 0.7) |"
    assert rows[3] == "| tested | 10.0 | 30.0 | 20.0 ± 2.1 | 20.0 | 2 (spread 0.0) |"
    assert study_table("small", ["tested"]).splitlines()[2:] == rows[3:]


def test_rows_that_read_the_querys_labels_are_marked(study):
    study, _ = study
    run_study(study, ["pfenet", "tested"])
    for job in study.jobs(["tested"]):
        path = studies.place(study, job)
        path.write_text(
            json.dumps(json.loads(path.read_text()) | {"privileged_query_labels": True})
        )
    lines = study_table("small").splitlines()
    assert lines[2].startswith("| pfenet |") and lines[3].startswith("| tested † |")
    assert lines[4:] == ["", lines[-1]] and lines[-1].startswith("† ")


def test_a_text_names_folds_and_reads_a_row_on_another_s():
    study = replace(load_study("main"), name="mine")
    of = {"pfenet": (0.2, 0.4, 0.6, 0.8), "bam": (0.3, 0.5), "hdmnet": (0.1,)}
    results = {
        row: [
            {"fold": fold, "miou": score, "miou_interval": [0.0, 1.0]}
            for fold, score in enumerate(scores)
        ]
        for row, scores in of.items()
    }

    def text(place):
        return filled("{" + place + "}", study, results)

    names = [text(f"folds:{row}") for row in of]
    assert names == ["four folds", "folds 0 and 1", "fold 0"]
    assert text("folds:pfenet@012") == "folds 0, 1 and 2"
    scores = [text(f"score:pfenet{on}") for on in ("", "@13", "@bam", "@hdmnet")]
    assert scores == ["50.0", "60.0", "30.0", "20.0"]
    differences = [text(f"minus:{pair}") for pair in ("hdmnet,bam", "bam,hdmnet")]
    assert differences == ["\N{MINUS SIGN}30.0", "+30.0"]
    assert text("score:pfenet@asgnet") == "(not published)"
    with pytest.raises(ConfigError, match="nobody"):
        text("score:pfenet@nobody")


def test_texts_count_the_pairs_of_trainings_in_which_a_row_is_higher():
    study = load_study("main")
    of = {"pfenet": (0.4, 0.5, 0.6), "qgnet": (0.5, 0.4)}
    results = {
        row: [{"fold": 0, "seed": seed, "miou": miou} for seed, miou in enumerate(scores)]
        for row, scores in of.items()
    }
    assert filled("{ahead:qgnet}", study, results) == "higher in 1 of 2 pairs of trainings"
    assert filled("{ahead:pfenet,pfenet}", study, results) == "higher in 0 of 3 pairs of trainings"
    results["bam"] = [{"fold": 0, "seed": 7, "miou": 0.9}]
    assert filled("{ahead:bam}", study, results) == "(not published)"


def test_absent_objects_have_a_table_and_numbers_for_texts(study, monkeypatch):
    study, _ = study
    work = studies.run
    facts = {"auroc": 0.8, "auroc_interval": [0.7, 0.9], "calibrated_on": "base"}
    facts |= {"present_believed": 0.9, "absent_refused": 0.6, "marked_when_absent": 0.2}
    facts |= {"miou_refusing": 0.3, "sureness": {"present": [1.0], "absent": [0.0]}}

    def run(template, parameters):
        folder = work(template, parameters)
        path = folder / "results.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"absence": facts}))
        return folder

    monkeypatch.setattr(studies, "run", run)
    run_study(study, ["tested", "pfenet"])
    line = absence_table("small", ["tested"]).splitlines()[2]
    # Two folds by two seeds: half of 20 points over the root of four.
    assert line == "| tested | 80.0 | 75.0–85.0 | base | 90.0 | 60.0 | 20.0 | 20.0 | 30.0 |"
    text = "{auroc:tested} {believed:tested} {refused:tested} {marked:tested} {empty:tested}"
    assert filled(text, study, study_results("small")) == "80.0 90.0 60.0 20.0 30.0"
    (bare,) = {filled("{auroc:base}", study, study_results("small"))}
    assert bare == "(not published)"


def test_maps_have_a_table_of_their_own(study, monkeypatch):
    study, _ = study
    assert map_table("small") == ""
    work = studies.run

    def run(template, parameters):
        folder = work(template, parameters)
        path, scores = folder / "results.json", range(1, 10)
        facts = {"auroc": 0.5 + parameters["fold"] / 10, "dark_on_objects": 0.25, "contrast": -0.1}
        facts |= {"thresholds": [score / 10 for score in scores]}
        facts |= {name: [1 - score / 10 for score in scores] for name in ("recall", "coverage")}
        facts["precision"] = [score / 10 for score in scores]
        path.write_text(json.dumps(json.loads(path.read_text()) | {"maps": {"prior": facts}}))
        return folder

    monkeypatch.setattr(studies, "run", run)
    run_study(study, ["tested", "pfenet"])
    rows = map_table("small", ["tested"]).splitlines()
    shown = "60.0 (50.0–70.0) | 25.0 | -10.0 | 70 / 70 / 30 | 50 / 50 / 50 | 30 / 30 / 70"
    assert rows[2:] == [f"| tested | prior | {shown} |"]
    assert len(rows[0].split("|")) == len(rows[1].split("|")) == len(rows[2].split("|"))
    (row,) = map_table("small", ["tested"], (0.1,)).splitlines()[2:]
    assert row.endswith("| 25.0 | -10.0 | 90 / 90 / 10 |")


def test_seeds_that_change_nothing_are_refused(study):
    study, _ = study
    rows = {**study.rows, "tested": {**study.rows["tested"], "seeds": [0, 1, 4]}}
    with pytest.raises(ConfigError, match="tested_f0_s4 would be tested_f0_s0 once more"):
        list(replace(study, rows=rows).jobs())


def test_a_file_of_another_row_is_the_one_of_the_same_fold(study):
    study, _ = study
    job = study.job("tested", 2, 0)
    source = study.job("pfenet", 2, 0)
    assert job.parameters["head"] == str(source.folder / "head.safetensors")
    assert job.needs == (source.name,)


def test_others_are_left_alone_and_failures_come_last(study, monkeypatch):
    study, executed = study
    work = studies.run

    def run(template, parameters):
        if parameters["fold"] == 0 and template == "train":
            raise BusyError("process 7")
        if template == "evaluate":
            raise RunError("no head")
        return work(template, parameters)

    monkeypatch.setattr(studies, "run", run)
    with pytest.raises(RunError, match="2 of the study's runs failed: tested_f2_s0, tested_f2_s1"):
        run_study(study, ["pfenet", "tested"])
    assert len(executed) == 2, "what needs a run of another process waits for it"


def test_what_needs_a_failed_run_is_not_started(study, monkeypatch, capsys):
    study, executed = study
    work = studies.run

    def run(template, parameters):
        if parameters["fold"] == 0 and template == "train":
            raise RunError("diverged")
        return work(template, parameters)

    monkeypatch.setattr(studies, "run", run)
    failed = "pfenet_f0_s0, tested_f0_s0, pfenet_f0_s1, tested_f0_s1"
    with pytest.raises(RunError, match=f"4 of the study's runs failed: {failed}"):
        run_study(study, ["pfenet", "tested"])
    assert len(executed) == 4
    assert "tested_f0_s0: not started, it needs files of pfenet_f0_s0" in capsys.readouterr().out


def test_a_sweeps_results_stay_in_its_folders(study, tmp_path, monkeypatch):
    study, executed = study
    monkeypatch.setattr(jobs, "default_folder", lambda config: tmp_path / "runs" / run_id(config))
    assert sweep_table(study) == "No run of this has left results yet."

    def run(template, parameters):
        folder = default_folder(parse(template, parameters))
        folder.mkdir(parents=True)
        scores = {"miou": 0.2, "miou_interval": [0.1, 0.3], "privileged_query_labels": False}
        scores |= {"fb_iou": 0.5, "fb_iou_interval": [0.4, 0.6]}
        (folder / "results.json").write_text(json.dumps(scores))
        (folder / "status.json").write_text(json.dumps({"state": "finished"}))
        executed.append(template)
        return folder

    default_folder = jobs.default_folder
    monkeypatch.setattr(studies, "run", run)
    run_study(study, ["pfenet"], published=False)
    assert not (tmp_path / "published").exists()
    row = "| pfenet | 20.0 | 20.0 | 20.0 ± 7.1 | 50.0 | 2 (spread 0.0) |"
    assert sweep_table(study).splitlines()[2:] == [row]
    run_study(study, ["pfenet"], missing=True, published=False)
    assert executed == ["train"] * 4, "what has finished is not missing"


def test_what_another_process_has_ended_meanwhile_is_published(study, monkeypatch):
    study, executed = study
    work, attempts = studies.run, []

    def run(template, parameters):
        attempts.append(template)
        if len(attempts) == 1:
            raise BusyError("process 7")
        return work(template, parameters)

    monkeypatch.setattr(studies, "run", run)
    run_study(study, ["pfenet", "tested"])
    assert len(executed) == 8
    assert len(study_results("small")["tested"]) == 4


def test_what_is_published_need_not_be_run_again(study):
    study, executed = study

    def missing(*rows):
        before = len(executed)
        run_study(study, rows, missing=True)
        return [(template, p["fold"]) for template, p in executed[before:]]

    run_study(study, ["pfenet"])
    (studies.published_folder() / "small" / "pfenet_f2_s0.json").unlink()
    assert missing("pfenet") == [("train", 2)]
    ran = missing("pfenet", "tested")
    assert [fold for template, fold in ran if template == "train"] == [0, 2, 0, 2], "heads are read"
    assert len(ran) == 8
    assert missing("pfenet", "tested") == []


def test_what_a_study_cannot_mean_is_said(study):
    with pytest.raises(ConfigError, match="study='pi'"):
        load_study("pi")
    with pytest.raises(ConfigError, match="row='bam'"):
        list(study[0].jobs(["bam"]))
    with pytest.raises(ConfigError, match="row='bam'"):
        study_table("small", ["bam"])
    assert "Nothing of this is published yet" in study_table("small", ["tested"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"always": {"stpes": 3}}, "always: unknown parameter 'stpes'; did you mean 'steps'"),
        ({"folds": [0, 9]}, r"row 'pfenet': folds=\[0, 9\]: expected some of 0, 1, 2 and 3"),
        ({"rows": {"a": {"folds": [7]}}}, r"row 'a': folds=\[7\]: expected some of"),
        ({"rows": {"a": {"folds": []}}}, r"row 'a': folds=\[\]: expected one at least"),
        ({"rows": {"a": {"seeds": 3}}}, "row 'a': seeds=3: expected a list"),
        ({"seeds": 3}, "seeds=3: expected a list"),
        ({"rows": {"a": None}}, "row 'a': None, expected such as"),
        ({"rows": {"a": {"template": "trian"}}}, "row 'a': template='trian'"),
        ({"rows": {}}, "expected one at least"),
        ({"rows": {"a": {"base": "@a/h"}}}, "row 'a' reads its own file .a reads a.; name a file"),
        (
            {"rows": {"a": {"base": "@b/h"}, "b": {"folds": [0], "base": "@a/h"}}},
            "a reads b reads a",
        ),
        ({"row": {}}, "unknown parameter 'row'; did you mean 'rows'"),
    ],
)
def test_a_file_of_nonsense_is_named(study, tmp_path, changes, message):
    _, executed = study
    (tmp_path / "odd.yaml").write_text(yaml.safe_dump(SMALL | changes, sort_keys=False))
    with pytest.raises(ConfigError, match=message):
        run_study(load_study("odd"))
    assert not executed


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "holds None; expected"), ("- a", r"holds \['a'\]; expected"), ("rows: [", "no YAML")],
)
def test_a_file_that_is_no_study_is_named(study, tmp_path, text, message):
    (tmp_path / "odd.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"odd\.yaml .*{message}"):
        load_study("odd")


def test_nothing_starts_where_one_parameter_is_wrong(study):
    study, executed = study
    study.rows["tested"]["way"] = "two"
    with pytest.raises(ConfigError, match="way"):
        run_study(study)
    assert not executed


@pytest.mark.parametrize("name", NAMES)
def test_every_run_of_a_study_can_start(name):
    study = load_study(name)
    folders = [job.folder for job in study.jobs()]
    assert len(set(folders)) == len(folders), "no row asks for what another one has"


def names_alone(config) -> dict:
    """What decides a run, files by their names."""
    return json.loads(re.sub(r'"[^"]*/', '"', json.dumps(config.decisive())))


@pytest.mark.parametrize("name", NAMES)
def test_published_results_are_what_the_study_asks(name):
    study = load_study(name)
    jobs = {job.name: job for job in study.jobs()}
    for path in (published_folder() / name).glob("*.json"):
        result, job = json.loads(path.read_text()), jobs[path.stem]
        expected = parse(job.template, job.parameters)
        published = parse_card(job.template, result["config"])
        assert names_alone(expected) == names_alone(published), path.name
        assert result["episodes"] == expected.test_protocol.episodes


@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_results_shows_the_published_table(name):
    study = load_study(name)
    if study.page:
        text = (published_folder() / name / "README.md").read_text()
        assert unmarked(page(study)) == unmarked(text), f"run `fsslib study {name} --page`"
    else:
        assert not study_results(name), f"{name} is published, but {name}.yaml has no page:"


def unmarked(text):
    """Without what changes with the code of the day: which rows are stale."""
    lines = [line.replace(f" {MARK}", "") for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(x for x in lines if not x.startswith(MARK)))


def test_seeds_spread_over_the_folds_that_all_of_them_have():
    scores = {(0, 0): 0.47, (1, 0): 0.42, (0, 1): 0.49}  # (fold, seed): mIoU
    results = [{"fold": f, "seed": s, "miou": value} for (f, s), value in scores.items()]
    assert seeds_cell(results) == f"2 (spread {2 / 2**0.5:.1f})"
    apart = [result for result in results if (result["fold"], result["seed"]) != (0, 0)]
    assert seeds_cell(apart) == "2" and seeds_cell(results[:1]) == "1"
