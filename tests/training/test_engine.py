"""The step engine under every training: parts of a batch, half precision, waiting, divergence."""

from functools import partial

import pytest
import torch
from stand_ins import random_episodes
from tiny_trainings import TRAININGS, segmenter
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from fsslib.methods.hdmnet import HDMNet
from fsslib.methods.panet import PANet
from fsslib.methods.pfenet import PFENet
from fsslib.training import loop
from fsslib.training.checkpoint import CheckpointError, save_checkpoint
from fsslib.training.descent import Descent
from fsslib.training.engine import Engine
from fsslib.training.journal import TrainingDiverged, read_journal
from fsslib.training.parts import batch_loader, item_loader
from fsslib.training.plan import Plan
from fsslib.training.recipe import TrainConfig
from fsslib.training.step import Loss, Step

pytestmark = pytest.mark.filterwarnings("ignore:the (global|local) queue")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("pictures")


def weights(folder):
    """Every tensor of the parts of a checkpoint that learn."""
    content = torch.load(folder / "checkpoint.pt", weights_only=True)
    return {
        f"{part}.{name}": value
        for part, state in content.items()
        if isinstance(state, dict)
        for name, value in state.items()
        if isinstance(value, torch.Tensor) and value.is_floating_point()
    }


def assert_nearly_equal(first, second, atol):
    one, other = weights(first), weights(second)
    assert one.keys() == other.keys() and one
    for name, value in one.items():
        torch.testing.assert_close(
            value, other[name], atol=atol, rtol=1e-3, msg=lambda m, n=name: f"{n}: {m}"
        )


SGD = {"optimizer": "sgd", "lr": 0.05, "max_grad_norm": 0.5}


@pytest.mark.parametrize("accumulate", [2, 4])
@pytest.mark.parametrize("name", ["pfenet", "asgnet", "panet", "hsnet"])
def test_parts_of_a_batch_have_its_gradients(name, accumulate, root, tmp_path):
    """Parts count in different numbers of pixels; plain means of their means would differ."""
    config = TRAININGS["segmenter"].changed(**SGD)
    run = partial(segmenter, root=root, name=name, loss="cross_entropy")
    run(config, tmp_path / "whole")
    run(TRAININGS["segmenter"].changed(**SGD, accumulate=accumulate), tmp_path / "parts")
    assert_nearly_equal(tmp_path / "whole", tmp_path / "parts", atol=2e-5)
    losses = [read_journal(tmp_path / f / "metrics.jsonl")[-1] for f in ("whole", "parts")]
    assert losses[0]["loss"] == pytest.approx(losses[1]["loss"], rel=1e-4)


def test_equal_weights_for_parts_would_be_another_loss(root, tmp_path, monkeypatch):
    """What the test above would not see, if episodes all counted alike."""
    config = TRAININGS["segmenter"].changed(**SGD, accumulate=4)
    segmenter(config, tmp_path / "exact", root, loss="cross_entropy")
    learn = Step.learn
    monkeypatch.setattr(Step, "learn", lambda step, loss, _: learn(step, loss))
    segmenter(config, tmp_path / "alike", root, loss="cross_entropy")
    with pytest.raises(AssertionError):
        assert_nearly_equal(tmp_path / "exact", tmp_path / "alike", atol=1e-5)


def test_parts_have_the_gradients_of_dice_where_all_pixels_count(root, tmp_path):
    """As in Scenes-10i, whose recipes have that loss and neither turn nor pad."""
    for accumulate in (1, 4):
        config = TRAININGS["segmenter"].changed(**SGD, accumulate=accumulate)
        folder = tmp_path / str(accumulate)
        segmenter(config, folder, root, padded=False, loss="cross_entropy_dice")
    assert_nearly_equal(tmp_path / "1", tmp_path / "4", atol=1e-4)


@pytest.mark.parametrize("name", ["dino", "heads"])
def test_parts_of_a_pretrainings_batch_have_its_gradients(name, root, tmp_path):
    tiny = TRAININGS[name]
    # AdamW's first steps are signs of gradients, whatever their size: rounding would show.
    for folder, accumulate in (("whole", 1), ("parts", 2)):
        config = (
            tiny.changed(accumulate=accumulate, steps=1, drop_at=1)
            if name == "heads"
            else (tiny.changed(accumulate=accumulate, steps=2))
        )
        tiny.run(config, tmp_path / folder, root)
    rows = [read_journal(tmp_path / f / "metrics.jsonl")[-1] for f in ("whole", "parts")]
    assert rows[0]["loss"] == pytest.approx(rows[1]["loss"], rel=1e-4)
    assert_nearly_equal(tmp_path / "whole", tmp_path / "parts", atol=2e-3)


