"""Tables of episodes: what a meter counted comes back from a small file, and nothing else does."""

import gzip

import numpy as np
import pytest
import torch
from simulated import World
from toy import crowded

from fsslib.data.protocol import Protocol
from fsslib.data.sampler import test_episodes
from fsslib.evaluation.episode_table import COLUMNS, read_table, write_table
from fsslib.evaluation.evaluator import evaluate
from fsslib.methods import AllForeground
from fsslib.methods.n_way import any_way


@pytest.fixture(params=[(1, 2), (2, 1)], ids=["1 way 2 shot", "2 way 1 shot"])
def scores(request):
    way, shot = request.param
    benchmark = crowded()
    protocol = Protocol(
        "pascal5i", fold=1, way=way, shot=shot, episodes=9, image_size=33, minimum_object_pixels=1
    )
    specs = test_episodes(benchmark, protocol)
    return evaluate(any_way(AllForeground(), way), benchmark, protocol, specs), specs


def test_a_table_holds_what_the_meter_counted(scores, tmp_path):
    scores, specs = scores
    write_table(scores.table, tmp_path / "episodes.csv.gz")
    table, meter = read_table(tmp_path / "episodes.csv.gz"), scores.meter
    assert np.array_equal(table.areas, np.stack(meter.counts))
    assert table.classes.tolist() == [list(spec.classes) for spec in specs]
    assert table.queries == tuple(meter.queries[number] for number in range(len(meter)))
    assert [[len(shots) for shots in each] for each in table.supports] == [
        [len(shots) for shots in spec.supports] for spec in specs
    ]
    sums = table.by_class().sum(0)
    for (hit, union), row in zip(sums, meter.per_class().values(), strict=True):
        assert (hit, union) == (row["intersection"], row["union"])


def test_sizes_are_fractions_of_what_is_scored(scores):
    table = scores[0].table
    for size, areas in zip(table.sizes(), table.areas, strict=True):
        objects, background = areas[1, 2], areas[0, 2]
        assert size == objects / (objects + background)
    some = table.subset(table.sizes() > np.median(table.sizes()))
    assert 0 < len(some) < len(table) and some.sizes().min() > np.median(table.sizes())
    everything = table.subset(np.full(len(table), True))
    assert everything.queries == table.queries and everything.supports == table.supports
    assert np.array_equal(everything.by_class(), table.by_class())


def test_a_thousand_episodes_take_little_room(tmp_path):
    (table,) = World(10).lists(np.random.default_rng(0), 1000, methods=1)
    for name in ("a", "b"):
        write_table(table, tmp_path / name)
    assert (tmp_path / "a").stat().st_size < 20_000
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


HEAD = ",".join(COLUMNS)
ROW = "0,3,val/7,val/9,100,10,20,15,10,20"


def test_other_columns_may_stand_beside(tmp_path):
    path = tmp_path / "episodes.csv.gz"
    path.write_bytes(gzip.compress(f"{HEAD},refusal\n{ROW},0.7\n".encode()))
    assert read_table(path).areas.tolist() == [[[80, 90, 85], [10, 20, 15], [10, 20, 15]]]


def packed(content):
    """Gzipped without the time, so that every process names its tests alike."""
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize(
    ("content", "trouble"),
    [
        (b"nothing", "Not a gzipped file"),
        (packed(f"{HEAD}\n{ROW}\n".encode())[:-9], "end-of-stream"),
        (packed(b""), "it has no rows"),
        (packed(b"\xff\xfe"), "can't decode"),
        (packed(f"episode,class\n{ROW}\n".encode()), "it has no column 'query'"),
        (packed(f"{HEAD}\n{ROW[:-1]}x\n".encode()), "invalid literal"),
        (packed(f"{HEAD}\n{ROW[:-3]}\n".encode()), "int"),
        (packed(f"{HEAD}\n{ROW.replace('20', '-2')}\n".encode()), "below zero"),
        (packed(f"{HEAD}\n{ROW}\n2{ROW[1:]}\n".encode()), "rows are not those of"),
        (packed(f"{HEAD}\n{10**12}{ROW[1:]}\n".encode()), "rows are not those of"),
        (packed(f"{HEAD}\n{10**20}{ROW[1:]}\n".encode()), "too large|too big"),
        (packed(f"{HEAD}\n{ROW.replace('10,20,15', '30,20,15')}\n".encode()), "beyond"),
    ],
)
def test_what_is_broken_is_refused_in_one_sentence(tmp_path, content, trouble):
    path = tmp_path / "episodes.csv.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{path.name} is no whole table.*{trouble}.*repeat"):
        read_table(path)


def test_an_absent_object_is_told_by_its_target(tmp_path):
    """A query that shows no object of its class: nothing to intersect, and what is called so is
    the union."""
    from fsslib.evaluation.counting import areas, tally

    nothing, wrong = torch.zeros(4, 4, dtype=torch.uint8), torch.eye(4).to(torch.uint8)
    counted = areas(tally(wrong, nothing, 1).numpy(), 1)
    assert counted[2].tolist() == [0, 4, 0]
