"""QGNet's pretraining: MoCo's own numbers, both branches, exact going on, and that it learns."""

import json
import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden import GOLDEN, formula_weights, golden, prefixed
from torch import nn

from fsslib.data.scenes.album import Album
from fsslib.encoders import WeightsError
from fsslib.encoders.backbones import BACKBONES, load_backbone_state, moco_encoder
from fsslib.priors.superpixels import SuperpixelConfig
from fsslib.training.checkpoint import CheckpointError
from fsslib.training.journal import read_journal
from fsslib.training.pretraining.contrast import (
    KeyQueue,
    contrast_logits,
    follow,
    info_nce,
    retrieval_accuracy,
)
from fsslib.training.pretraining.moco import build_moco, pretrain_moco, trained_state
from fsslib.training.pretraining.moco_batches import MocoBatches
from fsslib.training.pretraining.moco_model import made, neighbours, patch_views
from fsslib.training.pretraining.moco_recipe import MocoConfig, automatic_length
from fsslib.training.pretraining.segments import SegmentStore
from fsslib.training.pretraining.split_norm import SplitBatchNorm2d, split_batch_norm

SMALL = MocoConfig(
    **{"epochs": 2, "batch_size": 4, "size": 32, "local_size": 24, "min_cells": 1},
    **{"checkpoint_every": 2, "monitor_every": 3, "queue": 16, "local_queue": 32},
)
# Nineteen pictures are few for any queue.
pytestmark = pytest.mark.filterwarnings("ignore:the (global|local) queue")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("moco")
    album = Album("test", 0, 19, 48, folder).prepare(workers=1)
    config = SuperpixelConfig.preset("scenes_slic", long_side=48, min_area=50, min_side=6)
    return SegmentStore(album, config, folder).prepare(workers=1)


def test_the_queue_is_mocos():
    case = golden("qgnet/moco_queue")
    queue = KeyQueue(int(case["dim"]), int(case["K"]))
    queue.keys.copy_(case["init/queue"])
    for step in range(6):
        queue.enqueue(case[f"keys{step}"])
        assert torch.equal(queue.keys, case[f"queue{step}"])
        assert torch.equal(queue.pointer, case[f"ptr{step}"])
    assert int(case["batch3_raises"]) == 1
    with pytest.raises(ValueError, match="3 keys do not divide a queue of 16"):
        queue.enqueue(torch.zeros(3, 8))


def test_a_new_queue_holds_random_unit_vectors():
    torch.testing.assert_close(KeyQueue(8, 32).keys.norm(dim=0), torch.ones(32))


@pytest.mark.parametrize(("name", "temperature"), [("T007", 0.07), ("T02", 0.2)])
def test_logits_and_loss_are_mocos(name, temperature):
    case = golden("qgnet/infonce_logits")
    logits = contrast_logits(case["q"], case["k"], case["queue"], temperature)
    torch.testing.assert_close(logits, case[f"logits_{name}"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(info_nce(logits), case[f"loss_{name}"], atol=1e-5, rtol=1e-5)


def test_retrieval_counts_the_positive_among_the_most_similar_keys():
    """Ranks 1, 3 and 6 of six, and a tie for the first place, which the positive has."""
    logits = torch.tensor(
        [[9, 1, 2, 3, 4, 5], [3, 1, 2, 0, 4, 5], [0, 1, 2, 3, 4, 5], [5, 1, 2, 3, 4, 5]]
    ).float()
    assert [retrieval_accuracy(logits, k).item() for k in (1, 3, 5, 6)] == [0.5, 0.75, 0.75, 1.0]
    assert retrieval_accuracy(logits, 1) == (logits.argmax(1) == 0).float().mean()
    known = torch.tensor([False, True, True, False])
    assert retrieval_accuracy(logits, 5, known) == 0.5
    assert retrieval_accuracy(logits, 5, known & False) == 0.0


def test_the_key_encoder_follows_as_mocos():
    case = golden("qgnet/moco_momentum")
    query, key = (
        nn.ModuleDict(
            {
                "conv": nn.Conv2d(3, 6, 3, bias=False),
                "bn": nn.BatchNorm2d(6),
                "fc": nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 8)),
            }
        )
        for _ in range(2)
    )
    query.load_state_dict(prefixed(case, "q/"), strict=False)
    key.load_state_dict(prefixed(case, "k0/"), strict=False)
    query["bn"].running_mean.fill_(5)
    for step in (1, 2, 3):
        follow(key, query, float(case["m"]))
        for name, expected in prefixed(case, f"k{step}/").items():
            torch.testing.assert_close(key.state_dict()[name], expected, atol=1e-7, rtol=1e-6)
    assert not key["bn"].running_mean.any() and not int(case["bn_buffers_updated"])
    follow(key, query, 0.9, buffers=True)
    assert torch.equal(key["bn"].running_mean, query["bn"].running_mean)


