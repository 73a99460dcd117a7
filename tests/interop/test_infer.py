"""What released files are, inferred from keys and shapes alone."""

import pytest
import torch
from manifests import MANIFESTS, inferred, manifest

from fsslib.interop.checkpoint import read_checkpoint
from fsslib.interop.infer import infer
from fsslib.interop.other_files import recognise

DEEP, PLAIN = "resnet50-v2", "resnet50"
METHODS = {
    "asgnet_resnet50_pyramid": ("asgnet", DEEP, 1, None, ""),
    "bam_resnet50_1shot_coco": ("bam", DEEP, 1, 60, "own"),
    "bam_resnet50_1shot_pascal": ("bam", DEEP, 1, 15, "own"),
    "bam_resnet50_5shot_pascal": ("bam", DEEP, 5, 15, "own"),
    "hdmnet_resnet50_1shot_coco": ("hdmnet", DEEP, 1, 60, "own"),
    "hdmnet_resnet50_1shot_pascal": ("hdmnet", DEEP, 1, 15, "own"),
    "hdmnet_resnet50_5shot_pascal": ("hdmnet", DEEP, 5, 15, "own"),
    "hsnet_resnet101": ("hsnet", "resnet101", 1, None, ""),
    "hsnet_resnet50": ("hsnet", PLAIN, 1, None, ""),
    "hsnet_vgg16": ("hsnet", "vgg16", 1, None, ""),
    "pfenet_resnet50": ("pfenet", DEEP, 1, None, "own"),
    "piclip_resnet50_1shot_pascal": ("hdmnet", DEEP, 1, 15, "pi_clip"),
    "piclip_resnet50_5shot_pascal": ("hdmnet", DEEP, 5, 15, "pi_clip"),
    "piclip_tinyclip_fixture_1shot": ("hdmnet", DEEP, 1, 15, "pi_clip"),
    "pspnet_base_resnet50_coco": ("base_learner", DEEP, 1, 60, ""),
    "pspnet_base_resnet50_pascal": ("base_learner", DEEP, 1, 15, ""),
    "qgnet_resnet50": ("qgnet", DEEP, 1, None, "own"),
}
OTHERS = {
    "asgnet_resnet50_aspp": ("ASGNet with its ASPP decoder", "not built here"),
    "clip_dinoiser": ("CLIP-DINOiser's heads, for a CLIP of width 768", "heads=FILE"),
    "clip_vitb16_openai": ("a CLIP: ViT-B-16-quickgelu", 'clip="ViT-B-16-quickgelu weights=FILE"'),
    "imr_hsnet_resnet50": ("IMR-HSNet", "not built here"),
    "imr_hsnet_vgg16": ("IMR-HSNet", "not built here"),
    "moco_resnet50": ("query and key encoder, resnet50 (plain", "extractor_weights=FILE"),
    "open_clip_rn50_visual": ("image tower of a CLIP: RN50", "lacks the text tower"),
}


def test_every_released_file_is_told():
    assert set(MANIFESTS) == METHODS.keys() | OTHERS.keys()


@pytest.mark.parametrize("name", METHODS)
def test_a_method_and_its_settings_follow_from_the_shapes(name):
    best = inferred(name)
    actual = (best.method, best.backbone, best.shot, best.classes, best.prior)
    assert actual == METHODS[name]
    assert best.fits
    assert recognise(read_checkpoint(manifest(name))) is None
    assert best.benchmark == {15: "pascal5i", 60: "coco20i", None: None}[best.classes]


def test_further_settings_and_parts_show():
    hdmnet, qgnet = inferred("piclip_resnet50_5shot_pascal"), inferred("qgnet_resnet50")
    assert hdmnet.settings["reductions"] == (4, 2, 1)
    assert (hdmnet.settings["reduce_dim"], hdmnet.settings["dim"]) == (256, 64)
    assert hdmnet.brings == ("backbone", "clip", "base")
    assert hdmnet.facts.clip.name == "ViT-B-16-quickgelu"
    assert "the values of heads= (taken: (2, 4, 8))" in hdmnet.lacks
    assert any("fold= or class_ids=" in words for words in hdmnet.lacks)
    assert qgnet.settings == {"dim": 256, "projection": "conv3x3"}
    assert qgnet.brings == ("backbone", "extractor")
    assert qgnet.facts.extractor.name == PLAIN


@pytest.mark.parametrize("name", OTHERS)
def test_other_files_are_told_by_a_few_keys(name):
    about = recognise(read_checkpoint(manifest(name)))
    what, use = OTHERS[name]
    assert what in about.what
    assert use in about.use


def test_one_class_fits_and_the_others_are_ranked_after_it():
    file = infer(manifest("pfenet_resnet50"))
    assert [each.method for each in file.fitting] == ["pfenet"]
    assert file.candidates[1].method == "qgnet"  # whose backbone and decoder are the same
    assert len(file.candidates) == 7


def test_qgnet_without_projections_is_seen():
    state = {k: v for k, v in manifest("qgnet_resnet50").items() if "down_learn" not in k}
    best = infer(state).best
    assert best.fits
    assert best.settings["projection"] == "none"


def test_scales_of_another_number_are_counted_and_their_sizes_asked_for():
    state = manifest("pfenet_resnet50")
    remaining = {k: v for k, v in state.items() if not any(f"{n}.3." in k for n in _OF_SCALES)}
    remaining = {k: v for k, v in remaining.items() if not k.startswith("alpha_conv.2.")}
    remaining["res1.0.weight"] = torch.empty(256, 3 * 256, 1, 1, device="meta")
    best = infer(remaining).best
    assert best.fits
    assert best.facts.described()["scales"] == "3 scales"
    assert best.lacks == ("the values of scales=",)


_OF_SCALES = ("init_merge", "beta_conv", "inner_cls")


def test_a_decoder_for_other_maps_is_a_prior_in_place_of_its_own():
    state = manifest("pfenet_resnet50")
    for scale in range(4):
        state[f"init_merge.{scale}.0.weight"] = torch.empty(256, 512 + 6, 1, 1, device="meta")
    best = infer(state).best
    assert (best.method, best.prior, best.shot) == ("pfenet", "pi_clip", 5)
    assert not best.fits  # PI-CLIP's files hold their CLIP
    assert best.comparison.missing[0].startswith("prior.clip.")


def test_a_backbone_that_has_no_name_is_described():
    state = {k.replace("layer3.5.", "layer3.6."): v for k, v in manifest("hsnet_resnet50").items()}
    assert infer(state).best.backbone is None
