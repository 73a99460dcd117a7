"""Devices and threads are chosen in one place, and what is not there is refused."""

import pytest
import torch

from fsslib.config import ConfigError
from fsslib.runs import machine
from fsslib.runs.config import parse
from fsslib.runs.machine import environment, limit_threads_of_kernels, pick_device
from fsslib.runs.machine_config import MachineConfig
from fsslib.training.checkpoint import load_checkpoint, save_checkpoint


@pytest.fixture
def two_cards(monkeypatch):
    """As if there were two cards; each has a name and a random generator of its own."""
    chosen, states = [], {0: torch.tensor([10]), 1: torch.tensor([11])}

    def number(device):
        index = torch.device(device).index
        return (chosen or [0])[-1] if index is None else index

    def set_state(state, device="cuda"):
        states[number(device)] = state

    fakes = {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "set_device": chosen.append,
        "get_device_name": lambda device=None: f"card {number(device or 'cuda')}",
        "get_rng_state": lambda device="cuda": states[number(device)],
        "set_rng_state": set_state,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    return chosen, states


def test_a_card_is_made_the_one_in_use_and_stands_in_results(two_cards):
    chosen, _ = two_cards
    assert pick_device("cuda:1") == "cuda:1" and chosen == [1]
    assert environment("cuda:1")["device"] == "card 1"
    assert pick_device("auto") == "cuda" and chosen == [1]


def test_a_card_that_is_not_there_is_refused(two_cards):
    with pytest.raises(ConfigError, match=r"cuda:7.*has 2 CUDA devices.*'cuda:0', 'cuda:1'"):
        pick_device("cuda:7")
    assert two_cards[0] == []


def test_no_card_at_all_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="no CUDA device"):
        pick_device("cuda:1")
    with pytest.raises(ConfigError, match="no Apple GPU"):
        pick_device("mps")
    assert pick_device("auto") == "cpu"


def test_the_random_state_of_the_card_in_use_goes_on(two_cards, tmp_path):
    """And of no other, though the current one is card 0 where nobody has chosen."""
    _, states = two_cards
    save_checkpoint(tmp_path / "checkpoint.pt", {"step": 1}, {}, device="cuda:1")
    states.update({0: torch.tensor([20]), 1: torch.tensor([21])})
    load_checkpoint(tmp_path / "checkpoint.pt", {}, "cuda:1")
    assert states == {0: torch.tensor([20]), 1: torch.tensor([11])}


def test_a_run_on_a_card_goes_on_on_the_cpu(two_cards, tmp_path):
    _, states = two_cards
    save_checkpoint(tmp_path / "checkpoint.pt", {"step": 1}, {}, device="cuda")
    states[0] = torch.tensor([20])
    assert load_checkpoint(tmp_path / "checkpoint.pt", {}, "cpu")["step"] == 1
    assert states[0] == 20


@pytest.mark.parametrize(("requested", "threads"), [(None, [1]), ("", [1]), ("3", [])])
def test_threads_are_one_unless_the_user_says_otherwise(requested, threads, monkeypatch):
    limited = []
    monkeypatch.setattr(torch, "set_num_threads", limited.append)
    monkeypatch.delenv(machine.THREADS, raising=False)
    if requested is not None:
        monkeypatch.setenv(machine.THREADS, requested)
    pick_device("cpu")
    assert limited == threads


def test_kernels_get_the_users_number_of_threads_or_one(monkeypatch):
    for requested, limit in ((None, "1"), ("3", "3")):
        monkeypatch.delenv(machine.THREADS, raising=False)
        if requested:
            monkeypatch.setenv(machine.THREADS, requested)
        limit_threads_of_kernels()
        assert machine.os.environ[machine.THREADS] == limit
    monkeypatch.delenv(machine.THREADS)


def test_nobody_else_sets_threads():
    """Workers, which share a machine with their run, the thread that loads ahead, and what sets a
    lesson up aside."""
    sources = machine.PACKAGE.rglob("*.py")
    setters = {
        path.relative_to(machine.PACKAGE).as_posix()
        for path in sources
        if "set_num_threads" in path.read_text()
    }
    templates = (machine.PACKAGE.parent / "notebooks" / "runs").glob("*.ipynb")
    lessons = {"viz/display.py"}
    assert setters == {"runs/machine.py", "data/loading.py", "training/ahead.py"} | lessons
    assert not [path.name for path in templates if "set_num_threads" in path.read_text()]


def test_half_precision_that_a_device_lacks_is_refused_where_it_is_picked():
    assert pick_device("cpu", "fp32", "bf16") == "cpu"
    with pytest.raises(ConfigError, match="device='cpu': precision='fp16' is for GPUs"):
        pick_device("cpu", "fp32", "fp16")


@pytest.fixture
def switches(monkeypatch):
    """What stands in torch's switches afterwards stays as it was."""
    backends = torch.backends
    new = hasattr(backends, "fp32_precision")
    parts = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn) if new else ()
    before = [part.fp32_precision for part in parts]
    monkeypatch.setattr(backends.cudnn, "benchmark", False)
    yield parts
    for part, value in zip(parts, before, strict=True):
        part.fp32_precision = value


def test_switches_of_a_gpu(two_cards, switches, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    assert MachineConfig.parse("machine", "cuda:1 tf32=true cudnn_benchmark=true").use() == "cuda:1"
    assert torch.backends.cudnn.benchmark
    assert {part.fp32_precision for part in switches} <= {"tf32"}
    MachineConfig(device="cuda:1").use()
    assert not torch.backends.cudnn.benchmark
    assert {part.fp32_precision for part in switches} <= {"ieee"}
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    with pytest.raises(ConfigError, match="tf32=True: card 1 has no TF32"):
        MachineConfig(device="cuda:1", tf32=True).use()


@pytest.mark.parametrize("name", ["tf32", "cudnn_benchmark"])
def test_switches_of_gpus_are_refused_on_a_cpu(name):
    with pytest.raises(ConfigError, match=f"{name}=True with device='cpu': it is for NVIDIA"):
        MachineConfig(device="cpu", **{name: True}).use()


def test_what_cannot_be_compiled_is_refused(monkeypatch):
    def broken(_):
        raise RuntimeError("no C++ compiler\nand a long story")

    with pytest.raises(ConfigError, match="this run compiles nothing"):
        MachineConfig(device="cpu", compile=True).use()
    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(ConfigError, match=r"does not work here \(no C\+\+ compiler\); leave it"):
        MachineConfig(device="cpu", compile=True).use(compiles=True)
    monkeypatch.setattr(torch, "compile", lambda function: function)
    assert MachineConfig(device="cpu", compile=True).use(compiles=True) == "cpu"


def test_switches_decide_no_identity():
    plain, other = (
        parse("evaluate", {"method": "prototype", **more})
        for more in ({}, {"tf32": True, "compile": True, "cudnn_benchmark": True})
    )
    assert plain.decisive() == other.decisive()
    half = parse("evaluate", {"method": "prototype", "evaluation_precision": "bf16"})
    assert half.decisive() == {**plain.decisive(), "evaluation_precision": "bf16"}
