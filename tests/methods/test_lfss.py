"""LFSS: its switches, its circle, its shots, and that it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from stand_ins import random_episodes, tiny_backbone
from torch import nn

from fsslib.data.episode import Episode
from fsslib.encoders import build_backbone
from fsslib.encoders.clip import ClipEncoder
from fsslib.encoders.clip_loading import load_clip
from fsslib.methods.base import FewShotSegmenter, Prediction
from fsslib.methods.lfss import LFSSConfig
from fsslib.methods.lfss.network import LFSS, Pass
from fsslib.methods.words import WordConfig, WordGuided, WordMasks
from fsslib.predict import predict
from fsslib.priors.word_masks import FALLBACK_CELLS, word_mask

NAMES = ("class0", "class1", "class2")


class Painter(ClipEncoder):
    """Stands in for a CLIP: red is how much a cell is class0, green class1, blue class2."""

    def __init__(self):
        nn.Module.__init__(self)

    def encode_image(self, images, normalised=False):
        raise NotImplementedError

    pooled_and_dense = encode_image

    def encode_text(self, words, templates):
        return torch.eye(3)[: len(words)]

    def preprocess(self, images, norm="clip"):
        return images.float() / 255

    def dense(self, inputs, normalised=False, variant="value"):
        return F.avg_pool2d(inputs, 8) + 1e-3


def words(**changes) -> WordMasks:
    return WordMasks(Painter(), NAMES, WordConfig(size=None, **changes))


def painted(batch: int, shot: int, size: int = 64) -> Episode:
    """Random episodes whose pictures are redder inside a square, their object."""
    episodes = random_episodes(batch, shot, size)
    query, support = episodes.query_image.clone(), episodes.support_images.clone()
    query_mask, support_masks = (
        torch.zeros_like(m) for m in (episodes.query_mask, episodes.support_masks)
    )
    for image, mask, at in ((query, query_mask, 8), (support, support_masks, 24)):
        red, others = image[..., 0, :, :], image[..., 1:, :, :]
        red[..., at : at + 32, at : at + 24] = 250
        others[..., at : at + 32, at : at + 24] //= 4
        mask[..., at : at + 32, at : at + 24] = 1
    return replace(
        episodes,
        query_image=query,
        support_images=support,
        query_mask=query_mask,
        support_masks=support_masks,
    )


def model(seed: int = 0, **changes) -> LFSS:
    torch.manual_seed(seed)
    settings = {"dim": 16, "rates": (1, 2, 3), "area_per_seed": 4, "spacing": 3.0, **changes}
    return LFSS(tiny_backbone(), words(), LFSSConfig(**settings))


def test_a_word_becomes_a_mask():
    episodes = painted(2, 1)
    result = words()(episodes.query_image, ["class0", "class1"], (8, 8))
    assert result.mask[0, 1:5, 1:4].all()
    assert not result.empty[0]
    assert result.mask[0].sum() < 40
    with pytest.raises(ValueError, match=r"\['cat'\]"):
        words()(episodes.query_image, ["class0", "cat"], (8, 8))


def test_a_word_that_wins_nowhere_gets_its_best_cells():
    scores = torch.rand(2, 3, 6, 6)
    scores[:, 0] += 2
    result = word_mask(scores, torch.tensor([0, 1]))
    assert result.empty.tolist() == [False, True]
    assert result.mask[0].all()
    assert result.mask[1].sum() == FALLBACK_CELLS
    lowest = scores[1, 1][result.mask[1] == 1].min()
    assert lowest >= scores[1, 1][result.mask[1] == 0].max()


def test_background_names_take_cells_away():
    clip = load_clip("scenes-clip-rn")
    plain = WordMasks(clip, NAMES)
    more = WordMasks(clip, NAMES, WordConfig(background="names"))
    assert len(plain.words) == 3 < len(more.words)
    with pytest.raises(ValueError, match="'folder'"):
        WordMasks(clip, NAMES, WordConfig(background="names"), "elsewhere")


def test_among_fewer_names_a_word_wins_more_cells():
    pictures = painted(2, 1).query_image
    few, all_ = words(among=2), words(among=3)
    assert all_.rivals is None and few.rivals.sum(1).tolist() == [2, 2, 2]
    assert few.rivals.diagonal().all() and "rivals" not in few.state_dict()
    names = ["class0", "class1"]
    more, less = few(pictures, names, (8, 8)), all_(pictures, names, (8, 8))
    assert (more.mask >= less.mask)[~less.empty].all()
    assert torch.equal(few.scores(pictures), all_.scores(pictures))
    with pytest.raises(ValueError, match="among=1"):
        words(among=1)


def test_nothing_of_the_annotation_is_read():
    """The same prediction whatever the support's mask says; with guidance="mask" it matters."""
    episodes = painted(2, 1)
    other = replace(episodes, support_masks=1 - episodes.support_masks)
    blind = model().eval()
    torch.testing.assert_close(blind(episodes).logits, blind(other).logits)
    seeing = model(guidance="mask").eval()
    assert not torch.equal(seeing(episodes).logits, seeing(other).logits)


