"""BAM, HDMNet and PI-CLIP: official checkpoints, priors from elsewhere, behaviour at the edges."""

import json
import shutil

import pytest
import torch
from golden import GOLDEN, formula_weights
from open_clip import CLIP
from stand_ins import random_episodes, tiny_backbone

from fsslib.encoders import WeightsError, build_backbone
from fsslib.encoders.clip_vit import ClipViT
from fsslib.interop.official import load_official
from fsslib.methods import build_method, shipped
from fsslib.methods.bam import BAM, BAMConfig
from fsslib.methods.base_learner import BaseLearner, BaseLearnerConfig
from fsslib.methods.hdmnet import HDMNet, HDMNetConfig
from fsslib.methods.pi_clip import ClipPrior, ClipPriorConfig, ClipPriors

BASE_CLASSES = (1, 4, 9)
BASES = ("pfenet", "bam", "hdmnet")


def manifest(name: str, prefix: str = "") -> dict[str, torch.Tensor]:
    shapes = json.loads((GOLDEN / f"keys_{name}.json").read_text())
    return {prefix + key: value for key, value in formula_weights(shapes).items()}


def vision(layers: int, width: int, side: int) -> dict:
    return {"layers": layers, "width": width, "head_width": 16, "patch_size": 16} | {
        "image_size": side
    }


def tiny_clip() -> ClipViT:
    torch.manual_seed(1)
    text = {"context_length": 77, "vocab_size": 50, "width": 32, "heads": 2, "layers": 2}
    model = CLIP(24, vision(10, 32, 64), text, quick_gelu=True)
    encoder = ClipViT(model, tokenizer=numbered, name="tiny", positions="bilinear")
    return encoder.freeze()


def numbered(texts) -> torch.Tensor:
    """Letters as tokens, the end marked by the largest."""
    rows = [[ord(letter) % 48 + 1 for letter in text[:70]] + [49] for text in texts]
    return torch.tensor([row + [0] * (77 - len(row)) for row in rows])


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FSSLIB_DATA", str(tmp_path))


def build(name: str, prior: str = "own", shot: int = 1, clip: ClipPriors | None = None, **changes):
    """A method on a tiny backbone whose CLIP is tiny as well."""
    backbone = tiny_backbone()
    if prior == "pi_clip" and clip is None:
        clip = ClipPriors(tiny_clip(), ClipPriorConfig.preset("scenes"))
    small = {"reduce_dim": 8, "dim": 16} if name == "hdmnet" else {"dim": 8}
    base = None if name == "pfenet" else learner(backbone, BASE_CLASSES, 16)
    options = {**small, "shot": shot, **changes}
    return build_method(name, backbone, "scenes", prior, clip=clip, base=base, **options)


def learner(backbone, classes, dim: int = 512) -> BaseLearner:
    """A base learner with random weights."""
    config = BaseLearnerConfig.preset("scenes", dim=dim)
    return BaseLearner(backbone, classes, config)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_base_learner_loads_official_keys(prefix):
    state = manifest("pspnet_base_resnet50_pascal", prefix)
    model = BaseLearner(build_backbone("resnet50-v2", "random"), range(1, 16))
    load_official(model, state)
    assert torch.equal(model.head.classify[2].bias, state[prefix + "cls.4.bias"])
    assert model.class_ids.tolist() == list(range(1, 16))


@pytest.mark.parametrize(
    ("name", "classes", "shot"),
    [("bam_resnet50_1shot_coco", 60, 1), ("bam_resnet50_5shot_pascal", 15, 5)],
)
def test_bam_loads_official_keys(name, classes, shot):
    state = manifest(name, "module.")
    config = BAMConfig.preset("paper", shot=shot)
    backbone = build_backbone("resnet50-v2", "random")
    model = BAM(backbone, learner(backbone, range(1, classes + 1)), config)
    load_official(model, state)
    assert torch.equal(model.aspp.branches[3][0].bias, state["module.ASPP_meta.layer6_3.0.bias"])
    assert torch.equal(model.ensemble.cls_merge.weight, state["module.cls_merge.weight"])
    assert torch.equal(model.base.classify[2].bias, state["module.learner_base.1.4.bias"])
    if shot == 1 and classes == 60:
        trained = [p for n, p in model.named_parameters() if n.split(".")[0] not in model.frozen]
        assert sum(p.numel() for p in trained) == 4_917_254


