"""What a study needs, told before it starts; the papers' sweeps on miniature trees."""

from dataclasses import replace

import numpy as np
import pytest
import trees

from fsslib.data.registry import load_benchmark
from fsslib.encoders.weights import WeightsError
from fsslib.runs import preflight
from fsslib.runs.config import parse
from fsslib.runs.experiment import Experiment
from fsslib.runs.preflight import check, check_table, licences
from fsslib.runs.studies import jobs_to_run
from fsslib.runs.study import Study, load_study

SWEEPS = ("frontier_pascal5i", "frontier_coco20i")
VIT_S = "timm/vit_small_patch16_dinov3"
SMALL = {
    "timm/vit_large_patch14_dinov2": "timm/vit_small_patch14_dinov2",
    "timm/vit_large_patch16_dinov3": "timm/vit_small_patch16_dinov3",
    "timm/vit_base_patch16_dinov3": "timm/vit_small_patch16_dinov3",
}


def small(name, root, **changes):
    """A sweep on a miniature tree, with small networks of the same kind."""
    study = load_study(name)
    rows = {
        row: {**parameters, "encoder": f"{SMALL[parameters['encoder']]} weights=random", **changes}
        for row, parameters in study.rows.items()
        if "5shot" not in row
    }
    for parameters in rows.values():
        parameters.pop("masks", None)
    extra = {"root": str(root), "episodes": 1, "workers": 0, "device": "cpu"}
    return replace(study, rows=rows, always=study.always | extra, folds=(0,))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    pascal, coco = tmp_path_factory.mktemp("pascal"), tmp_path_factory.mktemp("coco")
    trees.write_voc(pascal)
    trees.write_sbd(pascal)
    trees.write_coco(coco)
    return dict(zip(SWEEPS, (pascal, coco), strict=True))


@pytest.mark.parametrize("name", SWEEPS)
def test_every_row_of_a_sweep_is_a_run(name):
    study = load_study(name)
    for job in study.jobs():
        config = parse(job.template, job.parameters)
        assert config.test_protocol.episodes == 1000
    assert all(row in study.rows for row in study.references().values())
    named = {
        licence for job in study.jobs() for licence in licences(parse("evaluate", job.parameters))
    }
    assert any("apache-2.0" in licence for licence in named)
    assert any("DINOv3 License" in licence for licence in named)


def test_what_is_missing_is_told(tmp_path):
    study = load_study("frontier_pascal5i")
    study = replace(study, always=study.always | {"root": str(tmp_path / "nowhere")}, folds=(0,))
    (one,) = check(study, ["dinov2_gfsam_maps"])
    assert one.runs == 1 and one.hours is None and "no such folder" in one.trouble
    text = check_table([one])
    assert "| dinov2_gfsam_maps | 1 | not tried |" in text and "apache-2.0" in text
    assert "No row could be tried." in text


PROTOTYPE = {"template": "evaluate", "method": "grid_prototype", "episodes": 3600}


def test_hours_are_measured_where_the_data_is(monkeypatch):
    tested = PROTOTYPE | {"method": "pfenet", "head": "@training/head.safetensors"}
    rows = {"prototype": PROTOTYPE, "training": {"method": "pfenet"}, "tested": tested}
    study = Study("mine", "a test", rows, folds=(0, 1))
    monkeypatch.setattr(preflight, "_seconds", lambda config: 1800)
    prototype, training, tested = check(study)
    assert prototype.trouble == training.trouble == ""
    assert prototype.runs == training.runs == 2 and prototype.hours == training.hours == 1
    assert tested.hours is None and tested.trouble == "files that runs of training make"
    monkeypatch.undo()
    first = next(iter(check(study, ["prototype"])))
    assert 0 < first.hours < 10


