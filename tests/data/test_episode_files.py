"""Episodes from files: released lists give the released episodes, and errors say where and what."""

import json
import pickle

import numpy as np
import pytest
from toy import ToyBenchmark

from fsslib.config import ConfigError
from fsslib.data.__main__ import main
from fsslib.data.episode_files import read_episode_file, write_episode_file
from fsslib.data.official_lists import hsnet_coco, hsnet_pascal, pfenet
from fsslib.data.protocol import Protocol
from fsslib.data.sampler import EpisodeSpec, list_hash
from fsslib.data.sampler import test_episodes as listed_episodes


class Named(ToyBenchmark):
    """Sixteen pictures p00 to p15 of classes 1, 2, 3, 2, 1, 1, …; 1 to 5 are novel in fold 0."""

    name = "pascal5i"

    def __init__(self) -> None:
        super().__init__([np.full((50, 50), c) for c in CLASSES])

    def picture_ids(self, split: str) -> tuple[str, ...]:
        return tuple(f"p{number:02d}" for number in range(len(self.labels)))


CLASSES = [(1, 2, 3, 2, 1)[number % 5] for number in range(16)]
HSNET = [(number, class_id) for number, class_id in enumerate(CLASSES)]
HSNET_LINES = "".join(f"p{number:02d}__{class_id:02d}\n" for number, class_id in HSNET)
ONE_SHOT = [(0, 1, (15,)), (1, 2, (3,)), (2, 3, (7,)), (3, 2, (11,)), (4, 1, (5,)), (5, 1, (10,))]


def protocol(**changes) -> Protocol:
    return Protocol.preset("pascal5i", **{"episodes": 6, "image_size": 33, **changes})


def read(tmp_path, content: str, name: str = "list.txt", **changes) -> list[EpisodeSpec]:
    path = tmp_path / name
    path.write_text(content)
    return read_episode_file(path, Named(), protocol(**changes))


def test_hsnets_draws_are_the_released_codes():
    """Recorded from `DatasetPASCAL.sample_episode` after `fix_randseed(0)`; its supports repeat."""
    assert list(hsnet_pascal(HSNET, 1, 6, 0)) == ONE_SHOT
    five = [(0, 1, (15, 4, 15, 14, 5)), (1, 2, (8, 13, 8, 3, 8)), (2, 3, (12, 7, 12, 7, 7))]
    assert list(hsnet_pascal(HSNET, 5, 3, 0)) == five


def test_hsnets_draws_for_coco_are_the_released_codes():
    """Recorded from `DatasetCOCO.load_frame` after `fix_randseed(0)`."""
    pictures, first = {}, 0
    for class_id in range(1, 81, 4):
        pictures[class_id] = range(first, first + 3 + (class_id - 1) % 7)
        first = pictures[class_id].stop
    assert list(hsnet_coco(pictures, 3, 5, 0)) == [
        *((110, 73, (108, 108, 109)), (90, 61, (87, 91, 88)), (39, 25, (40, 41, 41))),
        *((46, 33, (47, 47, 49)), (10, 9, (12, 12, 12))),
    ]


