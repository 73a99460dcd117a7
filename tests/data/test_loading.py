"""From numbers to tensors: labels of an episode, novel pixels in training, workers, resuming."""

import numpy as np
import pytest
import torch
from golden import golden
from toy import ToyBenchmark, crowded

from fsslib.data.episode import stack
from fsslib.data.loading import EpisodeReader, ListedEpisodes, TrainingEpisodes, batches, relabel
from fsslib.data.protocol import Protocol
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