@pytest.mark.parametrize(
    ("name", "classes", "shot"),
    [("hdmnet_resnet50_1shot_coco", 60, 1), ("hdmnet_resnet50_5shot_pascal", 15, 5)],
)
def test_hdmnet_loads_official_keys(name, classes, shot):
    state = manifest(name)
    backbone, config = (
        build_backbone("resnet50-v2", "random"),
        HDMNetConfig.preset("paper", shot=shot),
    )
    model = HDMNet(backbone, learner(backbone, range(1, classes + 1)), config)
    load_official(model, state)
    assert torch.equal(model.base.classify[2].bias, state["base_learnear.2.bias"])
    assert torch.equal(model.merge_query[0].weight, state["query_merge.0.weight"])


@pytest.mark.parametrize(
    ("name", "shot", "width", "side"),
    [
        ("piclip_resnet50_5shot_pascal", 5, 768, 224),
        ("piclip_tinyclip_fixture_1shot", 1, 32, 64),
    ],
)
def test_pi_clip_loads_official_keys(name, shot, width, side):
    state, wide = manifest(name), width == 768
    text = {"context_length": 77, "vocab_size": len(state["clip_model.token_embedding.weight"])}
    depth = {
        tower: len(
            {key.split("resblocks.")[1].split(".")[0] for key in state if key.startswith(tower)}
        )
        for tower in ("clip_model.transformer.", "clip_model.visual.transformer.")
    }
    text |= {"width": 512 if wide else 32, "heads": 8 if wide else 2}
    text["layers"], blocks = depth.values()
    model = CLIP(512 if wide else 24, vision(blocks, width, side), text, quick_gelu=True)
    clip = ClipPriors(
        ClipViT(model, numbered, positions="bilinear"), ClipPriorConfig.preset("official")
    )
    config = HDMNetConfig.preset("official", shot=shot)
    backbone = build_backbone("resnet50-v2", "random")
    prior = ClipPrior(clip, **HDMNet.prior_options["pi_clip"])
    network = HDMNet(backbone, learner(backbone, range(1, 16)), config, prior)
    load_official(network, state)
    assert network.merge_query[0].in_channels == (516 if shot == 1 else 524)
    assert network.decoder.merge[0][0].in_channels == (68 if shot == 1 else 76)
    assert torch.equal(clip.encoder.model.logit_scale, state["clip_model.logit_scale"])


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize(("prior", "shot"), [("own", 1), ("own", 3), ("pi_clip", 3), ("none", 1)])
def test_each_base_with_each_prior_predicts_and_trains_its_head(name, prior, shot):
    model = build(name, prior, shot).train()
    episodes = random_episodes(batch=2, shot=shot, size=65)
    prediction = model(episodes)
    assert prediction.logits.shape == (2, 2, 65, 65)
    assert torch.isfinite(prediction.logits).all()
    maps = {"own": {"pfenet": 1, "bam": 1, "hdmnet": 2}[name], "none": 0}
    maps["pi_clip"] = 2 + 2 * shot if name == "hdmnet" else 1 + shot  # as their authors have it
    assert prediction.maps["prior"].shape[1] == maps[prior]
    assert ("vtp" in prediction.maps) == (prior == "pi_clip")
    sum(model.loss(prediction, episodes).values()).backward()
    for key, parameter in model.named_parameters():
        assert (parameter.grad is not None) == (key in model.head_state()), key


@pytest.mark.parametrize("heads", [(1,), (2, 4), (1, 2, 4, 16)])
def test_hdmnet_matches_on_as_many_grids_as_it_is_given_heads(heads):
    model = build("hdmnet", heads=heads, reductions=(1,) * len(heads), match_heads=4).train()
    episodes = random_episodes(batch=2, shot=1, size=65)
    prediction = model(episodes)
    assert len(model.decoder.levels) == len(heads)
    assert model.decoder.match[0].attention.heads == 4
    sum(model.loss(prediction, episodes).values()).backward()
    assert all(p.grad is not None for p in model.decoder.parameters())


def test_grids_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"heads=\(2, 4\), reductions=\(4, 2, 1\)"):
        build("hdmnet", heads=(2, 4))
    with pytest.raises(ValueError, match="dim=16 cannot be divided among 3 heads"):
        build("hdmnet", heads=(3,), reductions=(1,))


@pytest.mark.parametrize("name", BASES)
def test_a_head_travels_without_what_is_frozen(name):
    model = build(name, "pi_clip")
    state = model.head_state()
    assert not {part for key in state for part in key.split(".")} & {"backbone", "base", "clip"}
    other = build(name, "pi_clip")
    other.load_head_state(state)
    own, others = model.head_state(), other.head_state()
    assert all(torch.equal(own[key], others[key]) for key in own)


