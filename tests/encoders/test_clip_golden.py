"""The papers' own CLIP code, recorded: dense heads, positions, tokens, attention, text, prompts."""

import hashlib
import json

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from golden import GOLDEN, assert_near, golden, prefixed
from open_clip import CLIP
from open_clip.modified_resnet import AttentionPool2d, ModifiedResNet
from PIL import Image

from fsslib.data.transforms import resize_image, resize_label
from fsslib.encoders.clip import resize_positions
from fsslib.encoders.clip_dense import (
    denoise_prompts,
    probabilities,
    score_map,
    smooth_keys,
)
from fsslib.encoders.clip_gradients import class_gradients, trunk
from fsslib.encoders.clip_resnet import attention_path, attention_pool, value_path
from fsslib.encoders.clip_vit import ClipViT
from fsslib.encoders.prompts import TEMPLATES, class_words, prompt_ensemble
from fsslib.encoders.stages import IMAGENET_MEAN, IMAGENET_STD
from fsslib.priors.gradcam import grad_cam
from fsslib.priors.refinement import box_mask, high_order, mean_attention, refine, sinkhorn
from fsslib.priors.similarity import min_max


@pytest.fixture(scope="module")
def head() -> dict[str, torch.Tensor]:
    return golden("lfss/maskclip_dense_head")


@pytest.fixture(scope="module")
def pool(head: dict[str, torch.Tensor]) -> AttentionPool2d:
    module = AttentionPool2d(7, 32, int(head["num_heads"]), 16)
    state = {f"{n}_proj.{p}": head[f"{n}_proj_{p}"] for n in "qkvc" for p in ("weight", "bias")}
    module.load_state_dict(state | {"positional_embedding": head["positional_embedding"]})
    return module.requires_grad_(False)


def test_maskclip_head(head, pool) -> None:
    dense = value_path(pool, head["x"])
    assert_near(dense, head["dense_feat"], 1e-5)
    scores = score_map(dense, head["text"])
    assert_near(scores, head["logits_plain"], 1e-5)
    assert torch.equal(scores.argmax(1), head["argmax_plain"])
    up = F.interpolate(scores, (17, 23), mode="bilinear", align_corners=False)
    assert_near(up, head["upsampled_logits_17x23"], 1e-5)


def test_maskclip_options(head, pool) -> None:
    scores = head["logits_plain"]
    threshold = head["pd_thresh"].item()
    assert_near(probabilities(scores).amax((-2, -1)), head["pd_max_conf"], 1e-5)
    denoised = denoise_prompts(scores, threshold)
    assert_near(denoised, head["logits_pd"], 1e-5)
    assert (denoised == -100).any() and (denoised > -1).any()
    keys = F.conv2d(head["x"], pool.k_proj.weight[:, :, None, None], pool.k_proj.bias)
    assert_near(smooth_keys(scores, keys, 1.0, "official"), head["logits_ks"], 1e-5)
    assert_near(smooth_keys(scores, keys, 0.95, "official"), head["logits_ks_095"], 1e-5)
    assert_near(smooth_keys(denoised, keys, 1.0, "official"), head["logits_ks_pd"], 1e-5)
    sane = smooth_keys(scores, keys, 1.0)
    assert (sane - head["logits_ks"]).abs().max() > 1  # the quirk is no detail


def test_attention_pool_and_its_dense_twin(head, pool) -> None:
    assert_near(attention_pool(pool, head["x7"]), head["attnpool_x7"], 1e-5)
    assert_near(value_path(pool, head["x7"]), head["dense_x7"], 1e-5)
    scores = score_map(attention_path(pool, head["x"]), head["text"])
    assert_near(scores, head["logits_attn_pooling"], 1e-5)


def test_uniform_attention_pools_the_mean_of_the_dense_map(head) -> None:
    """LFSS spec a.1.3, with random weights and grids of several shapes."""
    torch.manual_seed(0)
    for grid in ((7, 7), (1, 1), (3, 9), (12, 12)):
        module = AttentionPool2d(7, 32, 4, 16)
        for projection in (module.q_proj, module.k_proj):
            torch.nn.init.zeros_(projection.weight)
            torch.nn.init.normal_(projection.bias)
        torch.nn.init.normal_(module.v_proj.bias)
        torch.nn.init.zeros_(module.positional_embedding)
        features = torch.randn(2, 32, *grid)
        pooled = attention_pool(module, features)
        assert_near(pooled, value_path(module, features).mean((-2, -1)), 1e-6)
    assert_near(head["attnpool_x7_qk0_pos0"], head["dense_x7"].mean((-2, -1)), 1e-6)


