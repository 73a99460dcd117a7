"""The training loop: resuming is exact, divergence stops, checkpoints belong to their run."""

import json

import pytest
import torch
from stand_ins import tiny_backbone

from fsslib.data.loading import TrainingEpisodes
from fsslib.data.protocol import Protocol
from fsslib.data.registry import load_benchmark
from fsslib.methods import build_method
from fsslib.training.checkpoint import CheckpointError
from fsslib.training.journal import Journal, TrainingDiverged, read_journal
from fsslib.training.loop import TrainConfig, train

PROTOCOL = Protocol.preset("scenes10i", image_size=33)
CONFIG = TrainConfig(steps=6, batch_size=2, checkpoint_every=2, log_every=1, workers=0, lr=1e-2)


def fresh(seed: int = 0):
    torch.manual_seed(seed)
    return build_method("pfenet", tiny_backbone(), "scenes", dim=8)


def episodes(start: int, config: TrainConfig = CONFIG) -> TrainingEpisodes:
    length = config.steps * config.batch_size
    return TrainingEpisodes(load_benchmark(PROTOCOL), PROTOCOL, length, config.seed, start)


def quiet(_: str) -> None:
    pass


class Killed(Exception):
    pass


def kill_after(step: int):
    def report(line: str) -> None:
        if line.startswith(f"step {step}/"):
            raise Killed

    return report


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    outcome = train(fresh(), episodes, CONFIG, folder, report=quiet)
    return folder, outcome


@pytest.mark.parametrize("killed_at", [3, 5])
def test_a_killed_run_ends_like_an_uninterrupted_one(whole, tmp_path, killed_at):
    folder, outcome = whole
    with pytest.raises(Killed):
        train(fresh(), episodes, CONFIG, tmp_path, report=kill_after(killed_at))
    torch.manual_seed(99)  # whatever else happened in between must not matter
    again = train(fresh(seed=7), episodes, CONFIG, tmp_path, report=quiet)
    for key, value in outcome["last"].items():
        assert torch.equal(value, again["last"][key]), key
    losses = [
        [row["loss"] for row in read_journal(f / "metrics.jsonl")] for f in (folder, tmp_path)
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) == CONFIG.steps


def test_a_finished_run_is_only_read(whole):
    folder, outcome = whole
    again = train(fresh(seed=3), episodes, CONFIG, folder, report=quiet)
    assert all(torch.equal(v, again["last"][k]) for k, v in outcome["last"].items())


def test_training_moves_the_head_and_nothing_else(whole):
    _, outcome = whole
    before = fresh()
    assert not torch.equal(outcome["last"]["classifier.0.weight"], before.classifier[0].weight)
    assert not any(key.startswith("backbone") for key in outcome["last"])


def test_a_checkpoint_of_other_settings_is_refused(whole):
    folder, _ = whole
    other = TrainConfig(**{**CONFIG.__dict__, "lr": 0.5})
    with pytest.raises(CheckpointError, match=r"lr: 0\.01 then, 0\.5 now"):
        train(fresh(), episodes, other, folder, report=quiet)


def test_a_broken_checkpoint_names_itself(tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"cut off")
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt is damaged and cannot be read"):
        train(fresh(), episodes, CONFIG, tmp_path, report=quiet)


def test_a_loss_that_is_not_finite_stops_with_advice(tmp_path):
    method = fresh()
    with torch.no_grad():
        method.classifier[3].bias.fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match=r"step 0.*not finite.*Lower lr"):
        train(method, episodes, CONFIG, tmp_path, report=quiet)
    assert not (tmp_path / "checkpoint.pt").exists()


def test_the_best_validation_score_chooses_the_weights(tmp_path):
    scores = iter([0.2, 0.6, 0.4])
    seen = []

    def validate(method):
        seen.append({k: v.clone() for k, v in method.head_state().items()})
        return {"held_out": next(scores)}

    config = TrainConfig(**{**CONFIG.__dict__, "validate_every": 2})
    outcome = train(fresh(), episodes, config, tmp_path, validate=validate, report=quiet)
    assert (outcome["best_step"], outcome["best_score"]) == (4, 0.6)
    assert all(torch.equal(outcome["best"][k], v) for k, v in seen[1].items())
    validations = [row for row in read_journal(tmp_path / "metrics.jsonl") if "miou" in row]
    assert [row["miou"] for row in validations] == [0.2, 0.6, 0.4]


def test_workers_do_not_change_a_run(whole, tmp_path):
    _, outcome = whole
    config = TrainConfig(**{**CONFIG.__dict__, "workers": 2})
    parallel = train(fresh(), episodes, config, tmp_path, report=quiet)
    assert all(torch.equal(v, parallel["last"][k]) for k, v in outcome["last"].items())


def test_a_run_goes_on_with_other_workers_and_intervals(whole, tmp_path):
    _, outcome = whole
    with pytest.raises(Killed):
        train(fresh(), episodes, CONFIG, tmp_path, report=kill_after(3))
    config = TrainConfig(**{**vars(CONFIG), "workers": 1, "checkpoint_every": 5, "log_every": 2})
    again = train(fresh(seed=7), episodes, config, tmp_path, report=quiet)
    assert all(torch.equal(v, again["last"][k]) for k, v in outcome["last"].items())


def test_recipes_state_the_rate_in_force():
    assert TrainConfig.preset("official").lr == 10 * TrainConfig.preset("paper").lr == 0.025
    with pytest.raises(ValueError, match="recipe='papr'"):
        TrainConfig.preset("papr")
    with pytest.raises(ValueError, match="lr=0"):
        TrainConfig(lr=0.0)


def test_journal_forgets_what_came_after_the_checkpoint_and_survives_a_cut(tmp_path):
    path = tmp_path / "metrics.jsonl"
    journal = Journal(path)
    for step in (1, 2, 3):
        journal.write(step, loss=1 / step)
    path.write_text(path.read_text() + '{"step": 4, "lo')
    assert [row["step"] for row in read_journal(path)] == [1, 2, 3]
    Journal(path, after_step=2).write(3, loss=9.0)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert rows[-1]["loss"] == 9.0
