"""From numbers to tensors: labels of an episode, novel pixels in training, workers, resuming."""

import numpy as np
import pytest
import torch
from golden import golden
from toy import ToyBenchmark, crowded

from fsslib.data.augmentation import Augmentation
from fsslib.data.drawn import collate
from fsslib.data.episode import stack
from fsslib.data.loading import EpisodeReader, ListedEpisodes, TrainingEpisodes, batches
from fsslib.data.protocol import Protocol
from fsslib.data.reader import relabel
from fsslib.data.sampler import EpisodeSpec, test_episodes


def protocol(**changes) -> Protocol:
    small = {"image_size": 33, "minimum_object_pixels": 4, "episodes": 12}
    return Protocol.preset("pascal5i", **{**small, **changes})


def test_relabel_keeps_255_and_hides_what_it_is_told():
    label = np.array([[0, 3, 7, 9, 255]], np.uint8)
    assert relabel(label, (7, 3)).tolist() == [[0, 2, 1, 0, 255]]
    assert relabel(label, (7,), hidden=(9,)).tolist() == [[0, 0, 1, 255, 255]]


def test_an_episode_says_what_the_glossary_says():
    label = np.zeros((33, 33), np.uint8)
    label[:10], label[10:20], label[-1] = 1, 2, 255
    reader = EpisodeReader(ToyBenchmark([label] * 5), protocol(way=2, shot=2))
    episode = reader.read(EpisodeSpec("val", 0, (2, 1), ((1, 2), (3, 4))))
    assert episode.query_mask[0, 0] == 2 and episode.query_mask[15, 0] == 1
    assert episode.support_images.shape == (2, 2, 3, 33, 33)
    assert (episode.support_masks[0, :, 15] == 1).all()
    assert (episode.support_masks[0, :, 0] == 255).all()  # the other class is no background
    assert (episode.support_masks[:, :, 25] == 0).all()
    assert (episode.support_masks[:, :, -1] == 255).all()
    assert episode.class_ids.tolist() == [2, 1] and episode.class_names == ("class2", "class1")
    assert episode.ids[0] == "val/0" and len(episode.ids) == 5
    assert (episode.way, episode.shot, episode.batched) == (2, 2, False)
    batch = stack([episode, episode])
    assert (batch.way, batch.shot, len(batch)) == (2, 2, 2)
    with pytest.raises(ValueError, match="no episodes"):
        stack([])


@pytest.mark.parametrize("rule", ["background", "drop", "ignore"])
def test_novel_objects_in_training_images(rule):
    mixed = np.zeros((33, 33), np.uint8)
    mixed[:10], mixed[20:] = 7, 1  # class 1 is novel in fold 0
    pure = np.zeros((33, 33), np.uint8)
    pure[:10] = 7
    benchmark = ToyBenchmark([mixed] * 4 + [pure] * 3)
    chosen = protocol(novel_in_train=rule, scarce_classes="skip")
    stream = TrainingEpisodes(benchmark, chosen, length=30, seed=0)
    seen = [stream[i] for i in range(30)]
    queries = {episode.ids[0] for episode in seen}
    values = {int(episode.query_mask[25, 0]) for episode in seen if int(episode.ids[0][6:]) < 4}
    if rule == "drop":
        assert queries == {"train/4", "train/5", "train/6"}
    else:
        assert len(queries) == 7
        assert values == {0 if rule == "background" else 255}
    assert all((episode.query_mask[:10] == 1).all() for episode in seen)


def test_held_out_classes_are_treated_like_novel_ones():
    benchmark = crowded(images=120)
    chosen = protocol(
        selection="held_out_base", held_out=2, novel_in_train="drop", scarce_classes="skip"
    )
    stream = TrainingEpisodes(benchmark, chosen, length=50, seed=0)
    from fsslib.data.sampler import ClassSplit

    split = ClassSplit.of(benchmark, chosen)
    for number in range(50):
        ids = [int(name[6:]) for name in stream[number].ids]
        present = {c for i in ids for c in np.unique(benchmark.labels[i])} - {0, 255}
        assert present <= set(split.train)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_do_not_change_episodes(workers):
    benchmark, chosen = crowded(), protocol()
    listed = ListedEpisodes(EpisodeReader(benchmark, chosen), test_episodes(benchmark, chosen))
    alone, parallel = (list(batches(listed, 5, count)) for count in (0, workers))
    assert [len(batch) for batch in alone] == [5, 5, 2]
    for one, other in zip(alone, parallel, strict=True):
        assert torch.equal(one.query_image, other.query_image) and one.ids == other.ids
        assert torch.equal(one.support_masks, other.support_masks)