def test_stage_shapes_of_rn50() -> None:
    expected = json.loads((GOLDEN / "lfss/clip_rn50_stage_shapes.json").read_text())
    with torch.device("meta"):
        visual = ModifiedResNet([3, 4, 6, 3], output_dim=1024, heads=32)
        for size, shapes in expected.items():
            hidden = visual.stem(torch.empty(1, 3, int(size), int(size)))
            actual = [list(hidden.shape[1:])]
            for name in ("layer1", "layer2", "layer3", "layer4"):
                hidden = getattr(visual, name)(hidden)
                actual.append(list(hidden.shape[1:]))
            assert actual == shapes


def test_templates_are_maskclips() -> None:
    meta = json.loads((GOLDEN / "lfss/templates_meta.json").read_text())
    for name, key in (("maskclip", "85"), ("imagenet", "80")):
        digest = hashlib.sha256("\n".join(TEMPLATES[name]).encode()).hexdigest()
        assert digest == meta[f"sha256_of_{key}_joined_by_newline"]


def test_positions_of_pi_clip_are_bilinear() -> None:
    case = golden("pi_clip/pos_embed")
    for key, expected in prefixed(case, "out_").items():
        if key == "pos_embed":
            continue
        grid = tuple(int(n) for n in key.removesuffix("_fp16").split("x"))
        assert_near(resize_positions(case["pos_embed"], grid, "bilinear"), expected, 2e-4)


def test_positions_of_clip_dinoiser_are_bicubic() -> None:
    case = golden("dinoiser/01_pos_embed")
    for key in (key for key in case if key.startswith("out_")):
        grid = tuple(int(n) for n in key.removeprefix("out_").split("x"))
        assert_near(resize_positions(case["pos_embed"][0], grid, "bicubic"), case[key][0], 1e-6)


def tiny_pi_clip() -> ClipViT:
    """The recorded ten-block ViT and two-block text tower in one open_clip model."""
    vision = prefixed(golden("pi_clip/clip_tiny_vtp"), "w/")
    text = prefixed(golden("pi_clip/clip_tiny_text"), "w/")
    model = CLIP(
        24,
        {"layers": 10, "width": 32, "head_width": 16, "patch_size": 16, "image_size": 64},
        {"context_length": 77, "vocab_size": 200, "width": 32, "heads": 2, "layers": 2},
        quick_gelu=True,
    )
    model.load_state_dict({f"visual.{k}": v for k, v in vision.items()} | text)
    return ClipViT(model, tokenizer=list, name="tiny", positions="bilinear").freeze()


def test_tokens_and_attention_of_pi_clip() -> None:
    case, encoder = golden("pi_clip/clip_tiny_extract"), tiny_pi_clip()
    last, before = encoder.tokens(case["x"], blocks=(-1, -2), normalised=True)
    assert_near(last.transpose(0, 1), case["feat_last_LBC"], 2e-5)
    assert_near(before.transpose(0, 1), case["feat_penult_LBC"], 2e-5)
    maps = encoder.attention(case["x"], blocks=(-1, 0), normalised=True)
    assert_near(maps[:, 0], case["attn_last"], 2e-5)
    assert_near(maps[:, 1], case["attn_first"], 2e-5)


def test_text_tower_of_pi_clip() -> None:
    case, encoder = golden("pi_clip/clip_tiny_text"), tiny_pi_clip()
    embedded = encoder.encode_tokens(case["tokens"])
    assert_near(embedded, case["text_embed"], 2e-5)
    assert_near(F.normalize(embedded, dim=-1), case["text_embed_norm"], 2e-5)
    assert_near(prompt_ensemble(embedded[None, :3])[0], case["ensemble3_first3_tokens"], 2e-5)


def test_prompts_of_pi_clip_have_the_recorded_tokens() -> None:
    with np.load(GOLDEN / "pi_clip/text_tokens.npz") as case:
        tokenize = open_clip.get_tokenizer("ViT-B-16-quickgelu")
        for benchmark in ("voc", "coco"):
            names = class_words(case[f"{benchmark}_raw"].tolist(), "clip_es")
            assert names == case[f"{benchmark}_names"].tolist()
            for key, template in (("fg", "target"), ("bg", "non_target")):
                prompts = [TEMPLATES[template][0].format(name) for name in names]
                expected = case[f"{benchmark}_{key}"]
                assert np.array_equal(tokenize(prompts).numpy(), expected)


def test_image_resize_and_statistics_of_pi_clip() -> None:
    case = golden("pi_clip/preprocess")
    resized = resize_image(case["image"].permute(2, 0, 1).float(), 33, 33)
    assert_near(resized, case["x_cv2"], 1e-3)
    mean, std = (torch.tensor(v)[:, None, None] * 255 for v in (IMAGENET_MEAN, IMAGENET_STD))
    assert_near((resized - mean) / std, case["resized_norm"], 1e-4)
    assert torch.equal(resize_label(case["label"], 33, 33), case["resized_label"])