@pytest.mark.parametrize(("name", "schedule"), [("cos", "cosine"), ("step", "step")])
def test_learning_rates_are_mocos(name, schedule):
    case = golden("qgnet/moco_lr_schedule")
    config = MocoConfig(
        epochs=int(case["epochs"]),
        lr=float(case["base_lr"]),
        schedule=schedule,
        milestones=tuple(case["milestones"].tolist()),
    )
    rates = torch.tensor([config.lr_at(e) for e in range(config.epochs)], dtype=torch.float64)
    torch.testing.assert_close(rates, case[name], atol=1e-8, rtol=0)


@pytest.mark.parametrize("which", ["query", "key"])
def test_official_checkpoints_load(which):
    shapes = json.loads((GOLDEN / "keys_moco_resnet50.json").read_text())["keys"]
    shapes = {f"module.{k}": v for k, v in shapes.items() if not k.startswith("queue")}
    state = formula_weights(shapes)
    backbone = BACKBONES["resnet50"]()
    load_backbone_state(backbone, moco_encoder(state, which))
    letter = which[0]
    for ours, theirs in (("stem.0.weight", "conv1.weight"), ("layer4.2.bn3.running_var",) * 2):
        expected = state[f"module.encoder_{letter}.{theirs}"]
        assert torch.equal(backbone.state_dict()[ours], expected)
    bare = {key.removeprefix("module."): value for key, value in state.items()}
    assert moco_encoder(bare, which).keys() == moco_encoder(state, which).keys()


def test_another_checkpoint_is_no_mocos():
    with pytest.raises(WeightsError, match=r"no encoder_k\.\* among \['conv1"):
        moco_encoder({"conv1.weight": torch.zeros(1)})


def test_split_batch_norm_is_batch_norm_of_every_part():
    torch.manual_seed(0)
    whole, norm = torch.randn(12, 5, 4, 4) * 3 + 1, SplitBatchNorm2d(5)
    norm.splits = 3
    nn.init.normal_(norm.weight)
    plain = [nn.BatchNorm2d(5) for _ in range(3)]
    for one in plain:
        one.load_state_dict(norm.state_dict())
    whole.requires_grad_(True)
    actual = norm(whole)
    expected = torch.cat([one(part) for one, part in zip(plain, whole.chunk(3), strict=True)])
    torch.testing.assert_close(actual, expected)
    for name in ("running_mean", "running_var"):
        mean = torch.stack([getattr(one, name) for one in plain]).mean(0)
        torch.testing.assert_close(getattr(norm, name), mean)
    gradients = [torch.autograd.grad(out.square().sum(), whole)[0] for out in (actual, expected)]
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-4)
    norm.eval()
    torch.testing.assert_close(
        norm(whole),
        F.batch_norm(whole, norm.running_mean, norm.running_var, norm.weight, norm.bias),
    )
    with pytest.raises(ValueError, match="batch of 10 is not divisible by bn_splits=3"):
        norm.train()(whole[:10])


def test_splitting_changes_no_names():
    network = BACKBONES["scenes-moco"](dilated=False)
    names = list(network.state_dict())
    assert list(split_batch_norm(network, 4).state_dict()) == names
    assert sum(isinstance(m, SplitBatchNorm2d) for m in network.modules()) == 20


