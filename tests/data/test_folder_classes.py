"""Base and novel classes of one's own folder, and a training on it."""

import shutil

import numpy as np
import pytest
import torch
import trees
from PIL import Image
from stand_ins import tiny_backbone

from fsslib.config import ConfigError
from fsslib.data.__main__ import main
from fsslib.data.augmentation import Augmentation
from fsslib.data.base_pictures import picture_specs
from fsslib.data.folder import FolderBenchmark, require_base_classes
from fsslib.data.loading import TrainingEpisodes
from fsslib.data.protocol import Protocol
from fsslib.data.sampler import ClassSplit
from fsslib.data.sampler import test_episodes as listed_episodes
from fsslib.methods import build_method
from fsslib.training.loop import TrainConfig, train

CLASSES = ("bird", "cat", "red_mug", "sofa")


@pytest.fixture
def tree(tmp_path):
    return trees.write_folder(tmp_path / "mine", CLASSES)


def declare(tree, text: str):
    (tree / "classes.yaml").write_text(text)
    return tree


def protocol(**changes) -> Protocol:
    return Protocol.preset("folder", **{"image_size": 33, "episodes": 4, **changes})


def test_base_and_novel_classes_and_their_pictures(tree):
    benchmark = FolderBenchmark(declare(tree, "base: [cat, red_mug]\nnovel: [bird, sofa]\n"))
    assert benchmark.novel_classes(0) == benchmark.novel_classes(3) == (1, 4)
    assert benchmark.base_classes(0) == (2, 3)
    assert {item.class_id for item in benchmark.items["train"]} == {2, 3}
    assert {item.class_id for item in benchmark.items["val"]} == {1, 4}
    assert {spec.classes for spec in listed_episodes(benchmark, protocol())} == {(1,), (4,)}
    assert require_base_classes(tree) == ("cat", "red mug")


def test_novel_may_be_left_out_and_held_out_classes_are_not_trained_on(tree):
    benchmark = FolderBenchmark(declare(tree, "base: [cat, 'red mug']\nheld_out: [sofa]\n"))
    assert benchmark.novel_classes(0) == (1,)
    plain = ClassSplit.of(benchmark, protocol())
    chosen = ClassSplit.of(benchmark, protocol(selection="held_out_base", held_out=1))
    assert plain == chosen == ClassSplit((2, 3), (4,), (1,))
    assert require_base_classes(tree) == ("cat", "red mug")
    with pytest.raises(ValueError, match=r"held_out=2: .*itself; write held_out=1"):
        ClassSplit.of(benchmark, protocol(selection="held_out_base", held_out=2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: [cats]", "no class folder is called 'cats'; did you mean 'cat'"),
        ("base: [cat]\nnovel: [bird, cat]", "class 'cat' twice"),
        ("base: []", "no base class"),
        ("novel: [cat, bird, sofa, red mug]", "no base class"),
        ("base: [cat, bird, sofa, red mug]", "no novel class"),
        ("base: [cat]\nnovel: [bird]", "what class 'red mug' is for"),
        ("bases: [cat]", "unknown key 'bases'; did you mean 'base'"),
        ("base: cat", "base is 'cat'; expected lists"),
        ("- cat", "expected lists"),
        ("base: [cat", "cannot be read as YAML"),
    ],
)
def test_errors_of_the_file_are_one_sentence(tree, text, message):
    with pytest.raises(ConfigError, match=message):
        FolderBenchmark(declare(tree, text))


def test_without_the_file_nothing_can_be_trained_on(tree):
    with pytest.raises(
        ConfigError, match=r"all classes are novel.*base: \[bird\].*or run evaluate"
    ):
        require_base_classes(tree)


def test_too_few_pictures_for_the_shot_are_named(tree):
    benchmark = FolderBenchmark(declare(tree, "base: [cat]"))
    with pytest.raises(ValueError, match=r"'cat' \(2\) has 3 usable images.* 3-shot .*need 4"):
        TrainingEpisodes(benchmark, protocol(shot=3), 4, seed=0)


def shared_photograph(tree) -> None:
    """cat/picture0 lies among the sofas, too: its right half is one."""
    shutil.copy(tree / "cat/images/picture0.jpg", tree / "sofa/images/shared.jpg")
    label = np.zeros((trees.HEIGHT, trees.WIDTH), np.uint8)
    label[:, 50:] = 1
    Image.fromarray(label).save(tree / "sofa/masks/shared.png")


@pytest.mark.parametrize("rule", ["background", "drop", "ignore"])
def test_a_photograph_with_both_kinds_follows_novel_in_train(tree, rule):
    shared_photograph(tree)
    benchmark = FolderBenchmark(declare(tree, "base: [cat, red_mug]"))
    names = [item.id for item in benchmark.items["train"]]
    sofas = benchmark.areas("train")[:, 3]
    assert [name for name, area in zip(names, sofas, strict=True) if area] == ["cat/picture0"]
    chosen = protocol(novel_in_train=rule)
    used = {names[spec.query] for spec in picture_specs(benchmark, chosen, "train")}
    assert ("cat/picture0" in used) == (rule != "drop")
    stream = TrainingEpisodes(benchmark, chosen, 20, seed=0)
    masks = [stream[i].query_mask for i in range(20) if stream[i].ids[0] == "cat/picture0"]
    assert bool(masks) == (rule != "drop")
    if masks:
        assert masks[0][2, 28] == (255 if rule == "ignore" else 0)  # the sofa beside the cat
        assert masks[0][10, 15] == 1


def test_masks_of_one_photograph_must_have_one_size(tree):
    shared_photograph(tree)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tree / "sofa/masks/shared.png")
    with pytest.raises(ValueError, match="of one photograph, but differ in size"):
        FolderBenchmark(declare(tree, "base: [cat]")).areas("train")


def test_check_says_what_the_classes_are_for(tree, capsys):
    assert main(["check", "folder", "--root", str(tree)]) == 0
    assert "all classes are novel: for testing" in capsys.readouterr().out
    declare(tree, "base: [cat]\nheld_out: [sofa]")
    assert main(["check", "folder", "--root", str(tree)]) == 0
    text = capsys.readouterr().out
    assert (
        "can be trained on (classes.yaml); base: cat; held out: sofa; novel: bird, red mug" in text
    )
    rows = [line.split() for line in text.splitlines() if line.startswith("  cat ")]
    assert [row[1:] for row in rows] == [["3", "3", "9,000", "base"], ["0", "0", "0", "base"]]


def test_a_head_trains_on_it(tree, tmp_path):
    benchmark, chosen = FolderBenchmark(declare(tree, "base: [cat, red_mug]")), protocol()
    config = TrainConfig(steps=2, batch_size=2, workers=0, log_every=1, lr=1e-2)
    torch.manual_seed(0)
    method = build_method("pfenet", tiny_backbone(), "scenes", dim=8)
    before = {name: value.clone() for name, value in method.head_state().items()}

    def episodes(start: int) -> TrainingEpisodes:
        return TrainingEpisodes(benchmark, chosen, 4, config.seed, start, Augmentation())

    outcome = train(method, episodes, config, tmp_path / "run", report=lambda _: None)
    assert outcome["step"] == 2
    assert any(not torch.equal(before[name], value) for name, value in outcome["last"].items())
