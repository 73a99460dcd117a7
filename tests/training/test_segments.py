"""Segments kept on disk: the same as computed, finished after a kill, made again when damaged."""

import pickle

import numpy as np
import pytest
from PIL import Image

from fsslib.data.scenes.album import Album
from fsslib.priors.superpixels import SuperpixelConfig, measure, superpixels
from fsslib.training.pretraining import segments
from fsslib.training.pretraining.segments import SegmentStore
from fsslib.training.pretraining.unlabelled import PictureFiles

CONFIG = SuperpixelConfig.preset("scenes_slic", long_side=48, min_area=25, min_side=5)


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    return Album("test", 0, 23, 48, tmp_path_factory.mktemp("album")).prepare(workers=1)


@pytest.fixture
def store(album, tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "SHARD", 10)
    return SegmentStore(album, CONFIG, tmp_path)


def times(store):
    return {path.name: path.stat().st_mtime_ns for path in store.folder.iterdir()}


def test_what_is_kept_is_what_is_computed(store):
    store.prepare(workers=1)
    for index in (0, 9, 10, 22):
        labels = superpixels(store.pictures.image(index), CONFIG)
        assert np.array_equal(store.labels(index), labels)
        for stored, computed in zip(store.segments(index), measure(labels, CONFIG), strict=True):
            assert np.array_equal(stored, computed)
    assert store.boxes(3).shape == (store.segments(3).eligible.sum(), 4)
    assert store.report()["pictures"] == 23
    assert not store.labels(3).flags.writeable
    assert store.labels(3).dtype == np.uint8, "a byte does for fewer than 257 segments"


def test_an_interrupted_preparation_is_finished(store):
    store.prepare(workers=1)
    before = times(store)
    facts = store.folder / "0000010_10.json"
    facts.unlink()
    with pytest.raises(FileNotFoundError, match="call prepare"):
        SegmentStore(store.pictures, CONFIG, store.root).labels(0)
    store.prepare(workers=1)
    changed = {name for name, time in times(store).items() if time != before[name]}
    assert changed == {f"0000010_10.{end}" for end in ("npy", "npz", "json")}


def test_damaged_bytes_are_found_and_made_again(store):
    store.prepare(workers=1)
    labels = store.folder / "0000000_10.npy"
    whole = labels.read_bytes()
    labels.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    store.prepare(workers=1)
    assert labels.read_bytes() == whole


def test_processes_make_the_same_files(store, album, tmp_path, monkeypatch):
    store.prepare(workers=1)
    monkeypatch.setattr(segments, "WORKERS", 2)
    other = SegmentStore(album, CONFIG, tmp_path / "other").prepare(workers=2)
    assert sorted(times(other)) == sorted(times(store))
    for path in store.folder.iterdir():
        assert (other.folder / path.name).read_bytes() == path.read_bytes()


def test_other_settings_or_pictures_have_a_folder_of_their_own(store, album):
    felzenszwalb = SuperpixelConfig.preset("scenes_felzenszwalb")
    others = [
        SegmentStore(album, felzenszwalb, store.root),
        SegmentStore(album, SuperpixelConfig.preset("scenes_slic"), store.root),
        SegmentStore(Album("test", 1, 23, 48), CONFIG, store.root),
    ]
    assert len({one.folder for one in (store, *others)}) == 4


def test_what_is_mapped_does_not_travel(store):
    store.prepare(workers=1)
    store.labels(0), store.pictures.image(0)
    assert len(pickle.dumps(store)) < 2000


def test_pictures_of_a_folder(tmp_path):
    rng = np.random.default_rng(0)
    for number, shape in enumerate([(40, 60), (64, 30)]):
        pixels = rng.integers(256, size=(*shape, 3), dtype=np.uint8)
        path = tmp_path / "pictures" / f"sub{number}" / "a.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(pixels).save(path)
    files = PictureFiles.in_folder(tmp_path / "pictures")
    assert len(files) == 2 and files.image(1).shape == (64, 30, 3)
    store = SegmentStore(files, CONFIG, tmp_path / "cache").prepare(workers=1)
    assert store.size(0) == (32, 48) and store.size(1) == (48, 22)
    path.write_bytes(path.read_bytes() + b"more")
    assert PictureFiles.in_folder(tmp_path / "pictures").identity != files.identity
    with pytest.raises(FileNotFoundError, match="holds no picture"):
        PictureFiles.in_folder(tmp_path / "cache")