@pytest.mark.parametrize(
    ("pictures", "segments", "largest", "length"),
    [
        (5953, 1, None, 1024),
        (4096, 1, None, 1024),
        (4095, 1, None, 512),
        (82_081, 1, None, 16_384),
        (5953, 30, 65_536, 32_768),
        (82_081, 30, 65_536, 65_536),
    ],
)
def test_automatic_queues_stay_below_a_quarter_of_the_instances(
    pictures, segments, largest, length
):
    assert automatic_length(pictures, segments, largest) == length


def test_queues_must_fit_the_batch():
    config = MocoConfig(batch_size=64)
    assert config.queue_lengths(16_384, 14.5) == {"global": 4096, "local": 32_768}
    assert replace(config, global_weight=0.0).queue_lengths(16_384, 14.5) == {"local": 32_768}
    scenes = MocoConfig.preset("scenes")
    for branch, length in scenes.queue_lengths(16_384, 14.5).items():
        age = length / scenes.batch_size * (1 - scenes.momentum)
        assert age < 0.5, f"keys of the {branch} queue are from other encoders"
    paper = MocoConfig.preset("paper")
    assert paper.queue_lengths(5953, 30) == {"global": 65_536, "local": 65_536}
    with pytest.raises(ValueError, match="global queue of 64 is no multiple of the 48 keys"):
        MocoConfig(batch_size=48, queue=64).queue_lengths(1000, 10)
    with pytest.raises(ValueError, match="local queue of 64 is no multiple of the 128 keys"):
        MocoConfig(patches=2, local_queue=64).queue_lengths(1000, 10)
    with pytest.raises(ValueError, match="3 pictures are too few"):
        automatic_length(3)


def test_a_queue_longer_than_the_data_is_warned_of(store):
    with pytest.warns(UserWarning, match=r"global queue of 32 keys holds 1\.7 epochs of 19"):
        _, lengths = build_moco(replace(SMALL, queue=32), store)
    assert lengths["global"] == 32, "it may be tried all the same"


def test_other_patches_of_a_picture_are_negatives():
    torch.manual_seed(0)
    queries, keys = (F.normalize(torch.randn(6, 8), dim=1) for _ in range(2))
    segments = torch.tensor([3, 5, 7, 7, 0, 1])  # the second picture has one segment only
    extra = neighbours(queries, keys, segments, patches=2)
    other = [1, 0, None, None, 5, 4]
    for row, column in enumerate(other):
        finite = extra[row][extra[row].isfinite()]
        expected = [] if column is None else [queries[row] @ keys[column]]
        torch.testing.assert_close(finite, torch.tensor(expected))
    without = contrast_logits(queries, keys, torch.randn(8, 4), 0.2)
    with_them = torch.cat([without, extra / 0.2], 1)
    assert info_nce(with_them) > info_nce(without)
    assert torch.equal(with_them[2:4].softmax(1)[:, -2:], torch.zeros(2, 2))


def test_same_image_negatives_raise_the_loss_of_a_step(store):
    losses = []
    for enabled in (False, True):
        config = replace(SMALL, patches=2, same_image_negatives=enabled)
        model, _ = build_moco(config, store)
        contrasts = model.train()(MocoBatches(store, config)[0])
        assert contrasts["local"].logits.shape == (8, 1 + 32 + 2 * enabled)
        losses.append(model.loss(contrasts)[1]["local_loss"])
    assert losses[1] > losses[0]