@pytest.mark.parametrize(
    ("kind", "term", "count"),
    [
        (PFENet, "main", "query"),
        (PANet, "alignment", "episodes"),
        (HDMNet, "main", "query"),
        (HDMNet, "distillation", "episodes"),
    ],
)
def test_a_term_is_weighed_by_what_it_is_a_mean_over(kind, term, count):
    batch = random_episodes(3, 2, 8)
    expected = {"query": int((batch.query_mask != 255).sum()), "episodes": 3}
    assert kind.__new__(kind).counted(term, batch) == expected[count]


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="accumulate=3: batch_size=8 does not divide"):
        TrainConfig(batch_size=8, accumulate=3)
    assert TrainConfig.preset("coco", accumulate=4).batch_size == 32


def test_a_loss_of_all_pairs_takes_no_parts():
    with pytest.raises(ValueError, match="in 2 parts: this loss compares all pictures"):
        next(iter(batch_loader([torch.zeros(4)], parts=2)))


def test_a_run_may_go_on_in_more_parts_unless_batch_norm_learns(root, tmp_path):
    class Killed(Exception):
        pass

    def kill(line):
        if line.startswith("step 4/"):
            raise Killed

    for name in ("segmenter", "base_learner"):
        tiny = TRAININGS[name]
        with pytest.raises(Killed):
            tiny.run(tiny.config, tmp_path / name, root, report=kill)
    TRAININGS["segmenter"].run(
        TRAININGS["segmenter"].changed(accumulate=2), tmp_path / "segmenter", root
    )
    with pytest.raises(CheckpointError, match="parts that BatchNorm sees: None then, 2 now"):
        TRAININGS["base_learner"].run(
            TRAININGS["base_learner"].changed(accumulate=2), tmp_path / "base_learner", root
        )


