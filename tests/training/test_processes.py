"""Several processes train and evaluate as one: on the CPU, connected by gloo.

Forks of the test's own process, so that nobody waits for imports; how a run starts processes, and
what becomes of them when one is killed, `tests/runs/test_processes_of_a_run.py` shows.
"""

import copy
from functools import partial
from unittest.mock import patch

import pytest
import tiny_trainings
import torch
import torch.nn.functional as F
from forked import in_forks
from stand_ins import tiny_backbone
from test_engine import assert_nearly_equal, numbers, small_engine, weights
from tiny_trainings import PROTOCOL, TRAININGS, episodes, quiet
from torch import nn

from fsslib.data.registry import load_benchmark
from fsslib.data.sampler import test_episodes as listed_episodes
from fsslib.evaluation.evaluator import evaluate
from fsslib.methods import build_method
from fsslib.methods.base_learner import BaseLearner, BaseLearnerConfig
from fsslib.training.descent import Descent
from fsslib.training.journal import TrainingDiverged, read_journal
from fsslib.training.parts import batch_loader, item_loader, require_parts
from fsslib.training.processes import Share, own_share, processes
from fsslib.training.step import Loss
from fsslib.training.whole_batch import as_one

CPU = torch.device("cpu")
SGD = {
    **{"optimizer": "sgd", "lr": 0.05, "batch_size": 6},
    **{"steps": 4, "checkpoint_every": 2, "log_every": 1},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("pictures")


def losses(folder):
    return [row["loss"] for row in read_journal(folder / "metrics.jsonl") if "loss" in row]


def learner():
    return BaseLearner(tiny_backbone(), tuple(range(11, 41)), BaseLearnerConfig.preset("scenes"))


CASES = {
    "pfenet": ("segmenter", SGD, {"official_bn": True}),
    "without_ensemble": ("segmenter", SGD, {"name": "bam", "ensemble": False, "base": learner}),
    "panet": ("segmenter", SGD, {"name": "panet"}),
    "base_learner": ("base_learner", SGD, {}),
    "dino": ("dino", {"batch_size": 6, "steps": 2}, {}),
    "heads": ("heads", {"batch_size": 6}, {}),
    # AdamW's first steps are signs of gradients, whatever their size: rounding would show.
    "backbone": ("backbone", {"batch_size": 6, "steps": 2, "lr": 1e-5}, {}),
}


def start(case, folder, root, report=quiet, **changes):
    name, own, options = CASES[case]
    tiny = TRAININGS[name]
    made = {key: value() if callable(value) else value for key, value in options.items()}
    with patch.object(tiny_trainings, "without_dropout", lambda method: method):
        tiny.run(tiny.changed(**own | changes), folder, root, report, **made)


SLOW = [pytest.param(case, marks=pytest.mark.slow) for case in CASES if case != "pfenet"]


@pytest.mark.parametrize("case", ["pfenet", *SLOW])
def test_two_and_three_processes_train_as_one(case, root, tmp_path):
    """With dropout, with BatchNorm that learns, with losses of all kinds."""
    run = partial(start, case, root=root)
    run(folder=tmp_path / "1")
    for count in (2, 3):
        in_forks(count, partial(run, folder=tmp_path / str(count)))
        one, several = losses(tmp_path / "1"), losses(tmp_path / str(count))
        assert several == pytest.approx(one, rel=1e-4) and one
        assert_nearly_equal(tmp_path / "1", tmp_path / str(count), atol=1e-4)


class Killed(Exception):
    pass


def kill(line):
    if line.startswith("step 2/"):
        raise Killed


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(3, 1), (1, 3), (2, 3)])
def test_any_number_goes_on_where_any_other_stopped(before, after, root, tmp_path):
    """With BatchNorm and dropout: the checkpoint holds one set of statistics, one random stream."""
    run = partial(start, "pfenet", root=root)
    run(folder=tmp_path / "whole")
    cut = partial(run, folder=tmp_path / "cut")
    with pytest.raises((AssertionError, Killed)):
        several(before, partial(cut, report=kill))
    assert torch.load(tmp_path / "cut" / "checkpoint.pt", weights_only=True)["step"] == 2
    several(after, cut)
    assert losses(tmp_path / "cut") == pytest.approx(losses(tmp_path / "whole"), rel=1e-4)
    assert_nearly_equal(tmp_path / "whole", tmp_path / "cut", atol=1e-4)
    streams = [
        torch.load(tmp_path / f / "checkpoint.pt", weights_only=True)["random"]["cpu"]
        for f in ("whole", "cut")
    ]
    assert torch.equal(*streams)