def test_pfenets_draws_are_the_released_codes():
    """Recorded from `SemData` behind a DataLoader of three processes after manual_seed(321)."""
    areas = np.zeros((30, 20), int)
    for number in range(30):
        areas[number, number % 5] = 2500
        if number % 3 == 0:
            areas[number, number // 3 % 7] += 3600
        if number % 4 == 0:
            areas[number, (number % 5 + 2) % 5] += 400
    settings = (areas > 0, areas >= 2048, (1, 2, 3, 4, 5), 3, 36, 321, 3)
    episodes = list(pfenet(range(30), *settings))
    assert episodes[:6] == [
        *((0, 1, (15, 10, 25)), (1, 2, (3, 24, 6)), (2, 3, (17, 6, 7))),
        *((3, 2, (1, 26, 11)), (4, 2, (1, 26, 16)), (5, 1, (25, 0, 10))),
    ]
    assert episodes[30:] == [
        *((0, 3, (7, 2, 12)), (1, 2, (24, 26, 16)), (2, 3, (12, 22, 17))),
        *((3, 4, (28, 9, 13)), (4, 2, (3, 1, 21)), (5, 1, (15, 20, 0))),
    ]


def test_hsnets_list_for_pascal(tmp_path):
    expected = [EpisodeSpec("val", q, (c,), (row,)) for q, c, row in ONE_SHOT]
    assert read(tmp_path, HSNET_LINES) == expected
    assert read(tmp_path, HSNET_LINES, seed=1) != expected
    assert list_hash(expected) != list_hash(read(tmp_path, HSNET_LINES, seed=1))


def test_hsnets_list_for_coco(tmp_path):
    lists = {
        c - 1: [f"val2014/p{n:02d}.jpg" for n in range(16) if CLASSES[n] == c] for c in (1, 2, 3)
    }
    benchmark = Named()
    benchmark.novel_classes = lambda fold: (1, 2, 3)
    path = tmp_path / "fold0.json"
    path.write_text(json.dumps({**lists, 7: ["another.jpg"]}))
    specs = read_episode_file(path, benchmark, protocol(shot=2))
    assert {spec.classes for spec in specs} > {(1,)}
    for spec in specs:
        shown = {CLASSES[picture] for picture in (spec.query, *spec.supports[0])}
        assert shown == set(spec.classes) and spec.query not in spec.supports[0]


def test_pfenets_list(tmp_path):
    names = [f"p{number:02d}" for number in range(16)]
    lines = "".join(f"JPEGImages/{n}.jpg SegmentationClassAug/{n}.png\n" for n in names)
    specs = read(tmp_path, lines, seed=321, episodes=20)
    assert [spec.query for spec in specs] == [*range(16), *range(4)]
    assert all(spec.classes == (CLASSES[spec.query],) for spec in specs)
    assert all(CLASSES[spec.supports[0][0]] == spec.classes[0] for spec in specs)


@pytest.mark.parametrize(
    "line",
    [
        "p00 p04 p05 1",
        "p00 1 p04 p05",
        "p00.jpg p04.jpg p05.jpg class1",
        "JPEGImages/p00.jpg Labels/p00.png 1 JPEGImages/p04.jpg Labels/p04.png p05",
    ],
)
def test_an_episode_a_line(tmp_path, line):
    expected = [EpisodeSpec("val", 0, (1,), ((4, 5),))]
    assert read(tmp_path, f"\n{line}\n", shot=2, episodes=1) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("p00 p04 1\n\np00 p44 1\n", r"line 3: there is no picture 'p44' .*; did you mean 'p\d+'"),
        ("p00 p04 1\np00 p01 1\n", "line 2: 'p01' does not show 'class1'"),
        ("p01 p04 1\n", "line 1: the query 'p01' shows none"),
        ("p00 p04 7\n", r"line 1: class 'class7' \(7\) is not novel in fold 0; .* another fold"),
        ("p00 p04 p05 1\n", "line 1: 2 supports a class; expected shot=1"),
        ("p00 p00 1\n", "line 1: the query 'p00' is its own support"),
        ("p00 p04 nothing\n", "line 1: expected `query support … class`"),
        ("p00 p04 1\n", "holds 1 episodes, the protocol 6; write episodes=1"),
        ("p00__01\np01\n", "line 2: 'p01'; expected picture__class"),
        ("p00__02\n", "line 1: 'p00' does not show 'class2'"),
        ("p00__01\n", "names 1 pictures of a class, too few"),
        ("a/p00.jpg b/p00.png\na/p01.jpg\n", "line 2: 'a/p01.jpg'; expected a picture and its"),
        ("\n", "is empty"),
        ("{", "broken JSON"),
        ('{"a": 1}', "neither `episodes` nor pictures by class number"),
        ('{"benchmark": "coco20i", "episodes": []}', "is a list for 'coco20i'"),
        ('{"benchmark": "pascal5i", "episodes": [{}]}', "episode 1: expected query, classes and"),
        ('{"0": ["p00"]}', r"no pictures of classes \[1, 2, 3, 4\].* another fold"),
    ],
)
def test_errors_say_where_and_what(tmp_path, content, message):
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, content)


@pytest.mark.parametrize("name", ["fold0.pkl", "fold0.txt"])
def test_pickles_are_refused_unread(tmp_path, name):
    ran = tmp_path / "ran"

    class Trap:
        def __reduce__(self):
            return open, (str(ran), "w")

    path = tmp_path / name
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ConfigError, match="is a pickle, which may run any code"):
        read_episode_file(path, Named(), protocol())
    assert not ran.exists()


def test_own_files_come_back_equal(tmp_path):
    benchmark = Named()
    chosen = protocol(way=2, shot=2, minimum_object_pixels=1, scarce_classes="skip")
    specs = listed_episodes(benchmark, chosen)
    path = tmp_path / "episodes.json"
    write_episode_file(path, benchmark, chosen, specs)
    assert read_episode_file(path, benchmark, chosen) == specs
    assert json.loads(path.read_text())["list_hash"] == list_hash(specs)
    with pytest.raises(ConfigError, match="episode 1: 2-way"):
        read_episode_file(path, benchmark, protocol(shot=2))


def test_export_on_the_command_line(folder_tree, tmp_path, capsys):
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    command = ["export-episodes", "folder episodes=5", "--root", str(folder_tree), "--out"]
    assert main([*command, str(first)]) == 0
    assert main([*command, str(second), "--from", str(first)]) == 0
    assert first.read_text() == second.read_text()
    digest = json.loads(first.read_text())["list_hash"]
    assert f"5 episodes of folder, list {digest}" in capsys.readouterr().out
    assert main(["export-episodes", "folder sot=2", "--out", str(first)]) == 1
    assert "did you mean 'shot'" in capsys.readouterr().err