def of_sizes(*sides: int) -> ToyBenchmark:
    """Photographs of different sizes, with an object of every class in each."""
    labels = []
    for number, side in enumerate(sides):
        label = np.zeros((side, side + 8), np.uint8)
        label[2:14, 2:14] = number % 4 + 17
        label[-1] = 255
        labels.append(label)
    return ToyBenchmark(labels)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_do_not_change_augmented_episodes(workers):
    benchmark = of_sizes(*range(24, 48), 200)
    chosen = protocol(shot=2, scarce_classes="skip")
    stream = TrainingEpisodes(benchmark, chosen, 7, seed=3, augmentation=Augmentation())
    alone, parallel = (list(batches(stream, 3, count)) for count in (0, workers))
    assert [len(batch) for batch in alone] == [3, 3, 1]
    for one, other in zip(alone, parallel, strict=True):
        assert one.ids == other.ids and one.class_names == other.class_names
        for part in ("query_image", "query_mask", "support_images", "support_masks", "class_ids"):
            assert torch.equal(getattr(one, part), getattr(other, part))
        assert one.support_images.shape == (len(one), 1, 2, 3, 33, 33)
        assert set(one.support_masks.unique().tolist()) <= {0, 1, 255}


def test_a_drawn_episode_is_a_function_of_seed_and_number():
    settings = (of_sizes(*range(24, 48)), protocol(scarce_classes="skip"), 8)
    whole = TrainingEpisodes(*settings, seed=3, augmentation=Augmentation())
    rest = TrainingEpisodes(*settings, seed=3, start=5, augmentation=Augmentation())
    other = TrainingEpisodes(*settings, seed=4, augmentation=Augmentation())
    assert whole.load(6).warps == rest.load(1).warps != other.load(6).warps
    single, (_, second) = whole[6], whole.__getitems__([0, 6])
    assert not single.batched and torch.equal(single.query_mask, second.render().query_mask)
    assert single.ids == second.ids and single.class_ids.shape == (1,)
    with pytest.raises(IndexError):
        rest[3]


def test_drawn_batches_without_supports_and_of_unequal_episodes():
    benchmark = of_sizes(30, 40, 50, 24)
    reader, rng = EpisodeReader(benchmark, protocol()), np.random.default_rng(0)
    bare = EpisodeSpec("train", 0, (17, 18), ((), ()))
    full = EpisodeSpec("train", 0, (17,), ((1,),))
    drawn = [reader.draw(spec, Augmentation(), rng) for spec in (bare, bare, full)]
    batch = collate(drawn[:2]).render()
    assert batch.support_images.shape == (2, 2, 0, 3, 33, 33) and batch.shot == 0
    with pytest.raises(ValueError, match="differ"):
        collate(drawn)


def test_a_stream_goes_on_where_it_was():
    benchmark, chosen = crowded(), protocol()
    whole = TrainingEpisodes(benchmark, chosen, length=8, seed=3)
    rest = TrainingEpisodes(benchmark, chosen, length=8, seed=3, start=5)
    assert (len(whole), len(rest)) == (8, 3)
    for offset in range(3):
        one, other = whole[5 + offset], rest[offset]
        assert one.ids == other.ids and torch.equal(one.query_image, other.query_image)
    with pytest.raises(IndexError):
        rest[3]


def test_loading_leaves_torch_random_numbers_alone():
    benchmark, chosen = crowded(), protocol()
    before = torch.get_rng_state()
    list(batches(TrainingEpisodes(benchmark, chosen, length=4, seed=0), 2, workers=1))
    assert torch.equal(before, torch.get_rng_state())


def test_relabelling_equals_hsnets():
    """HSNet's code keeps mask and ignored border apart; ours marks them in one map."""
    case = golden("lfss/hsnet_extract_ignore")
    label = case["label"].numpy().astype(np.uint8)
    ours = relabel(label, [case["class_id"].item() + 1])
    np.testing.assert_array_equal(ours == 1, case["mask"].numpy() == 1)
    np.testing.assert_array_equal(ours == 255, case["ignore"].numpy() == 1)
    assert set(np.unique(ours)) == {0, 1, 255}
