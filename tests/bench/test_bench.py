"""What is counted and compared is right; speed itself is asserted nowhere."""

import json

import pytest
import torch
import torch.nn.functional as F

from fsslib.bench.__main__ import TOPICS, main
from fsslib.bench.config import MethodSweep, PriorSweep
from fsslib.bench.counting import count
from fsslib.bench.growth import growth_figure, lines, swept_number
from fsslib.bench.machine import onednn_convolutions
from fsslib.bench.measure import Results, Row
from fsslib.bench.memory import MIB, peak_memory
from fsslib.bench.parts import episodes
from fsslib.bench.publish import PUBLISHED, documents, refreshed
from fsslib.bench.tables import comparison, table, verdict
from fsslib.bench.timing import alternated
from fsslib.config import ConfigError

IMAGE, WEIGHT = torch.ones(2, 3, 9, 9), torch.ones(4, 3, 3, 3)
CONVOLUTION = 2 * 2 * 4 * 5 * 5 * 3 * 9
"""A multiplication and an addition for each of the 27 inputs of 2x4x5x5 outputs."""


def convolve():
    return F.conv2d(IMAGE, WEIGHT, stride=2, padding=1)


def test_operations_and_bytes_of_a_convolution():
    counts = count(convolve)
    assert counts.operations == counts.convolved == CONVOLUTION
    assert sum(counts.convolutions.values()) == 1
    assert counts.bytes == 4 * (IMAGE.numel() + WEIGHT.numel() + 2 * 4 * 5 * 5)


def test_inference_mode_and_onednn_change_no_count():
    plain = count(convolve)
    assert count(torch.inference_mode()(convolve)) == plain
    own = count(lambda: torch.mkldnn_convolution(IMAGE, WEIGHT, None, (1, 1), (2, 2), (1, 1), 1))
    assert own.operations == CONVOLUTION
    assert count(onednn_convolutions(plain.convolutions)).operations == CONVOLUTION


def test_backward_passes_and_inner_gradients_are_counted():
    rows = torch.ones(5, 7, requires_grad=True)

    def learn():
        torch.autograd.grad((rows @ torch.ones(7, 11)).sum(), rows)

    assert count(learn).operations == 2 * (2 * 5 * 7 * 11)


def test_views_move_nothing():
    assert count(lambda: IMAGE.flatten(1)[:, ::2].t()).bytes == 0
    assert count(lambda: IMAGE + 1).bytes == 2 * 4 * IMAGE.numel()


