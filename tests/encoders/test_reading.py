"""Reading files of weights: nothing in them is run, and what is wrong takes one sentence."""

import os
import warnings

import pytest
import torch
from hostile.weights import HOSTILE, SAFETENSORS, Scripted, rewritten, script

from fsslib.encoders.clip_loading import load_clip
from fsslib.encoders.dino import load_dino
from fsslib.encoders.found import load_found_head
from fsslib.encoders.reading import read_content, read_state
from fsslib.encoders.torchscript import read_archive
from fsslib.encoders.weights import WeightsError
from fsslib.interop.checkpoint import read_checkpoint


def loaded_by_jit(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return torch.jit.load(str(path), map_location="cpu")


def one_sentence(error):
    text = str(error)
    assert "\n" not in text and len(text) < 400, text
    assert "weights_only" not in text and "trust" not in text, text


HARMLESS = {("meta", "meta"), ("claims", "meta"), ("jit_no_record", "meta")}
"""Shapes alone take no memory."""


@pytest.mark.parametrize(
    ("name", "device"),
    [(n, d) for n in HOSTILE for d in ("cpu", "meta") if (n, d) not in HARMLESS],
)
def test_hostile_files_are_refused_and_never_run(name, device, tmp_path):
    path, marker = tmp_path / "weights.pt", tmp_path / "executed"
    HOSTILE[name](path, marker)
    with pytest.raises(WeightsError) as caught:
        read_state(path) if device == "cpu" else read_checkpoint(path, shapes_only=True)
    assert str(path) in str(caught.value) or path.name in str(caught.value)
    one_sentence(caught.value)
    assert not marker.exists()


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("name", SAFETENSORS)
def test_broken_safetensors_are_refused(name, device, tmp_path):
    SAFETENSORS[name](path := tmp_path / "weights.safetensors", tmp_path / "executed")
    with pytest.raises(WeightsError) as caught:
        read_content(path, device)
    one_sentence(caught.value)


def test_the_planted_files_would_run(tmp_path):
    """Or the test above would show nothing."""
    for name, opened in (("pickle_torch", unsafe), ("jit_setstate", loaded_by_jit)):
        HOSTILE[name](tmp_path / name, tmp_path / f"{name}_executed")
        opened(tmp_path / name)
        assert (tmp_path / f"{name}_executed").exists()


def unsafe(path):
    torch.load(path, weights_only=False)


@pytest.mark.parametrize(
    "load",
    [
        lambda path: load_clip("RN50-quickgelu", path),
        lambda path: load_clip("scenes-clip-vit", path),
        lambda path: load_dino("scenes-dino", path),
        load_found_head,
    ],
)
@pytest.mark.parametrize("name", ["jit_setstate", "jit_pickle", "pickle_torch", "web_page"])
def test_no_loader_of_an_encoder_runs_a_file(load, name, tmp_path):
    path, marker = tmp_path / "weights.pt", tmp_path / "executed"
    HOSTILE[name](path, marker)
    with pytest.raises(WeightsError) as caught:
        load(path)
    one_sentence(caught.value)
    assert not marker.exists()


def test_an_archives_tensors_are_those_of_its_state_dict(tmp_path):
    script(Scripted(), path := tmp_path / "archive.pt")
    expected = loaded_by_jit(path).state_dict()
    read = read_archive(path)
    assert read.keys() == expected.keys() and "plain" not in read
    for key, value in expected.items():
        torch.testing.assert_close(read[key], value, rtol=0, atol=0)
    shapes = read_archive(path, "meta")
    assert {k: (v.shape, v.dtype) for k, v in shapes.items()} == {
        k: (v.shape, v.dtype) for k, v in expected.items()
    }
    assert read_state(path)["scale"].dtype == torch.float32


def test_an_archive_with_foreign_code_gives_its_tensors(tmp_path):
    """The code is text that nobody runs, so that only the data matters."""
    script(Scripted(), path := tmp_path / "archive.pt")
    expected = read_archive(path)

    def planted(name, old):
        return old + b"\nimport os\nos.abort()\n" if name.endswith("__torch__.py") else old

    rewritten(path, planted)
    assert read_archive(path).keys() == expected.keys()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.mkdir(), "give the path of an existing file"),
        (lambda path: os.mkfifo(path), "give the path of an existing file"),
        (lambda path: path.symlink_to(path), "give the path of an existing file"),
        (lambda path: path.symlink_to("/dev/zero"), "give the path of an existing file"),
        (lambda path: path.write_text("<html>"), "it is a web page"),
        (lambda path: path.touch(), "it is empty"),
        (HOSTILE["lfs"], "run `git lfs pull`"),
        (HOSTILE["claims"], "larger than the file"),
        (HOSTILE["zip_overlapping"], "its entries unpack to"),
        (HOSTILE["zip_deflated"], "its entries unpack to"),
        (HOSTILE["function"], "it holds a posix.getcwd"),
        (HOSTILE["text"], "no format that torch.load knows"),
    ],
)
def test_the_reason_is_told(make, reason, tmp_path):
    path = tmp_path / "weights.pt"
    make(path, tmp_path / "executed") if make in HOSTILE.values() else make(path)
    with pytest.raises(WeightsError, match=reason):
        read_content(path)


def test_a_name_that_no_file_can_have_is_no_weights(tmp_path):
    with pytest.raises(WeightsError, match=r"no weights at .*too long"):
        read_content(tmp_path / ("x" * 300))
