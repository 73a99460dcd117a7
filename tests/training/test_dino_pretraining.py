"""Self-distillation: the loss by hand, views, exact going on; FOUND's seed on top."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from fsslib.data.scenes.album import Album
from fsslib.encoders.clip import resize_positions
from fsslib.encoders.dino import (
    Dino,
    class_attention,
    load_dino,
    small_dino,
)
from fsslib.encoders.found import load_found_head
from fsslib.encoders.weights import WeightsError
from fsslib.evaluation.dino_scores import agreement, average_precision, neighbour_accuracy
from fsslib.priors.found import background_seed
from fsslib.training.journal import read_journal
from fsslib.training.pretraining.dino import DinoHead, dino_loss, pretrain_dino
from fsslib.training.pretraining.dino_crops import Views
from fsslib.training.pretraining.dino_recipe import DinoConfig
from fsslib.training.pretraining.dino_values import even_values

SMALL = DinoConfig(
    **{"steps": 4, "batch_size": 4, "scenes": 20, "size": 32, "coarse_size": 16, "fine_steps": 2},
    **{"local_crops": 2, "out": 32, "warmup": 1, "frozen_steps": 1, "checkpoint_every": 2},
)


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    return Album("test", 0, 20, 32, tmp_path_factory.mktemp("album")).prepare(workers=1)


def test_each_view_is_compared_with_the_other_large_ones():
    torch.manual_seed(0)
    student, teacher, center = torch.randn(4, 3, 5), torch.randn(2, 3, 5), torch.randn(5)
    terms = [
        -(((teacher[t] - center) / 0.04).softmax(-1) * (student[v] / 0.1).log_softmax(-1)).sum(-1)
        for t in range(2)
        for v in range(4)
        if t != v
    ]
    expected = torch.stack(terms).mean()
    torch.testing.assert_close(dino_loss(student, teacher, center, SMALL), expected)


def test_rows_of_the_last_layer_have_unit_length_and_stay_so():
    head = DinoHead(8, 16, hidden=12, bottleneck=6)
    optimizer = torch.optim.SGD([p for p in head.parameters() if p.requires_grad], 0.5)
    head(torch.randn(3, 8)).square().sum().backward()
    optimizer.step()
    torch.testing.assert_close(head.last.weight.norm(dim=1), torch.ones(16))


def test_views_are_a_function_of_their_step(album):
    views, later = Views(album, SMALL), Views(album, SMALL, begin=2)
    state = torch.get_rng_state()
    large, small = views[3]
    assert torch.equal(torch.get_rng_state(), state)  # nothing is taken from the run's generator
    assert large.shape == (2, 4, 3, 32, 32) and small.shape == (2, 4, 3, 16, 16)
    assert views[0][0].shape == (2, 4, 3, 16, 16)
    torch.manual_seed(7)
    for one, other in zip((large, small), later[1], strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(large[0], large[1])


def test_a_killed_pretraining_ends_with_the_same_weights(album, tmp_path):
    whole, facts = pretrain_dino(SMALL, album, tmp_path / "whole")

    class Killed(Exception):
        pass

    def stop(text: str) -> None:
        if text.startswith("step 2/"):
            raise Killed

    with pytest.raises(Killed):
        pretrain_dino(SMALL, album, tmp_path / "two", report=stop)
    resumed, _ = pretrain_dino(SMALL, album, tmp_path / "two")
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key
    assert 0 < facts["loss"] < 20
    assert 0 <= read_journal(tmp_path / "two" / "metrics.jsonl")[-1]["spread"] <= 1
    start = torch.manual_seed(SMALL.seed) and small_dino()
    moved = whole.model.blocks[0].attn.qkv.weight - start.model.blocks[0].attn.qkv.weight
    assert moved.abs().max() > 0  # the teacher follows


def test_looking_on_the_way_changes_nothing_but_the_journal(album, tmp_path):
    seen = []

    def monitor(encoder: Dino) -> dict[str, float]:
        seen.append(encoder)
        return {"score": float(len(seen))}

    config = replace(SMALL, monitor_every=3)
    plain, _ = pretrain_dino(config, album, tmp_path / "plain")
    looked, _ = pretrain_dino(config, album, tmp_path / "looked", monitor=monitor)
    rows = read_journal(tmp_path / "looked" / "metrics.jsonl")
    marked = [(row["step"], row["score"]) for row in rows if "score" in row]
    assert marked == [(3, 1.0), (4, 2.0)]  # and after the last step
    for last in (looked, seen[-1]):  # what is scored is what is released
        for key, value in plain.state_dict().items():
            assert torch.equal(value, last.state_dict()[key]), key


def test_evened_values_leave_the_output_and_lose_what_cells_share(album):
    torch.manual_seed(0)
    encoder = small_dino().freeze()
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    evened = even_values(encoder, album, 0.5, 32)
    images = torch.stack([torch.from_numpy(album.image(i).copy()) for i in range(20)])
    images = images.permute(0, 3, 1, 2)
    torch.testing.assert_close(evened(images), encoder(images), atol=1e-4, rtol=1e-4)
    for name in "qk":
        torch.testing.assert_close(evened.facet(images, name), encoder.facet(images, name))

    def shared(network: Dino) -> float:
        values = Dino(network.model).facet(images)
        means = values.mean((2, 3))
        return (means.square().mean() / values.square().mean()).item()

    assert shared(evened) < 0.7 * shared(encoder)
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_a_pretraining_evens_values_where_it_is_told_to(album, tmp_path):
    plain, _ = pretrain_dino(SMALL, album, tmp_path / "plain")
    evened, facts = pretrain_dino(replace(SMALL, even_values=1.0), album, tmp_path / "evened")
    assert facts["training"]["even_values"] == 1.0
    images = torch.from_numpy(album.image(0).copy()).permute(2, 0, 1)[None]
    torch.testing.assert_close(evened(images), plain(images), atol=0.02, rtol=0.02)  # as stored
    assert not torch.allclose(evened.facet(images), plain.facet(images), atol=0.02)


def test_scores_are_shares(album):
    torch.manual_seed(0)
    encoder = small_dino().freeze()
    assert 0 <= neighbour_accuracy(encoder, scenes=20, size=32) <= 1
    scores = agreement(encoder, gammas=(-1.0, 0.5), scenes=4, size=32)
    always = scores["gammas"]["-1.0"]
    assert always["recall"] == 1 and always["marked"] == 1
    assert always["precision"] == pytest.approx(scores["share"])
    assert scores["gammas"]["0.5"]["marked"] < 1
    assert scores["share"] < scores["average_precision"] <= 1


def test_average_precision_is_the_mean_precision_at_every_hit():
    truth = torch.tensor([True, False, True, False, False])
    falling = torch.tensor([0.9, 0.8, 0.7, 0.2, 0.1])
    assert average_precision(falling, truth) == pytest.approx((1 / 1 + 2 / 3) / 2)
    shuffled = torch.tensor([3, 0, 4, 2, 1])
    assert average_precision(falling[shuffled], truth[shuffled]) == pytest.approx(5 / 6)
    assert average_precision(-falling, truth) == pytest.approx((1 / 3 + 2 / 5) / 2)


def test_the_embedded_facets_are_seen_from_the_pictures_mean():
    torch.manual_seed(0)
    encoder = small_dino().freeze()
    images = torch.randint(256, (2, 3, 32, 48), dtype=torch.uint8)
    qkv = encoder.last_qkv(images)
    for number, name in enumerate("qkv"):
        whole = qkv[number][:, :, 1:].transpose(2, 3).flatten(1, 2)  # heads side by side
        own = (whole - whole.mean(2, keepdim=True)).unflatten(2, (4, 6))
        torch.testing.assert_close(encoder.facet(images, name), own)
        plain = Dino(encoder.model)  # as the papers' networks
        torch.testing.assert_close(plain.facet(images, name), whole.unflatten(2, (4, 6)))


def test_the_seed_is_what_looks_like_the_least_looked_at():
    """Two heads; one looks everywhere alike and says nothing."""
    torch.manual_seed(0)
    keys = torch.zeros(1, 2, 6, 4)
    keys[0, 0, :3, 0], keys[0, 0, 3:, 1] = 1, 1  # object, background
    keys[0, 1] = F.normalize(torch.randn(6, 4), dim=-1)
    attention = torch.tensor([[[0.3, 0.3, 0.3, 0.04, 0.01, 0.05], [1.0, 1, 1, 1, 1, 1]]])
    assert background_seed(attention, keys)[0].tolist() == [False] * 3 + [True] * 3
    # By hand, straight from the equations.
    mean = attention.mean()
    share = (attention[0] > mean).float().mean(1)
    beta = ((share + 1e-10).sum() / (share + 1e-10)).log()
    reference = (attention[0] * beta[:, None]).sum(0).argmin()
    scaled = F.normalize((keys[0] * beta[:, None, None]).movedim(0, 1).flatten(1), dim=-1)
    assert torch.equal(background_seed(attention, keys)[0], scaled @ scaled[reference] > 0.3)


def test_attention_of_the_class_token_is_the_networks_own():
    torch.manual_seed(0)
    encoder = small_dino().freeze()
    images = torch.randint(256, (2, 3, 32, 48), dtype=torch.uint8)
    qkv = encoder.last_qkv(images)
    attention = class_attention(qkv)
    assert attention.shape == (2, 4, 24) and (attention.sum(2) < 1).all()
    # Finishing the last block by hand gives what the network gives.
    last, hidden = encoder.model.blocks[-1], encoder.model.blocks[:-1](encoder.embed(images))
    mixed = F.scaled_dot_product_attention(*qkv).transpose(1, 2).flatten(2)
    after = hidden + last.attn.proj(mixed)
    after = after + last.mlp(last.norm2(after))
    torch.testing.assert_close(encoder.model.norm(after), encoder(images))


def test_positions_are_those_of_the_grid_or_resampled():
    positions = torch.randn(1 + 16, 6)
    assert resize_positions(positions, (4, 4), "scaled") is positions
    resampled = resize_positions(positions, (5, 7), "scaled")
    assert resampled.shape == (36, 6) and torch.equal(resampled[0], positions[0])
    assert small_dino().grid((96, 40)) == (12, 5)


def test_weights_that_cannot_be_had_are_named(tmp_path):
    with pytest.raises(ValueError, match="'dino-large' is unknown"):
        load_dino("dino-large")
    with pytest.raises(WeightsError, match="no weights at"):
        load_dino("vit_small_patch8_224", tmp_path / "lost.pth")
    with pytest.raises(WeightsError, match="has 'scenes', 'random' or a file"):
        load_dino("scenes-dino", "dino")
    head = {"decoder": {"weight": torch.randn(1, 384, 1, 1), "bias": torch.randn(1)}}
    torch.save(head, tmp_path / "decoder_weights.pt")
    loaded = load_found_head(tmp_path / "decoder_weights.pt")
    assert sum(p.numel() for p in loaded.parameters()) == 385
    assert torch.equal(loaded.weight, head["decoder"]["weight"])
    torch.save({"decoder": {"weight": torch.randn(1, 384, 1, 1)}}, tmp_path / "half.pt")
    with pytest.raises(WeightsError, match=r"missing \['bias'\]"):
        load_found_head(tmp_path / "half.pt")