def several(count, work):
    return [work()] if count == 1 else in_forks(count, work)


@pytest.mark.slow
def test_processes_that_stopped_go_on_to_the_last_bit(root, tmp_path):
    run = partial(start, "pfenet", root=root)
    in_forks(2, partial(run, folder=tmp_path / "whole"))
    with pytest.raises(AssertionError, match="Killed"):
        in_forks(2, partial(run, folder=tmp_path / "cut", report=kill))
    in_forks(2, partial(run, folder=tmp_path / "cut"))
    whole, cut = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    assert losses(tmp_path / "whole") == losses(tmp_path / "cut")


# What a process loads


class Recorded(torch.utils.data.Dataset):
    """An episode stream that notes which episodes were asked for."""

    def __init__(self, stream):
        self.stream, self.loaded = stream, []

    def __len__(self):
        return len(self.stream)

    def __getitem__(self, offset):
        self.loaded.append(offset)
        episode = self.stream[offset]
        return episode.query_image, episode.query_mask, episode.support_images


@pytest.mark.parametrize(("count", "accumulate"), [(2, 1), (3, 1), (2, 3), (3, 2), (6, 1)])
def test_a_process_loads_its_own_pictures_and_together_they_are_the_batch(count, accumulate):
    stream = episodes(TRAININGS["segmenter"].changed(batch_size=6), padded=False)(0)
    whole = [[torch.cat(each) for each in zip(*step, strict=True)] for step in loaded(stream)[0]]
    shares = [loaded(stream, accumulate * count, Share(rank, count)) for rank in range(count)]
    numbers_loaded = [dataset.loaded for _, dataset in shares]
    assert sorted(n for own in numbers_loaded for n in own) == list(range(12)), "each one once"
    for step, images in enumerate(whole):
        parts = [share[0][step][turn] for turn in range(accumulate) for share in shares]
        for seen, kind in zip(zip(*parts, strict=True), images, strict=True):
            assert torch.equal(torch.cat(seen), kind)


def loaded(stream, parts=1, share=Share()):  # noqa: B008
    dataset = Recorded(stream)
    steps = item_loader(dataset, 6, parts, share=share)
    return [list(step) for _, step in zip(range(2), steps, strict=False)], dataset


def test_a_batch_that_was_drawn_as_a_whole_is_cut():
    batches = [torch.arange(12.0)]
    shares = [batch_loader(batches, 6, cut=torch.chunk, share=Share(r, 3)) for r in range(3)]
    parts = [[part.tolist() for part in next(iter(share))] for share in shares]
    assert parts == [[[0, 1], [6, 7]], [[2, 3], [8, 9]], [[4, 5], [10, 11]]]


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match=r"^processes=3: batch_size=8 does not divide"):
        require_parts(8, 1, 3)
    with pytest.raises(ValueError, match=r"^processes=2 with accumulate=3: batch_size=9 does"):
        require_parts(9, 3, 2)
    require_parts(6, 3, 2)


# Three functions that see more than one picture


def forward(network, images):
    """Output, gradients and running statistics."""
    network, images = copy.deepcopy(network), images.clone().requires_grad_()
    answer = network(images)
    answer.square().sum().backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    return answer.detach(), images.grad, gradients, list(network.buffers())


def own_part(network, images, sizes):
    share = own_share()
    processes(CPU)
    with as_one(share, 0, CPU):
        return forward(network, images.split(sizes)[share.rank])