def test_peak_memory_is_exact():
    def call():
        first = torch.ones(MIB // 4)  # 1 MiB
        second = torch.ones(3 * MIB // 4)
        del first
        return torch.ones(2 * MIB // 4) + second.sum()  # 3 + 2 + 2

    assert peak_memory(call, "cpu") == pytest.approx(7, abs=1e-3)


def test_calls_take_turns():
    made = []
    calls = [lambda name=name: made.append(name) or torch.ones(10**6).cumsum(0) for name in "ab"]
    times = alternated(calls, "cpu", rounds=3)
    assert [len(each) for each in times] == [3, 3]
    assert min(min(each) for each in times) > 0
    turns = [name for name, before in zip(made[4:], made[3:], strict=False) if name != before]
    assert turns == list("abababa"[: len(turns)]) and len(turns) >= 5


def row(name="net", times=(2.0, 4.0, 2.0, 2.0), size=10, **more):
    facts = {"operations": 10**6, "bytes": 10**3, "peak_mib": 3.0} | more
    return Row({"name": name, "size": size}, list(times), 8, "episodes", **facts)


def results(*rows, rates=(1e9, 2e9, 1e9, 1e9)):
    machine = {"device": "CPU", "threads": 1, "versions": {"torch": "2"}}
    copied = [1e9] * len(rates)
    return Results("methods", {}, "processor", machine, list(rows), list(rates), copied)


def test_ratios_are_of_the_same_round():
    one = row()
    measured = results(one)
    assert one.per_second == 1000 * 8 / 2.0
    assert measured.floors(one) == [1.0, 0.5, 1.0, 1.0]  # operations, at the rates of each round
    assert measured.floor_ratio(one) == 2.0
    assert measured.in_products(one) == [2e9, 8e9, 2e9, 2e9]
    moved = row(bytes=10**7)
    assert results(moved).floors(moved) == [10.0] * 4  # bytes are the longer


def test_ratio_to_onednn_is_at_its_rate():
    half = row(times=(2.0, 2.0), convolved=5 * 10**5, onednn=[0.5, 0.5])
    assert half.onednn_ratio == 2.0  # twice the operations take 1.0 at that rate
    assert row(convolved=10**5, onednn=[0.5]).onednn_ratio is None  # convolutions are too few


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ([2.0, 2.1, 2.2, 2.3], "slower"),
        ([0.5, 0.51, 0.52, 0.53], "faster"),
        ([1.0, 1.1, 0.9, 1.05], "as before"),
        ([1.001, 1.101, 1.051, 1.031], "as before"),
        ([2.0, 2.0, 2.0], "too few rounds to tell"),
    ],
)
def test_verdict(new, expected):
    assert verdict(new, [1.0, 1.1, 1.05, 1.03]) == expected


def test_comparison_forgives_a_busy_machine():
    quiet, busy = (
        results(row()),
        results(row(times=(4.0, 8.0, 4.0, 4.0)), rates=(5e8, 1e9, 5e8, 5e8)),
    )
    text = comparison(busy, quiet)
    assert "1.00" in text and "as before" in text
    slow = comparison(results(row(times=(4.0, 8.0, 4.0, 4.0), peak_mib=6.0)), quiet)
    assert "2.00" in slow
    alone = comparison(results(row("other")), quiet)
    assert "1 rows only here, 1 only there" in alone


def test_results_survive_json():
    measured = results(row(), row("other", onednn=[1.0], convolved=3))
    again = Results.from_dict(json.loads(json.dumps(measured.to_dict())))
    assert again == measured
    assert table(again) == table(measured)


def test_table_says_once_what_is_the_same():
    head, _, titles, *_ = table(results(row("a"), row("b"))).splitlines()
    assert "size 10" in head and "size" not in titles and "| name" in titles


def test_growth_has_a_line_for_the_rest():
    rows = [row(name, [size / 10], size=size) for size in (20, 10) for name in "ab"]
    made = lines(rows, swept_number(rows), "ms")
    assert {name: line["x"] for name, line in made.items()} == {"a": [10, 20], "b": [10, 20]}
    assert made["a"]["y"] == [1.0, 2.0]
    times, memory = growth_figure(results(*rows)).axes
    assert (times.get_title(), memory.get_title()) == ("ms a call", "peak MiB")
    assert [tick.get_text() for tick in times.get_yticklabels()] == ["1", "2"]
    with pytest.raises(ConfigError, match="swept over"):
        swept_number([row("a"), row("b")])


def test_sweeps_are_read_in_the_package_s_grammar():
    sweep = MethodSweep.read(["paper", "name=pfenet,bam", "shot=[1,5]", "rounds=2"])
    assert sweep.size == (473,) and sweep.backbone == ("resnet50",)
    cases = sweep.cases()
    assert [(c["name"], c["shot"]) for c in cases] == [
        ("pfenet", 1),
        ("pfenet", 5),
        ("bam", 1),
        ("bam", 5),
    ]
    assert not {"rounds", "device"} & cases[0].keys()
    for words in (["rouns=2"], ["shot=0"], ["work=dream"], ["device=tpu"]):
        with pytest.raises(ConfigError):
            MethodSweep.read(words)


def test_nothing_to_learn_is_left_out():
    sweep = MethodSweep.read(["name=prototype,pfenet", "work=train"])
    assert [case["name"] for case in sweep.cases()] == ["pfenet"]
    with pytest.raises(ConfigError, match="nothing to learn"):
        MethodSweep.read(["name=prototype", "work=train"]).cases()


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_published_can_be_asked(name):
    topic, words = PUBLISHED[name]
    assert TOPICS[topic].read(words).cases()


def test_documents_show_what_is_published():
    for document in documents():
        text = document.read_text()
        assert refreshed(text) == text, f"{document.name}: run `python -m fsslib.bench pages`"
        shown = {name for name in PUBLISHED if f"<!-- bench {name} -->" in text}
        assert shown, document
    everything = "".join(document.read_text() for document in documents())
    assert not [name for name in PUBLISHED if f"<!-- bench {name} -->" not in everything]


def test_supports_are_covered_as_asked():
    batch = episodes(2, 3, 50, way=2, coverage=0.25)
    assert batch.support_masks.float().mean().item() == pytest.approx(0.25)
    assert set(batch.query_mask.unique().tolist()) == {0, 1, 2}


def output_of(capsys, *words):
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_encoders_and_their_plot(tmp_path, capsys):
    out, plot = tmp_path / "encoders.json", tmp_path / "growth.png"
    names = "name=scenes-resnet,scenes-clip-vit"
    small = ["size=33,40", "batch=1", "rounds=1", "onednn=true"]
    text = output_of(
        capsys, "encoders", "-p", names, *small, "--out", str(out), "--plot", str(plot)
    )
    assert "scenes-clip-vit" in text and "x oneDNN" in text and "GFLOP/s" in text
    assert plot.stat().st_size > 1000
    again = output_of(capsys, "show", str(out), "--against", str(out))
    assert "too few rounds to tell" in again and "1.00" in again


@pytest.mark.parametrize("name", PriorSweep.read([]).name)
def test_every_prior_is_measured(name, capsys):
    text = output_of(capsys, "priors", "-p", f"name={name}", "size=33", "batch=1", "rounds=1")
    assert f"| {name}" in text


@pytest.mark.parametrize("name", MethodSweep.read([]).name)
def test_every_method_is_measured(name, capsys):
    words = [
        "work=forward,remembered,train,evaluate",
        "size=33",
        "batch=1",
        "rounds=1",
        "memory=false",
    ]
    assert "evaluate" in output_of(capsys, "methods", "-p", f"name={name}", *words)


def test_training_is_measured(capsys):
    words = ["name=pfenet", "steps=1", "batch=1", "cache=none,later"]
    text = output_of(capsys, "training", "-p", *words)
    assert "waits for loading" in text and "later" in text


@pytest.mark.slow
def test_processes_are_measured(capsys):
    words = ["name=prototype", "processes=2", "size=33", "batch=1", "rounds=1", "seconds=0.1"]
    assert "episodes/s" in output_of(capsys, "processes", "-p", *words)


def test_a_wrong_word_is_one_line(capsys):
    assert main(["methods", "-p", "nme=pfenet"]) == 2
    assert "did you mean 'name'?" in capsys.readouterr().err
