"""Questions about supports, and queries without an object: what changes, and what must not."""

import numpy as np
import pytest
import torch
from toy import ToyBenchmark, crowded

from fsslib.config import ConfigError
from fsslib.data.episode_files import read_episode_file, write_episode_file
from fsslib.data.episode_spec import list_hash
from fsslib.data.protocol import Protocol
from fsslib.data.questions import GREY
from fsslib.data.reader import EpisodeReader
from fsslib.data.sampler import test_episodes

QUESTIONS = ("stranger", "wrong_word", "no_background")


def protocol(**changes) -> Protocol:
    small = {"image_size": 33, "minimum_object_pixels": 4, "episodes": 20}
    return Protocol.preset("pascal5i", **{**small, **changes})


@pytest.fixture(scope="module")
def benchmark():
    return crowded(images=80)


def test_queries_and_classes_stay_under_every_question(benchmark):
    drawn = test_episodes(benchmark, protocol())
    hashes = {list_hash(drawn)}
    for question in QUESTIONS:
        specs = test_episodes(benchmark, protocol(question=question))
        assert [(s.query, s.classes) for s in specs] == [(s.query, s.classes) for s in drawn]
        assert specs == test_episodes(benchmark, protocol(question=question))
        hashes.add(list_hash(specs))
    assert len(hashes) == 4, "lists are told apart by their names"


@pytest.mark.parametrize(("way", "shot"), [(1, 1), (2, 3)])
def test_strangers_are_of_other_classes_that_the_query_does_not_show(benchmark, way, shot):
    areas, novel = benchmark.areas("val"), set(benchmark.novel_classes(0))
    for spec in test_episodes(benchmark, protocol(question="stranger", way=way, shot=shot)):
        assert len(set(spec.shown)) == way and set(spec.shown) <= novel - set(spec.classes)
        assert not areas[spec.query, np.array(spec.shown) - 1].any()
        used = [index for row in spec.supports for index in row]
        assert len({spec.query, *used}) == 1 + way * shot
        for c, row in zip(spec.shown, spec.supports, strict=True):
            assert (areas[list(row), c - 1] >= 4).all()


def test_readers_show_strangers_with_their_own_masks_and_true_words(benchmark):
    chosen = protocol(question="stranger")
    spec = test_episodes(benchmark, chosen)[0]
    episode = EpisodeReader(benchmark, chosen).read(spec)
    label = benchmark.load("val", spec.supports[0][0]).label
    assert int((episode.support_masks == 1).sum()) > 0
    assert (label == spec.shown[0]).any() and episode.class_names == (f"class{spec.classes[0]}",)
    assert episode.class_ids.tolist() == list(spec.classes)


def test_wrong_words_change_the_name_alone(benchmark):
    chosen = protocol(question="wrong_word")
    spec, plain = (test_episodes(benchmark, p)[3] for p in (chosen, protocol()))
    reader = EpisodeReader(benchmark, chosen)
    wrong, true = reader.read(spec), reader.read(plain)
    assert wrong.class_names == (f"class{spec.named[0]}",) != true.class_names
    assert torch.equal(wrong.support_images, true.support_images)
    assert torch.equal(wrong.query_mask, true.query_mask) and wrong.ids == true.ids


def test_a_support_without_background_is_its_object_on_grey(benchmark):
    chosen = protocol(question="no_background", fit="stretch", image_size=33)
    labels = [np.zeros((33, 33), np.uint8) for _ in range(4)]
    for label in labels:
        label[5:20, 5:20] = 1
    own = ToyBenchmark(labels)
    spec = test_episodes(own, protocol(question="no_background", scarce_classes="skip"))[0]
    episode = EpisodeReader(own, chosen).read(spec)
    image, mask = episode.support_images[0, 0], episode.support_masks[0, 0]
    original = torch.from_numpy(own.load("val", spec.supports[0][0]).image).permute(2, 0, 1)
    assert torch.equal(image[:, mask == 1], original[:, mask == 1])
    assert (image[:, mask == 0] == torch.tensor(GREY)[:, None]).all()
    query = torch.from_numpy(own.load("val", spec.query).image).permute(2, 0, 1)
    assert torch.equal(episode.query_image, query)


@pytest.mark.parametrize("way", [1, 2])
def test_every_second_query_shows_none_of_the_classes(benchmark, way):
    chosen = protocol(queries="half_absent", way=way)
    specs, areas = test_episodes(benchmark, chosen), benchmark.areas("val")
    assert len(specs) == 20
    for present, absent in zip(specs[::2], specs[1::2], strict=True):
        assert (present.classes, present.supports) == (absent.classes, absent.supports)
        columns = np.array(present.classes) - 1
        assert areas[present.query, columns].any() and not areas[absent.query, columns].any()
    plain = test_episodes(benchmark, protocol(way=way))
    assert specs[::2] == plain[:10], "those with an object are the list without absent ones"
    base = test_episodes(benchmark, chosen, "base")
    assert {c for s in base for c in s.classes}.isdisjoint(benchmark.novel_classes(0))


def test_too_few_other_classes_or_pictures_are_refused():
    labels = [np.full((10, 10), 1, np.uint8)] * 3
    alone = ToyBenchmark(labels)
    small = {"scarce_classes": "skip", "episodes": 2}
    with pytest.raises(ValueError, match="0 other classes for a 1-way episode"):
        test_episodes(alone, protocol(question="wrong_word", **small))
    with pytest.raises(ValueError, match="every picture of val shows one of classes"):
        test_episodes(alone, protocol(queries="half_absent", **small))


def test_files_hold_episodes_as_they_are_drawn(benchmark, tmp_path):
    path, plain = tmp_path / "list.json", protocol()
    specs = test_episodes(benchmark, plain)
    write_episode_file(path, benchmark, plain, specs)
    stranger = protocol(question="stranger")
    assert read_episode_file(path, benchmark, stranger) == test_episodes(benchmark, stranger)
    with pytest.raises(ConfigError, match=r"question='stranger'.*put the question when it is read"):
        write_episode_file(path, benchmark, stranger, specs)
    with pytest.raises(ConfigError, match="queries='half_absent': files hold queries that show"):
        read_episode_file(path, benchmark, protocol(queries="half_absent"))