def test_a_step_keeps_mocos_order(store):
    """Queries, then the key encoder follows, then keys; negatives are the queue before them."""
    model, lengths = build_moco(replace(SMALL, local_weight=0.0), store)
    assert lengths == {"global": 16}
    with torch.no_grad():
        for parameter in model.query.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.train()
    batch, by_hand = MocoBatches(store, model.config)[0], deepcopy(model)
    logits = model(batch)["global"].logits

    pictures, everyone = batch.pictures.float() / 255, torch.arange(4)
    sides = []
    for side, encoder in (("query", by_hand.query), ("key", by_hand.key)):
        if side == "key":
            follow(encoder, by_hand.query, 0.99)
        layer4 = encoder.features(made(pictures, everyone, getattr(batch, side), 32))
        sides.append(F.normalize(encoder.heads["global"](layer4.mean((-2, -1))), dim=1))
    query, key = sides
    before = by_hand.queues["global"].keys
    expected = torch.cat([(query * key).sum(1, keepdim=True), query @ before], 1) / 0.2
    torch.testing.assert_close(logits, expected)
    queue = model.queues["global"]
    torch.testing.assert_close(queue.keys[:, :4], key.T)
    assert int(queue.pointer) == 4 and torch.equal(queue.keys[:, 4:], before[:, 4:])
    for name, value in by_hand.state_dict().items():
        if not name.startswith("queues"):
            torch.testing.assert_close(model.state_dict()[name], value, msg=name)


@pytest.mark.parametrize("changes", [{}, {"masked_pool": True}, {"fill": "mean"}])
def test_half_precision_is_the_backbones_only(changes, store, monkeypatch):
    """As on a GPU: bfloat16 gives nearly the same logits, and everything else stays fp32."""
    autocast, seen = torch.autocast, []

    def everywhere(kind, dtype=None, enabled=True):
        if dtype is None:  # what stays in fp32 switches it off
            return autocast(kind, enabled=enabled)
        seen.append(enabled)
        return autocast(kind, dtype, enabled=True)

    full, _ = build_moco(replace(SMALL, **changes), store)
    batch = MocoBatches(store, full.config)[0]
    half = deepcopy(full).train()
    expected = full.train()(batch)
    monkeypatch.setattr(torch, "autocast", everywhere)
    contrasts = half(batch)
    assert seen and not any(seen), "on the CPU nobody asks for it"
    for branch, (logits, _) in contrasts.items():
        assert logits.dtype == torch.float32
        torch.testing.assert_close(logits, expected[branch].logits, atol=0.3, rtol=0)
        assert not torch.equal(logits, expected[branch].logits)
    half.loss(contrasts)[0].backward()


def test_the_key_encoder_has_batch_statistics_of_its_own(store):
    model, _ = build_moco(SMALL, store)
    means = [part.backbone.stem[1].running_mean.clone() for part in (model.query, model.key)]
    model.train()(MocoBatches(store, SMALL)[0])
    after = [part.backbone.stem[1].running_mean for part in (model.query, model.key)]
    assert not torch.equal(means[1], after[1]) and not torch.equal(after[0], after[1])
    assert all(not parameter.requires_grad for parameter in model.key.parameters())


ARMS = {
    "global": {"local_weight": 0.0},
    "local": {"global_weight": 0.0},
    "both": {},
    "two_patches": {"patches": 2, "same_image_negatives": True, "draw": "area"},
    "filled": {"fill": "mean"},
    "separate": {"separate_heads": True},
    "pooled": {"masked_pool": True},
    "pooled_local": {"masked_pool": True, "global_weight": 0.0, "patches": 2},
    "split": {"bn_splits": 2, "copy_buffers": True, "encoder": "query"},
}


class Stop(Exception):
    """Stands for the kill."""


@pytest.mark.parametrize("arm", ARMS)
def test_a_stopped_training_ends_with_the_same_weights(arm, store, tmp_path):
    config = replace(SMALL, **ARMS[arm])
    whole = pretrain_moco(config, store, tmp_path / "whole", report=str)
    assert whole["steps"] == 8 and set(whole["queues"]) == set(config.branches)

    def stop(line):
        if line.startswith("step 4/"):
            raise Stop

    with pytest.raises(Stop):
        pretrain_moco(config, store, tmp_path / "stopped", report=stop)
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 - whatever others did with it must not matter
    resumed = pretrain_moco(config, store, tmp_path / "stopped", report=str)
    contents = [
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)
        for name in ("whole", "stopped")
    ]
    for key, value in contents[0]["model"].items():
        assert torch.equal(value, contents[1]["model"][key]), key
    assert resumed["loss"] == whole["loss"]
    with pytest.raises(CheckpointError, match="momentum"):
        pretrain_moco(replace(config, momentum=0.5), store, tmp_path / "stopped", report=str)