def test_a_training_is_its_steps_and_its_test_list(monkeypatch):
    """A picture is new to a feature cache once."""
    row = {"method": "pfenet", "steps": 6000, "train_batch_size": 8, "episodes": 10}
    study = Study("mine", "a test", {"training": row}, folds=(0,), always={"feature_cache": 40})
    steps = {"new": 3.0, "again": 1.0}
    monkeypatch.setattr(preflight, "_seconds_of_step", lambda _, folder: steps[folder.name])
    monkeypatch.setattr(preflight, "_seconds_of_episode", lambda *_: 5.0)
    (job,) = study.jobs()
    config = parse(job.template, job.parameters)
    pictures = len(load_benchmark(config.test_protocol).areas("train"))
    drawn = np.random.default_rng(0).integers(pictures, size=6000 * 16)
    (one,) = check(study)
    new = len(np.unique(drawn)) / 16
    assert one.hours * 3600 == pytest.approx(6000 * 1 + new * (3 - 1) + 10 * 5, rel=0.01)
    study.rows["training"] = row | {"steps": 2}
    (one,) = check(study)
    assert one.hours * 3600 == pytest.approx(2 * 3 + 10 * 5, rel=0.01)


def test_steps_are_timed_in_the_training_s_own_loop():
    row = {"method": "pfenet", "held_out": 5, "selection": "held_out_base"}
    row |= {"validate_every": 5, "steps": 10, "episodes": 5, "train_batch_size": 1}
    study = Study("mine", "a test", {"training": row}, folds=(0,))
    (one,) = check(study)
    assert one.trouble == "" and 0 < one.hours < 1


def test_what_is_there_needs_no_hours():
    study = load_study("main")
    assert not list(check(study, ["prototype"], missing=True))
    study = replace(study, name="nobody_published_it", folds=(0,))
    assert len(list(jobs_to_run(study, ["prototype"], missing=True))) == 1


def test_a_clip_is_tried_at_random_and_weights_that_cannot_be_had_stop_no_check(monkeypatch):
    row = {"template": "evaluate", "method": "clip_prior", "clip": "ViT-B-16 weights=laion2b"}
    study = Study("mine", "a test", {"words": row}, folds=(0,))
    (job,) = study.jobs()
    tried = preflight._with_what_is_here(parse(job.template, job.parameters))
    assert tried.clip == "ViT-B-16 weights=random"

    def nothing(*_):
        raise WeightsError("no network")

    monkeypatch.setattr(preflight, "assemble", nothing)
    assert next(check(study)).hours is None


ROWS = [(name, row) for name in SWEEPS for row in load_study(name).rows if "5shot" not in row]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "row"), ROWS)
def test_a_sweep_runs_at_full_size_on_a_miniature_tree(name, row, folders, tmp_path):
    """One episode a row, with random weights of ViT-S/14 and ViT-S/16 at 518 and 512 pixels; so
    INSID3, whose own 1024 would take a minute, and with fewer directions than a ViT-S has."""
    study = small(name, folders[name])
    study.rows["dinov3l_insid3"] |= {"method": "insid3 components=300 size=512", "image_size": 512}
    study.rows["dinov3l_prototype"] |= {"method": "grid_prototype size=512", "image_size": 512}
    (job,) = study.jobs([row])
    results = Experiment(parse(job.template, job.parameters), tmp_path / "run").evaluate()
    assert results["episodes"] == 1 and 0 <= results["miou"] <= 1
    assert (tmp_path / "run" / "episodes.csv.gz").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", SWEEPS)
def test_the_check_of_a_sweep_tells_data_weights_licence_and_hours(name, folders):
    """Of a row whose weights are not here: it is timed with random ones."""
    study = load_study(name)
    extra = {"root": str(folders[name]), "workers": 0, "device": "cpu"}
    row = study.rows["dinov3b_fssdino"] | {"encoder": VIT_S, "reference": None}
    rows = {"dinov3b_fssdino": row}
    (one,) = check(replace(study, rows=rows, always=study.always | extra, folds=(0,)), [])
    assert "weights of timm/vit_small_patch16_dinov3, downloaded" in one.trouble
    assert one.hours > 0 and "DINOv3 License" in one.licences[0]
    text = check_table([one])
    assert "dinov3b_fssdino | 1 |" in text and "hours, one run after the other" in text
