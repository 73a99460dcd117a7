"""One batch ahead: the next one is made beside a step, errors come in their turn, and no training's
result depends on who was first."""

import threading
from concurrent.futures import wait
from dataclasses import replace

import pytest
import torch
from stand_ins import tiny_backbone
from tiny_trainings import TRAININGS, episodes, quiet

from fsslib.encoders.disk_cache import DiskCache
from fsslib.encoders.pass_cache import PassCache
from fsslib.methods import build_method
from fsslib.methods.read_ahead import ReadAhead
from fsslib.training import ahead as ahead_module
from fsslib.training.ahead import Ahead
from fsslib.training.engine import Engine
from fsslib.training.journal import read_journal
from fsslib.training.loop import train

CPU = torch.device("cpu")


def test_the_next_batch_is_made_while_a_step_is_taken_and_not_after_it():
    begun, events = threading.Event(), []

    def batches():
        for number in range(3):
            events.append(f"load {number}")
            begun.set()
            yield [number]

    with Ahead(batches(), lambda part: part * 10, CPU) as ahead:
        for loaded, placed in ahead:
            assert placed == [10 * part for part in loaded]
            begun.clear()
            with ahead.beside():
                assert begun.wait(10) or loaded == [2], "nothing was loaded beside the step"
                events.append(f"step {loaded[0]}")
            events.append("after")
    whole = ["load 0", "load 1", "step 0", "after", "load 2", "step 1", "after", "step 2", "after"]
    assert events == whole
    assert ahead.waited >= 0


@pytest.mark.parametrize(("longer", "seconds"), [("batch", 3), ("step", 1)])
def test_waiting_is_measured_where_a_batch_takes_longer_than_a_step(longer, seconds, monkeypatch):
    """By a clock that loading alone moves, a second a batch; the first is always waited for."""
    clock, may_load, loaded = [0.0], threading.Event(), threading.Event()
    monkeypatch.setattr(ahead_module, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(ahead_module, "wait", lambda batches: may_load.set() or wait(batches))

    def batches():
        for number in range(3):
            assert may_load.wait(10)
            may_load.clear()
            clock[0] += 1
            loaded.set()
            yield [number]
        loaded.set()

    may_load.set()
    with Ahead(batches(), lambda part: part, CPU) as ahead:
        for _ in ahead:
            loaded.clear()
            with ahead.beside():
                if longer == "step":  # it ends when the next batch has come
                    may_load.set()
                    assert loaded.wait(10)
    assert ahead.waited == seconds


def test_a_broken_batch_is_told_of_when_its_step_comes():
    def broken():
        yield [1]
        raise ValueError("picture 2 is broken")

    steps = []
    with pytest.raises(ValueError, match="picture 2"), Ahead(broken(), int, CPU) as ahead:
        for loaded, _ in ahead:
            with ahead.beside():
                pass
            steps.append(loaded)
    assert steps == [[1]]


def test_the_thread_computes_as_its_maker_does():
    threads, main = [], torch.get_num_threads()

    def place(part):
        threads.append((threading.current_thread().name, torch.get_num_threads()))
        return part

    with Ahead([[1], [2]], place, CPU) as ahead:
        for _ in ahead:
            with ahead.beside():
                pass
    assert threads[0] == (threading.current_thread().name, main)
    assert threads[1][0].startswith("batches") and threads[1][1] == main


@pytest.mark.parametrize("name", TRAININGS)
def test_only_a_training_that_says_so_draws_its_batches_from_torchs_generator(
    name, tmp_path, monkeypatch
):
    """Setting that generator and putting it back counts, too: a step may draw in between."""
    touched, looked = [], []

    def first_batch(engine, loader, *_):
        with monkeypatch.context() as patch:
            for function in ("manual_seed", "set_rng_state"):
                patch.setattr(torch, function, lambda *_: touched.append("set"))
            before = torch.get_rng_state()
            next(iter(loader(0)))
            if not torch.equal(before, torch.get_rng_state()):
                touched.append("drawn")
        looked.append(engine.plan.draws_globally)
        raise InterruptedError

    monkeypatch.setattr(Engine, "steps", first_batch)
    with pytest.raises(InterruptedError):
        TRAININGS[name].run(TRAININGS[name].config, tmp_path / "run", tmp_path)
    assert looked == [bool(touched)], touched


def trained(folder, config, cache):
    """A head with dropout, which draws in every step, over a backbone with a cache."""
    torch.manual_seed(0)
    network = tiny_backbone(dilated=True).remember(cache)
    method = build_method("pfenet", network, "scenes")
    train(method, episodes(config, padded=False), config, folder, report=quiet)
    return {key: value.clone() for key, value in method.head_state().items()}


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_training_is_the_same_with_and_without_the_thread(accumulate, tmp_path, monkeypatch):
    config = replace(TRAININGS["segmenter"].config, accumulate=accumulate, log_every=6)
    read, make = [], ReadAhead.take
    monkeypatch.setattr(ReadAhead, "take", lambda *args: read.append(make(*args)) or read[-1])
    threaded = trained(tmp_path / "beside", config, PassCache(2**28))
    waiting = sum(features is None for features in read)
    assert len(read) == 6 * accumulate
    # Before the first step nothing is known of what will be asked; the second batch may be made
    # before that step has told.
    assert accumulate <= waiting <= 2 * accumulate
    stored = trained(tmp_path / "stored", config, DiskCache(tmp_path / "cache", 2**28))
    monkeypatch.setattr(Ahead, "__init__", serial(Ahead.__init__))
    alone = trained(tmp_path / "alone", config, PassCache())
    for name, value in alone.items():
        assert torch.equal(value, threaded[name]) and torch.equal(value, stored[name]), name
    (row,) = read_journal(tmp_path / "beside" / "metrics.jsonl")
    assert 0 < row["waited_seconds"] <= row["seconds"]


def serial(begin):
    return lambda ahead, batches, place, device, _: begin(ahead, batches, place, device, False)