def test_workers_change_nothing(store):
    inside, outside = MocoBatches(store, SMALL), MocoBatches(store, SMALL, begin=3)
    loader = torch.utils.data.DataLoader(outside, batch_size=None, num_workers=1)
    for step, batch in enumerate(loader, 3):
        assert torch.equal(batch.pictures, inside[step].pictures)
        for ours, theirs in zip(batch.patches.key, inside[step].patches.key, strict=True):
            assert torch.equal(ours, theirs)
    assert step == len(inside) - 1
    with pytest.raises(ValueError, match="batch_size=64, but there are 19"):
        MocoBatches(store, replace(SMALL, batch_size=64))


def test_an_epoch_shows_every_picture_once_and_drops_the_rest(store):
    batches = MocoBatches(store, SMALL)
    for epoch in (0, 1):
        shown = [i for step in range(4) for i in batches.chosen(4 * epoch + step)]
        assert len(set(shown)) == 16
    assert batches.chosen(0) != batches.chosen(4)


def test_patches_are_views_of_one_eligible_segments_box(store):
    batches = MocoBatches(store, replace(SMALL, patches=3))
    batch = batches[1]
    for row, (owner, segment) in enumerate(
        zip(batch.patches.owners.tolist(), batch.patches.segments.tolist(), strict=True)
    ):
        segments = store.segments(batches.chosen(1)[owner])
        assert segments.eligible[segment]
        x0, y0, x1, y1 = segments.boxes[segment]
        grow = np.array([x0 - x1, y0 - y1, x1 - x0, y1 - y0]) * 0.1
        region = np.clip(segments.boxes[segment] + grow, 0, 48)
        for views in (batch.patches.query, batch.patches.key):
            box = views.boxes[row].numpy()
            assert (box[:2] >= region[:2] - 1e-3).all() and (box[2:] <= region[2:] + 1e-3).all()
            share = np.prod(box[2:] - box[:2]) / np.prod(region[2:] - region[:2])
            assert share > 0.49 or max(grow[2] / grow[3], grow[3] / grow[2]) > 4 / 3
    by_picture = batch.patches.segments.view(4, 3)
    assert any(len(set(row.tolist())) == 3 for row in by_picture), "different ones where possible"


def test_filling_shows_nothing_but_the_segment(store):
    config = replace(SMALL, fill="mean")
    batch = MocoBatches(store, config)[0]
    plain = batch.patches._replace(
        query=batch.patches.query._replace(
            **{"order": torch.full((4, 4), -1), "grey": torch.zeros(4, dtype=torch.bool)},
            **{"sigma": torch.zeros(4), "flipped": torch.zeros(4, dtype=torch.bool)},
        )
    )
    pictures = batch.pictures.float() / 255
    black = torch.where(plain.inside[:, None], 0 * pictures, pictures)
    views = patch_views(black, plain, "query", 24)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    # Inside black, outside the mean: whatever the picture had there is gone.
    ratio = views / mean
    torch.testing.assert_close(ratio[:, 0], ratio[:, 1], atol=1e-5, rtol=0)
    assert ratio.max() <= 1 + 1e-5 and (ratio.amin((1, 2, 3)) < 0.1).all()


def test_pooled_masks_follow_crop_and_flip(store):
    """A view whose box is the left half and that is flipped shows the segment mirrored."""
    config = replace(SMALL, masked_pool=True)
    batches = MocoBatches(store, config)
    index = batches.chosen(0)
    batch = batches[0]
    boxes = torch.tensor([[0.0, 0.0, 24.0, 48.0]]).repeat(4, 1)
    views = batch.query._replace(boxes=boxes, flipped=torch.ones(4, dtype=torch.bool))
    pools = batches._pools(np.random.default_rng(0), index, views, views)
    for row, segment in enumerate(pools.segments.tolist()):
        half = torch.from_numpy((store.labels(index[row]) == segment)[:, :24].copy())
        expected = F.interpolate(half[None, None].float(), (32, 32), mode="nearest-exact")
        expected = F.avg_pool2d(expected.flip(-1), 8)[0, 0]
        torch.testing.assert_close(pools.query[row], expected)
    assert torch.equal(pools.query, pools.key)