def test_prompt_ensembles_of_clip_dinoiser() -> None:
    case = golden("dinoiser/02_text_embed")
    for mode, templates in (("imagenet80", "imagenet"), ("laion2", "laion"), ("other1", "plain")):
        raw = case[f"{mode}.raw"]
        assert raw.shape[1] == len(TEMPLATES[templates])
        assert_near(prompt_ensemble(raw), case[f"{mode}.class_emb"], 1e-6)


def test_dense_features_of_clip_dinoiser() -> None:
    case = golden("dinoiser/03_maskclip_tiny")
    vision = {"layers": 4, "width": 32, "head_width": 16, "patch_size": 8}
    model = CLIP(16, vision | {"image_size": 32}, {"width": 32, "heads": 2, "layers": 1})
    model.visual.load_state_dict(prefixed(case, "sd.visual."))
    encoder = ClipViT(model, tokenizer=list, name="tiny").freeze()
    assert_near(encoder.inputs(case["image_norm"], normalised=True), case["image_norm"], 0)
    (entering,) = encoder.tokens(case["image_norm"], blocks=(-2,), normalised=True)
    assert_near(entering, case["in_last_block_BNC"], 2e-5)
    dense = encoder.dense(case["image_norm"], normalised=True)
    assert_near(dense, case["feats_proj"], 2e-5)
    scores = score_map(dense, case["class_embeddings"])
    assert_near(probabilities(scores), case["prob"], 1e-4)


TARGET_FIRST = [1, 0, 2, 3, 4, 5]  # recorded in the order of the classes' first appearance


@pytest.mark.parametrize("inference", [False, True])
def test_visual_text_prior_of_pi_clip_from_end_to_end(inference) -> None:
    """Prompts, gradients, CAM, attention, refinement and resizing, as recorded."""
    case, encoder = golden("pi_clip/clip_tiny_vtp"), tiny_pi_clip()
    recorded = prefixed(case, "nohalf/")
    height, width = case["orig_hw"].tolist()
    picture = Image.fromarray(case["x_cv2"].numpy())
    sides = [-(-side // 16) * 16 for side in (width, height)]
    resized = torch.from_numpy(np.array(picture.resize(sides, Image.Resampling.BICUBIC)))
    images = resized.permute(2, 0, 1)[None]
    assert_near(encoder.preprocess(images)[0], recorded["preprocessed"], 1e-5)

    with torch.inference_mode(inference):
        text = recorded["text_features"][None, TARGET_FIRST]
        scale = case["logit_scale"].exp().item()
        gradients = class_gradients(encoder, trunk(encoder, images), text, scale)
    assert_near(gradients.chances, recorded["probs"][:, TARGET_FIRST], 1e-4)
    assert_near(gradients.activations, recorded["activations"], 1e-4)
    cam = grad_cam(gradients.activations, gradients.gradients)
    assert_near(cam[0], recorded["cam"], 1e-3)
    affinity = mean_attention(gradients.attention[:, None], last=1)
    assert_near(affinity[0], recorded["attn_mean_last8"], 1e-5)
    matrix = high_order(sinkhorn(affinity), square=True)
    assert_near(matrix[0], recorded["R2"], 1e-5)
    boxes = box_mask(cam)
    assert torch.equal(boxes[0], recorded["box_mask"])
    refined = refine(cam, matrix, boxes)
    assert_near(refined[0], recorded["refined"], 1e-4)
    final = F.interpolate(min_max(refined)[:, None], (height, width), mode="bilinear")
    assert_near(final[0, 0], recorded["final_HW"], 5e-3)
    assert not any(p.grad is not None for p in encoder.parameters())


def test_two_prompts_and_batches_of_the_visual_text_prior() -> None:
    """The paper's two prompts, in one batch with a picture that has six."""
    case, encoder = golden("pi_clip/clip_tiny_vtp"), tiny_pi_clip()
    inputs = case["nohalf/preprocessed"][None].repeat(2, 1, 1, 1)
    target = case["query_class"].item()
    pair = torch.stack([case["fg_text"][target], case["bg_text"][target]])
    text = torch.zeros(2, 6, 24)
    text[0], text[1, :2] = case["nohalf/text_features"][TARGET_FIRST], pair
    scale = case["logit_scale"].exp().item()
    gradients = class_gradients(encoder, trunk(encoder, inputs, normalised=True), text, scale)
    assert_near(gradients.chances[1, :2], case["single/probs"][0], 1e-4)
    assert not gradients.chances[1, 2:].any()
    cams = grad_cam(gradients.activations, gradients.gradients)
    assert_near(cams[0], case["nohalf/cam"], 1e-3)
    assert_near(cams[1], case["single/cam"], 1e-2)