@pytest.mark.parametrize("sizes", [(2, 2, 2), (1, 4, 1)])
def test_batch_norm_sees_what_all_processes_see(sizes):
    torch.manual_seed(0)
    network, images = nn.BatchNorm2d(3), 5 + 3 * torch.randn(6, 3, 4, 5)
    nn.init.uniform_(network.weight)
    answer, gradient, gradients, buffers = forward(network, images)
    parts = in_forks(3, own_part, network, images, sizes)
    torch.testing.assert_close(torch.cat([part[0] for part in parts]), answer)
    torch.testing.assert_close(torch.cat([part[1] for part in parts]), gradient)
    for number, expected in enumerate(gradients):
        torch.testing.assert_close(
            sum(part[2][number] for part in parts), expected, atol=1e-4, rtol=1e-5
        )
    for part in parts:
        torch.testing.assert_close(part[3], buffers)
        assert all(map(torch.equal, part[3], parts[0][3])), "the same on all, to the last bit"


def dropped(layer, images):
    share = own_share()
    torch.manual_seed(7)
    with as_one(share, 5, CPU):
        others = torch.rand(4)
        answer = layer(images.chunk(share.of)[share.rank])
    return answer, others, torch.get_rng_state()


@pytest.mark.parametrize(
    ("kind", "shape"),
    [(nn.Dropout, (6, 7)), (nn.Dropout, (6, 2, 3, 5)), (nn.Dropout2d, (6, 9, 3, 5))],
)
def test_dropout_masks_are_those_of_one_process_and_other_numbers_differ(kind, shape):
    images, layer = torch.rand(shape) + 1, kind(0.5)
    torch.manual_seed(7)
    expected = layer(images)
    state = torch.get_rng_state()

    answers, others, states = zip(*in_forks(3, dropped, layer, images), strict=True)
    assert torch.equal(torch.cat(answers), expected)
    assert len({tuple(each.tolist()) for each in others}) == 3
    assert all(torch.equal(each, state) for each in states), "a checkpoint is that of one process"


def entropy(logits, target):
    share, weight = own_share(), torch.tensor([1.0, 2.0])
    processes(CPU)
    own, own_target = logits.chunk(share.of)[share.rank], target.chunk(share.of)[share.rank]
    with as_one(share, 0, CPU) as whole:
        assert F.cross_entropy(own, own_target, weight, ignore_index=255) >= 0
        assert not whole.means, "classes that weigh differently are counted in every part"
        return F.cross_entropy(own, own_target, ignore_index=255), whole.means


def test_cross_entropy_is_a_mean_over_all_pixels_that_count():
    torch.manual_seed(0)
    logits, target = torch.randn(6, 2, 5, 5), torch.randint(2, (6, 5, 5))
    target[:2], target[3, :3] = 255, 255
    (first, means), (second, _) = in_forks(2, entropy, logits, target)
    expected = F.cross_entropy(logits, target, ignore_index=255)
    torch.testing.assert_close((first + second) / 2, expected)
    assert means


def test_torch_is_left_as_it_was():
    before = F.batch_norm, F.cross_entropy, F.dropout, F.dropout2d
    with pytest.raises(Killed), as_one(Share(1, 3), 0, CPU):
        assert F.dropout is not before[2]
        raise Killed
    assert (F.batch_norm, F.cross_entropy, F.dropout, F.dropout2d) == before


# Gradients


def partly_used(layers):
    rank = own_share().rank
    descent = Descent(torch.optim.SGD(layers.parameters(), 1.0), accelerator=processes(CPU))
    descent.begin(1.0)
    value = torch.tensor([[2.0], [5.0]][rank])
    descent.backward(sum(layer(value).sum() for layer in layers[: rank + 1]))
    descent.finish()
    return [layer.weight.grad for layer in layers], [layer.weight.detach() for layer in layers]