def test_prior_and_clip_must_fit():
    with pytest.raises(ValueError, match="'pfenet' with prior='pi_clip' needs clip=, ClipPriors"):
        build_method("pfenet", tiny_backbone(), "scenes", "pi_clip")
    clip = ClipPriors(tiny_clip())
    with pytest.raises(ValueError, match="'pfenet' does not read clip=; leave it out"):
        build("pfenet", "own", clip=clip)
    with pytest.raises(ValueError, match="prior='other': expected one of"):
        build("bam", "other")


@pytest.mark.parametrize("name", ["bam", "hdmnet"])
def test_other_shots_than_built_for_are_refused(name):
    with pytest.raises(ValueError, match=r"3 supports and this .* was built for 1"):
        build(name)(random_episodes(batch=1, shot=3, size=33))


def test_a_base_class_is_not_held_against_itself():
    model = build("bam").eval()
    episodes = random_episodes(batch=1, shot=1, size=33)
    assert model.own_class(torch.tensor([9, 2]), 2).tolist() == [3, 0]
    known = model(episodes).maps["known"]
    episodes.class_ids.fill_(2)  # no base class: all of them are known
    assert (model(episodes).maps["known"] > known).any()


def test_the_base_learner_stays_as_it_is_while_the_method_trains():
    model = build("hdmnet").train()
    before = {key: value.clone() for key, value in model.base.state_dict().items()}
    episodes = random_episodes(batch=2, shot=1, size=33)
    sum(model.loss(model(episodes), episodes).values()).backward()
    assert all(torch.equal(value, before[key]) for key, value in model.base.state_dict().items())


@pytest.mark.parametrize("name", ["bam", "hdmnet"])
def test_without_its_ensemble_the_meta_learner_answers_and_learns_alone(name):
    episodes = random_episodes(batch=2, shot=1, size=33)
    whole, alone = build(name).eval(), build(name, ensemble=False).eval()
    alone.load_head_state(whole.head_state())
    prediction, prediction_alone = whole(episodes), alone(episodes)
    assert torch.equal(prediction_alone.logits, prediction.auxiliary_logits[0])
    assert not torch.equal(prediction_alone.logits, prediction.logits)
    losses, losses_alone = whole.loss(prediction, episodes), alone.loss(prediction_alone, episodes)
    assert set(losses) - set(losses_alone) == {"main"}
    assert all(torch.equal(losses[key], loss) for key, loss in losses_alone.items())


def test_official_shot_weights_of_hdmnet_are_not_trained():
    fixed, official = build("hdmnet", shot=3), build("hdmnet", shot=3, unsort="official")
    assert all(p.requires_grad for p in fixed.shot_weights.parameters())
    assert not any(p.requires_grad for p in official.shot_weights.parameters())


@pytest.mark.parametrize("name", ["prior_threshold", "prototype", "all_foreground", "clip_prior"])
def test_baselines_by_name_predict_any_shot(name):
    clip = ClipPriors(tiny_clip(), ClipPriorConfig.preset("scenes"))
    method = build_method(name, tiny_backbone(), clip=clip if name == "clip_prior" else None)
    for shot in (1, 3):
        prediction = method(random_episodes(batch=2, shot=shot, size=65))
        assert prediction.logits.shape == (2, 2, 65, 65)
    assert not method.trainable


def test_parts_that_are_missing_are_named():
    with pytest.raises(ValueError, match="'bam' needs base=, a trained base learner"):
        build_method("bam", tiny_backbone(), "scenes")
    with pytest.raises(ValueError, match="'clip_prior' needs clip="):
        build_method("clip_prior", tiny_backbone())
    with pytest.raises(ValueError, match="expected one of"):
        build_method("unet", tiny_backbone())


def test_a_head_beside_the_shipped_ones_loads_by_its_name(tmp_path, monkeypatch):
    for suffix in (".safetensors", ".json"):
        shutil.copy(shipped.base_path(0).with_suffix(suffix), tmp_path)
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    with pytest.raises(WeightsError, match=r"no head 'hdmnet-scenes10i-f0'.*base-scenes10i-f0"):
        shipped.load_shipped(0, "hdmnet")
    backbone = build_backbone("scenes-resnet", "scenes")
    base = shipped.load_base_learner(backbone, shipped.base_path(0), "scenes")
    torch.manual_seed(3)
    made = build_method("hdmnet", backbone, "scenes", base=base).eval()
    shipped.save_head(made, shipped.shipped_path(0, "hdmnet"), {"run": "a test"})
    loaded = shipped.load_shipped(0, "hdmnet")
    assert shipped.shipped_card(0, "hdmnet") == {"run": "a test"}
    assert not loaded.training
    for name, values in made.head_state().items():
        if values.is_floating_point():
            torch.testing.assert_close(loaded.head_state()[name], values, atol=1e-3, rtol=1e-3)