def test_two_pictures_and_a_word_are_enough():
    pictures = [painted(1, 1).query_image[0].permute(1, 2, 0).numpy() for _ in range(2)]
    method = model().eval()
    arguments = {"method": method, "class_name": "class1", "image_size": 64}
    mask = predict(pictures[0], pictures[1:], None, **arguments)
    everything = predict(pictures[0], pictures[1:], [np.ones((64, 64), np.uint8)], **arguments)
    assert mask.shape == (64, 64) and np.array_equal(mask, everything)
    with pytest.raises(ValueError, match="masks=None: LFSS reads the supports' masks"):
        predict(pictures[0], pictures[1:], None, model(guidance="mask"), "class1", 64)


def test_a_mask_that_is_known_is_not_predicted():
    episodes, known = painted(2, 1), model(guidance="mask").eval()
    single = model(guidance="mask", circle="none").eval()
    single.load_head_state(known.head_state())
    torch.testing.assert_close(known(episodes).logits, single(episodes).logits)
    assert "support_prediction" not in known(episodes).maps


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"dps": False, "ccm": False, "refine": False},
        {"ccm": False},
        {"dps": False},
        {"variant": "literal"},
        {"circle": "none"},
        {"circle": "soft"},
        {"guidance": "mask"},
        {"supervision": "pseudo"},
        {"window": 1, "official_border": True, "global_weight": 0.3},
    ],
)
def test_every_switch_trains_and_predicts(changes):
    episodes, method = painted(2, 1), model(**changes).train()
    prediction = method(episodes)
    assert prediction.logits.shape == (2, 2, 64, 64)
    losses = method.loss(prediction, episodes)
    one_pass = changes.get("circle") == "none" or changes.get("guidance") == "mask"
    assert ("support" in losses) != one_pass
    sum(losses.values()).backward()
    missing = [n for n, p in method.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing
    read = 16 + (1 if method.config.dps else 16) + (2 if method.config.ccm else 1)
    assert method.merge[0].in_channels == read


def test_channels_are_the_papers():
    """Eq. 18: 259; the first row of Table 4: 513."""
    full = LFSS(tiny_backbone(), words(), LFSSConfig.preset("paper"))
    least = LFSS(tiny_backbone(), words(), LFSSConfig.preset("paper", dps=False, ccm=False))
    assert full.merge[0].in_channels == 259
    assert least.merge[0].in_channels == 513


def test_the_second_pass_gets_the_first_ones_mask():
    """A hard circle lets no gradient from the query's loss through the support's prediction."""
    episodes = painted(2, 1)
    for circle, flows in (("hard", False), ("soft", True)):
        method = model(circle=circle).eval()
        captured = {}
        inner = method.segment

        def spy(target, target_mask, guide, guide_mask, captured=captured, inner=inner):
            captured["mask"] = guide_mask
            return inner(target, target_mask, guide, guide_mask)

        method.segment = spy
        prediction = method(episodes)
        assert captured["mask"].requires_grad == flows
        if not flows:
            predicted = (prediction.maps["support_prediction"] > 0.5).float()
            refined = prediction.maps["refined_support"]
            used = torch.where(predicted.sum((-2, -1), keepdim=True) == 0, refined, predicted)
            torch.testing.assert_close(captured["mask"], used)


def test_the_circle_can_be_left_out_at_test_time():
    episodes = painted(1, 1)
    method = model(circle_at_test=False)
    assert "support_prediction" in method.train()(episodes).maps
    assert "support_prediction" not in method.eval()(episodes).maps


def test_equal_shots_add_nothing():
    """Five times the same support says what it says once: heads are trained with one."""
    one = painted(2, 1)
    five = replace(
        one,
        support_images=one.support_images.repeat(1, 1, 5, 1, 1, 1),
        support_masks=one.support_masks.repeat(1, 1, 5, 1, 1),
    )
    for method in (model().eval(), model(dps=False).eval()):
        torch.testing.assert_close(method(five).logits, method(one).logits, rtol=1e-4, atol=1e-5)
    vote = model(fusion="vote").eval()
    assert torch.equal(vote(five).mask, vote(one).mask)


def test_votes_are_not_trained_on():
    episodes = random_episodes(batch=1, shot=2, size=33)
    voter = model(fusion="vote").train()
    with pytest.raises(ValueError, match="fusion='vote' with 2 shots: votes have no gradient"):
        voter.loss(voter(episodes), episodes)


def test_votes_need_half_of_the_most():
    method = model(fusion="vote", circle="none").eval()
    answers = iter([1.0, -1.0, -1.0])
    blank = torch.zeros(1, 1, 8, 8)

    def pass_(*_):
        logits = torch.full((1, 8, 8), -1.0)
        logits[:, :4] = next(answers)
        logits[:, 0] = 1.0
        return Pass(logits, blank, blank)

    method.segment = pass_
    mask = method(painted(1, 3)).mask[0]
    assert mask[0].all(), "three of three"
    assert not mask[20:28].any(), "one of three, and three is the most"


def test_losses_leave_out_what_is_marked():
    """Eq. 20: beta shares; pixels of 255 change nothing."""
    episodes, method = painted(2, 1), model(beta=0.25).eval()
    prediction = method(episodes)
    losses = method.loss(prediction, episodes)
    expected = F.binary_cross_entropy_with_logits(
        prediction.logits[:, 1], (episodes.query_mask == 1).float()
    )
    torch.testing.assert_close(losses["query"], 0.75 * expected)
    masked = episodes.query_mask.clone()
    masked[:, :20] = 255
    logits = prediction.logits.clone()
    logits[:, 1, :20] = 99
    changed = replace(prediction, logits=logits)
    marked = method.loss(changed, replace(episodes, query_mask=masked))["query"]
    torch.testing.assert_close(
        marked, method.loss(prediction, replace(episodes, query_mask=masked))["query"]
    )


def test_pseudo_supervision_never_sees_the_truth():
    episodes, method = painted(2, 1), model(supervision="pseudo").eval()
    other = replace(
        episodes, query_mask=1 - episodes.query_mask, support_masks=0 * episodes.support_masks
    )
    original, changed = (method.loss(method(e), e) for e in (episodes, other))
    for name in ("query", "support"):
        torch.testing.assert_close(original[name], changed[name])


def test_it_learns():
    """A few steps on one batch: the loss falls far below its start."""
    episodes, method = painted(4, 1), model(reduce_dropout=0.0)
    optimizer = torch.optim.Adam([p for p in method.parameters() if p.requires_grad], 3e-3)
    losses = []
    for _ in range(40):
        loss = sum(method.loss(method.train()(episodes), episodes).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]


def test_word_guidance_replaces_the_annotation():
    """The wrapped method sees the word's masks, and its head is the wrapper's."""
    episodes = painted(2, 2)
    seen = {}

    class Spy(FewShotSegmenter):
        def forward(self, batch):
            seen["masks"] = batch.support_masks
            return Prediction(torch.zeros(2, 2, 64, 64))

    WordGuided(Spy(), words())(episodes)
    expected = words()(episodes.support_images.flatten(0, 2), ["class0"] * 4, (64, 64)).mask
    assert torch.equal(seen["masks"].flatten(0, 2).float(), expected)
    wrapped = WordGuided(model(), words())
    assert wrapped.head_state().keys() == wrapped.method.head_state().keys()
    with pytest.raises(ValueError, match="missing"):
        wrapped.load_head_state({})


def test_heads_hold_neither_backbone_nor_clip():
    assert {key.split(".")[0] for key in model().head_state()} == {
        *("reduce", "merge", "aspp", "fuse", "decode")
    }


@pytest.mark.parametrize(("name", "channels"), [("vgg16", 768), ("resnet50", 1536)])
def test_the_papers_grid_is_50_by_50(name, channels):
    backbone = build_backbone(name, "random")
    images = torch.zeros(1, 3, 400, 400, dtype=torch.uint8)
    with torch.no_grad():
        assert backbone.fine_features(images).shape == (1, channels, 50, 50)
