"""Checkpoints and journals that were damaged, or are something else."""

import shutil
import warnings

import numpy as np
import pytest
import torch
from hostile.weights import HOSTILE
from torch import nn

from fsslib.training.checkpoint import (
    CheckpointError,
    go_on,
    load_checkpoint,
    previous_of,
    save_checkpoint,
)
from fsslib.training.journal import Journal, JournalError, read_journal

SETTINGS = {"lr": 0.1}
FRESH = {"step": 0, "seconds": 0.0, "facts": {}, "best": None}


def save(path, step):
    torch.manual_seed(step)
    save_checkpoint(path, {"step": step}, SETTINGS, {"model": nn.Linear(4, 4)})


@pytest.fixture
def twice(tmp_path):
    """A checkpoint of step 2, with that of step 1 beside it."""
    for step in (1, 2):
        save(tmp_path / "checkpoint.pt", step)
    return tmp_path / "checkpoint.pt"


def test_the_checkpoint_before_is_kept(twice):
    assert load_checkpoint(twice, SETTINGS)["step"] == 2
    shutil.copyfile(previous_of(twice), twice)
    assert load_checkpoint(twice, SETTINGS)["step"] == 1
    assert {path.name for path in twice.parent.iterdir()} == {
        "checkpoint.pt",
        "checkpoint_before.pt",
    }


def test_every_flipped_bit_of_the_content_is_found_or_harmless(twice):
    """Only names of entries and padding lie outside of the checksums."""
    whole, model = twice.read_bytes(), load_checkpoint(twice, SETTINGS)["model"]
    rng, replaced = np.random.default_rng(0), 0
    for place in rng.integers(0, len(whole), 60):
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << int(rng.integers(8))
        twice.write_bytes(spoilt)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            content = load_checkpoint(twice, SETTINGS)
        if content["step"] == 1:
            assert "going on from checkpoint_before.pt" in str(caught[0].message)
            replaced += 1
        else:
            assert all(torch.equal(content["model"][name], model[name]) for name in model)
    assert replaced > 20


def test_without_one_before_a_flipped_bit_is_an_error(tmp_path):
    save(path := tmp_path / "checkpoint.pt", 1)
    content = bytearray(path.read_bytes())
    place = content.index(load_checkpoint(path, SETTINGS)["model"]["weight"].numpy().tobytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt is damaged: .* another checksum"):
        load_checkpoint(path, SETTINGS)


def test_a_lost_checkpoint_is_replaced_by_the_one_before(twice):
    twice.unlink()
    with pytest.warns(UserWarning, match="going on from checkpoint_before"):
        assert load_checkpoint(twice, SETTINGS)["step"] == 1


@pytest.mark.parametrize("name", HOSTILE)
def test_other_files_are_refused_without_running_them(name, tmp_path):
    path, marker = tmp_path / "checkpoint.pt", tmp_path / "executed"
    HOSTILE[name](path, marker)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, SETTINGS)
    text = str(caught.value)
    assert "\n" not in text and "weights_only" not in text and len(text) < 400, text
    assert not marker.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": 3},
        {"fingerprint": None},
        {"random": None},
        {"random": {"cpu": torch.zeros(3), "cuda": []}},
        {"random": {"cpu": "no", "cuda": []}},
        {"random": {}},
        {"model": {"weight": torch.zeros(9)}},
        {"model": 7},
        {"step": "three"},
        {"facts": [1, 2]},
        {"seconds": [1.0]},
    ],
)
def test_other_content_is_refused_in_a_sentence(change, tmp_path):
    save(path := tmp_path / "checkpoint.pt", 1)
    torch.save(torch.load(path, weights_only=True) | change, path)
    with pytest.raises(CheckpointError, match="something else than this training's checkpoint"):
        go_on(path, SETTINGS, FRESH, {"model": nn.Linear(4, 4)})


def test_a_journals_last_line_may_be_cut_off_and_no_other(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n{"st')
    assert [row["step"] for row in read_journal(path)] == [1, 2]
    for line in (b"\xff\xfe", b"[1]", b'{"loss": 1}', b'{"step": "one"}', b"[" * 100_000):
        path.write_bytes(b'{"step": 1}\n' + line + b'\n{"step": 2}\n')
        with pytest.raises(JournalError, match=r"metrics\.jsonl: line 2 is no line"):
            Journal(path, 5)