def test_what_nobody_used_has_no_gradient_and_what_one_used_has_it_on_all():
    torch.manual_seed(0)
    layers = nn.ModuleList(nn.Linear(1, 1, bias=False) for _ in range(3))
    (gradients, after), (others, after_others) = in_forks(2, partly_used, layers)
    assert gradients[0].item() == 7 and gradients[1].item() == 5 and gradients[2] is None
    assert others[2] is None and torch.equal(gradients[1], others[1])
    assert all(map(torch.equal, after, after_others))
    assert torch.equal(after[2], layers[2].weight), "not even decayed"


def overflowing(layer):
    rank = own_share().rank
    optimizer = torch.optim.SGD(layer.parameters(), 1.0)
    descent = Descent(optimizer, "fp16", 1.0, accelerator=processes(CPU))
    descent.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=100)
    history = []
    for huge in (torch.inf, 1.0):
        values = torch.tensor([huge if rank else 1.0, 1.0])
        descent.down((layer.weight * values).sum(), 1.0)
        history.append((layer.weight.detach().clone(), descent.scaler.get_scale()))
    return history


def test_all_leave_out_a_step_that_overflows_for_one():
    layer = nn.Linear(2, 1, bias=False)
    one, other = in_forks(2, overflowing, layer)
    assert torch.equal(one[0][0], layer.weight) and one[0][1] == 2.0**9
    assert not torch.equal(one[1][0], layer.weight)
    for mine, theirs in zip(one, other, strict=True):
        assert torch.equal(mine[0], theirs[0]) and mine[1] == theirs[1]


def diverging(folder):
    layer, rank = nn.Linear(1, 1), own_share().rank

    def loss(number):
        broken = rank == 1 and number == 2
        return Loss({"main": layer.weight.sum() * (torch.nan if broken else 1.0)}, {})

    with pytest.raises(TrainingDiverged) as error:
        for step in small_engine(folder, layer).steps(numbers(10)):
            step.learn(loss)
    return str(error.value).partition(":")[0]


def test_all_stop_where_the_loss_of_one_is_no_number(tmp_path):
    assert in_forks(2, diverging, tmp_path) == ["step 2", "step 2"]


# Evaluation


def scored(share):
    benchmark, protocol = load_benchmark(PROTOCOL), PROTOCOL
    method = build_method("pfenet", tiny_backbone(), "scenes")
    specs = listed_episodes(benchmark, protocol)[:22]
    scores = evaluate(
        method, benchmark, protocol, specs, batch_size=4, maps=("prior",), share=share
    )
    return scores.to_dict() | {"evaluation_seconds": 0}, list(scores.meter.queries.items())


def own_scores():
    processes(CPU)
    return scored(own_share())


@pytest.mark.parametrize("count", [2, 3, 7])
def test_every_episode_is_counted_once_whoever_looks_at_it(count):
    """Six batches, the last one a short one; with seven processes one has none."""
    one = scored(Share())
    assert one[0]["episodes"] == 22 and one[0]["maps"]["prior"]["pictures"] > 0
    assert all(answer == one for answer in in_forks(count, own_scores))


def patient(folder, root):
    """Validated by all, each its share; stopped by what all agree on."""
    rounds = []

    def validate(method):
        rounds.append(scored(own_share())[0]["miou"])
        return {"held_out": rounds[-1]}

    config = TRAININGS["segmenter"].changed(**SGD | {"steps": 8}, validate_every=2, patience=1)
    train = tiny_trainings.train
    torch.manual_seed(0)
    method = build_method("pfenet", tiny_backbone(), "scenes")
    outcome = train(method, episodes(config, False), config, folder, "cpu", validate, quiet)
    return outcome["step"], outcome["best_step"], outcome["best_score"], rounds


def test_validation_is_shared_and_patience_ends_all(root, tmp_path):
    one, other = in_forks(2, patient, tmp_path, root)
    assert one == other and one[:2] == (4, 2) and len(one[3]) == 2
    rows = read_journal(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows if row["split"] == "held_out"] == [2, 4], "one journal"