def test_segments_out_of_view_have_no_positive(store):
    config = replace(SMALL, masked_pool=True)
    batches = MocoBatches(store, config)
    batch = batches[0]
    left, right = ([0.0, 0.0, 6.0, 6.0], [42.0, 42.0, 48.0, 48.0])
    corners = [
        batch.query._replace(boxes=torch.tensor([corner]).repeat(4, 1)) for corner in (left, right)
    ]
    pools = batches._pools(np.random.default_rng(0), batches.chosen(0), *corners)
    assert not pools.known.any()
    model, _ = build_moco(config, store)
    loss, facts = model.loss(model.train()(batch._replace(pools=pools)))
    assert facts["matched"] == 0 and facts["local_loss"] == 0
    loss.backward()


def test_the_monitor_sees_the_released_encoder(store, tmp_path):
    seen = []

    def monitor(backbone):
        assert backbone.layer4[0].conv2.dilation == (4, 4) and not backbone.training
        seen.append({key: value.clone() for key, value in backbone.state_dict().items()})
        return {"prototype_miou": 0.25}

    facts = pretrain_moco(SMALL, store, tmp_path, monitor=monitor, report=str)
    rows = read_journal(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows if "prototype_miou" in row] == [3, 6, 8]
    assert facts["prototype_miou"] == 0.25
    last = next(row for row in rows if "loss" in row)
    assert last["global_chance"] == pytest.approx(math.log(17), abs=1e-5)
    assert last["local_chance"] == pytest.approx(math.log(33), abs=1e-5)
    for which, same in (("key", True), ("query", False)):
        content = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["model"]
        name = "layer4.1.conv2.weight"
        stored = content[f"{which}.backbone.{name}"].half().float()  # as the released file has it
        assert torch.equal(stored, seen[-1][name]) == same
    state = trained_state(tmp_path, SMALL, store)
    load_backbone_state(BACKBONES["scenes-moco"](), state)
    assert torch.equal(state["stem.0.weight"].half().float(), seen[-1]["stem.0.weight"])


def test_it_learns(store, tmp_path):
    """Views that differ little are told from other pictures, better than by guessing."""
    easy = {"scale": (0.9, 1.0), "momentum": 0.9, "optimizer": "adamw", "temperature": 0.1}
    config = replace(SMALL, **easy, local_weight=0.0, batch_size=8, epochs=25, queue=8, lr=1e-3)
    pretrain_moco(config, store, tmp_path, report=str)
    first, last = read_journal(tmp_path / "metrics.jsonl")
    assert last["step"] == 50
    assert last["loss"] < 0.93 * last["global_chance"] and last["loss"] < first["loss"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"lr": 0.0}, "lr=0.0"),
        ({"momentum": 1.0}, "momentum=1.0"),
        ({"global_weight": 0.0, "local_weight": 0.0}, "expected one above 0"),
        ({"same_image_negatives": True}, "patches=1; use 2"),
        ({"bn_splits": 3}, "bn_splits=3: batch_size=64 does not divide"),
        ({"bn_splits": 64}, "parts of two pictures at least"),
        ({"masked_pool": True, "fill": "mean"}, "masked_pool cuts none"),
    ],
)
def test_impossible_settings_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        MocoConfig(**values)


def test_presets():
    paper = MocoConfig.preset("paper", fill="mean")
    assert (paper.queue, paper.local_queue, paper.epochs) == (65_536, 65_536, 1000)
    assert (paper.batch_size, paper.size, paper.momentum, paper.fill) == (256, 224, 0.999, "mean")
    assert MocoConfig.preset("paper_coco").epochs == 200
    assert MocoConfig.preset("auto").queue == "auto"
    with pytest.raises(ValueError, match="preset='papers'"):
        MocoConfig.preset("papers")
    with pytest.raises(ValueError, match="backbone='resnet5'"):
        build_moco(MocoConfig(backbone="resnet5"), None)