class Waits(TorchDispatchMode):
    """Counts what makes the host wait for a device: a tensor's value, or how many are true."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "bincount", "equal")

    def __init__(self):
        super().__init__()
        self.waits = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        by_mask = name == "index" and any(
            part is not None and part.dtype in (torch.bool, torch.uint8) for part in args[1]
        )
        if name in self.WAITING or by_mask:
            self.waits.append(name)
        return func(*args, **(kwargs or {}))


def without_modes(call):
    def unseen(*args):
        with _disable_current_modes():
            return call(*args)

    return unseen


@pytest.mark.parametrize("name", TRAININGS)
def test_a_step_waits_for_the_device_only_to_log(name, root, tmp_path, monkeypatch):
    """What augments pictures is left out: it draws on the host, and has tests of its own. So is
    what looks for masked cells, on a CPU only."""
    learn, waits = Step.learn, []

    def counted(step, *args):
        with Waits() as mode:
            learn(step, *args)
        waits.append(mode.waits)

    monkeypatch.setattr(Step, "learn", counted)
    # Its counters of steps lie on the host, whatever the device.
    monkeypatch.setattr(Descent, "finish", without_modes(Descent.finish))
    monkeypatch.setattr(loop, "on_device", without_modes(loop.on_device))
    monkeypatch.setattr("fsslib.priors.similarity.masked_cells", lambda *_, **__: None)
    if name == "moco":
        monkeypatch.setattr("fsslib.training.pretraining.moco_model.recolour", lambda x, _: x)
    tiny = TRAININGS[name]
    tiny.run(tiny.config, tmp_path, root)
    assert len(waits) == 6 and not any(waits), waits


@pytest.mark.parametrize("name", TRAININGS)
def test_every_training_has_half_precision(name, root, tmp_path, monkeypatch):
    """On a CPU, too: losses stay numbers in fp32, near those of full precision."""
    tiny = TRAININGS[name]
    tiny.run(tiny.config, tmp_path / "full", root)
    kinds: list[torch.dtype] = []
    forward = nn.Conv2d.forward

    def noted(layer: nn.Conv2d, inputs: torch.Tensor) -> torch.Tensor:
        out = forward(layer, inputs)
        kinds.append(out.dtype)
        return out

    monkeypatch.setattr(nn.Conv2d, "forward", noted)
    tiny.run(tiny.changed(precision="bf16"), tmp_path / "half", root)
    assert torch.bfloat16 in kinds
    full, half = (
        [row["loss"] for row in read_journal(tmp_path / f / "metrics.jsonl") if "loss" in row]
        for f in ("full", "half")
    )
    assert half == pytest.approx(full, rel=0.2) and half != full
    checkpoint = torch.load(tmp_path / "half" / "checkpoint.pt", weights_only=True)
    states = [state for state in checkpoint.values() if isinstance(state, dict)]
    tensors = [v for state in states for v in state.values() if isinstance(v, torch.Tensor)]
    assert {v.dtype for v in tensors if v.is_floating_point()} == {torch.float32}


def test_scaled_gradients_are_clipped_as_they_are_and_overflows_left_out():
    layer = torch.nn.Linear(2, 1, bias=False)
    descent = Descent(torch.optim.SGD(layer.parameters(), 1.0), "fp16", max_grad_norm=1.0)
    assert not descent.scaler.is_enabled(), "on the CPU everything is fp32"
    descent.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=100)
    start = layer.weight.detach().clone()
    descent.down((layer.weight * torch.tensor([3.0, 4.0])).sum(), 1.0)
    torch.testing.assert_close(start - layer.weight, torch.tensor([[0.6, 0.8]]))
    before = layer.weight.detach().clone()
    descent.down((layer.weight * torch.tensor([torch.inf, 1.0])).sum(), 1.0)
    assert torch.equal(layer.weight, before)
    assert descent.scaler.get_scale() == 2.0**9


def numbers(steps):
    """Batches 0, 1, 2 …, from one on."""
    return lambda begin: ([torch.tensor(float(i))] for i in range(begin, steps))


def small_engine(folder, layer, steps=10, **options):
    plan = Plan(steps, **{"checkpoint_every": 4, "log_every": 100} | options)
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)
    return Engine(plan, folder, {}, {"model": layer}, optimizer, lambda _: 0.1, report=str)


def test_the_first_broken_step_is_named_where_it_is_first_looked_for(tmp_path):
    layer = torch.nn.Linear(1, 1)

    def loss(number):
        value = layer.weight.sum() * (torch.nan if number == 5 else 1.0)
        return Loss({"main": value}, {})

    with pytest.raises(TrainingDiverged, match=r"step 5: .*not finite at learning rate 0\.1"):
        for step in small_engine(tmp_path, layer).steps(numbers(10)):
            step.learn(loss)
    assert step.number == 7, "looked at with the second checkpoint"
    checkpoint = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert checkpoint["step"] == 4 and checkpoint["model"]["weight"].isfinite().all()


def test_broken_weights_are_never_written(tmp_path):
    """Though the loss was a number all the time."""
    layer = torch.nn.Linear(1, 1)
    engine = small_engine(tmp_path, layer, steps=4, checkpoint_every=2)
    with pytest.raises(TrainingDiverged, match=r"model: \['weight'\].*the last checkpoint is from"):
        for step in engine.steps(numbers(4)):
            step.learn(lambda _: Loss({"main": layer.bias.sum()}, {}))
            if step.number == 3:
                layer.weight.data.fill_(torch.inf)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 2


def test_a_checkpoint_of_another_version_names_what_it_lacks(tmp_path):
    save_checkpoint(tmp_path / "checkpoint.pt", {"step": 2}, {})
    with pytest.raises(CheckpointError, match="holds no model, optimizer: another version"):
        small_engine(tmp_path, torch.nn.Linear(1, 1))


def test_means_go_on_after_a_checkpoint(tmp_path):
    def run(folder, stop):
        layer = torch.nn.Linear(1, 1)
        engine = small_engine(
            folder, layer, steps=8, checkpoint_every=4, log_every=8, smooth=(("loss",), 6)
        )
        for step in engine.steps(numbers(8)):
            if step.number == stop:
                return None
            step.learn(lambda n: Loss({"main": n + 0 * layer.weight.sum()}, {}))
        return engine.state["facts"]["loss"]

    run(tmp_path / "cut", 6)
    assert run(tmp_path / "cut", None) == run(tmp_path / "whole", None) == (2 + 7) / 2


def test_batches_reach_a_gpu_from_pinned_memory_and_its_workers_stay():
    loaders = [
        item_loader(list(range(8)), 4, 2, workers=2, device="cuda:1"),
        batch_loader(list(range(8)), workers=2, device="cuda"),
    ]
    for loader in loaders:
        assert loader.pin_memory and loader.persistent_workers
    loader = item_loader(list(range(8)), 4, 2)
    assert not loader.pin_memory and not loader.persistent_workers
    parts = [[part.tolist() for part in step] for step in loader]
    assert parts == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]


def test_parts_move_without_waiting(tmp_path):
    moves = []

    class Moved:
        def to(self, device, non_blocking=False):
            moves.append((str(device), non_blocking))
            return torch.tensor(1.0)

    layer = torch.nn.Linear(1, 1)
    for step in small_engine(tmp_path, layer, steps=1).steps(lambda _: [[Moved()]]):
        step.learn(lambda one: Loss({"main": one * layer.weight.sum()}, {}))
    assert moves == [("cpu", True)]
