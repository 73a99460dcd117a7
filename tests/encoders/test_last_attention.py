"""CLIP's last attention against the recorded codes of NACLIP, SCLIP, ClearCLIP and ProxyCLIP."""

import pytest
import torch
from golden import assert_near, golden, prefixed
from open_clip import CLIP
from safetensors.torch import save_file

from fsslib.config import ConfigError
from fsslib.encoders.attention_config import AttentionConfig
from fsslib.encoders.clip import resize_positions
from fsslib.encoders.clip_attention import block_attention, heads_of, residual_path
from fsslib.encoders.clip_gradients import class_gradients, trunk
from fsslib.encoders.clip_loading import load_clip
from fsslib.encoders.clip_vit import ClipViT
from fsslib.encoders.dino import load_dino
from fsslib.encoders.last_attention import attention_weights, last_block, neighbourhood
from fsslib.encoders.proxy import DinoFeatures, LastAttention, proxy_scores, proxy_weights
from fsslib.encoders.timm_vit import build_timm_vit

KINDS = tuple(AttentionConfig.presets())


def recorded_clip(weights: dict[str, torch.Tensor]) -> ClipViT:
    """The recorded image tower of three blocks beside a text tower that nobody asks."""
    model = CLIP(
        12,
        {"layers": 3, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 32},
        {"context_length": 4, "vocab_size": 8, "width": 8, "heads": 1, "layers": 1},
        quick_gelu=True,
    )
    visual = {f"visual.{name}": value for name, value in weights.items()}
    missing, unexpected = model.load_state_dict(visual, strict=False)
    assert not unexpected and not any(name.startswith("visual.") for name in missing)
    return ClipViT(model, tokenizer=list, name="recorded", positions="scaled").freeze()


def leaving(encoder: ClipViT, images: torch.Tensor, text: str) -> torch.Tensor:
    """All tokens in the text space, class token first."""
    config = AttentionConfig.parse("attention", text)
    hidden = encoder.entering_last(images, normalised=True)
    tokens = last_block(encoder.blocks[-1], hidden, encoder.grid(images.shape[-2:]), config)
    return encoder.visual.ln_post(tokens) @ encoder.visual.proj


RECORDED = {
    "reduced_naclip": "naclip",
    "vanilla_naclip": "naclip arch=vanilla",
    "reduced_kk": "kk",
    "vanilla_kk": "kk arch=vanilla",
    "reduced_vanilla": "clip arch=reduced",
    "vanilla_vanilla": "clip",
    "vanilla_csa": "sclip",
    "sclip": "sclip",
    "clearclip_repo_ClearCLIP_no_residual": "clearclip",
    "clearclip_repo_ClearCLIP_residual": "clearclip arch=vanilla",
    "clearclip_repo_SCLIP_no_residual": "sclip arch=reduced",
    "clearclip_repo_SCLIP_residual": "sclip",
    "clearclip_repo_MaskCLIP_no_residual": "maskclip",
    "clearclip_repo_MaskCLIP_residual": "residual",
    "clearclip_repo_vanilla_no_residual": "clip arch=reduced",
    "clearclip_repo_vanilla_residual": "clip",
}


@pytest.mark.parametrize("key", RECORDED)
def test_recorded_kinds(key):
    case = golden("frontier/clip_last_attention")
    encoder = recorded_clip(prefixed(case, "w."))
    assert_near(leaving(encoder, case["images"], RECORDED[key]), case[key], 5e-5)


def test_recorded_parts():
    case = golden("frontier/clip_last_attention")
    encoder, images = recorded_clip(prefixed(case, "w.")), case["images"]
    hidden = encoder.entering_last(images, normalised=True)
    assert_near(hidden, case["entering_last"], 5e-5)
    grid = encoder.grid(images.shape[-2:])
    positions = resize_positions(encoder.visual.positional_embedding, grid, "scaled")
    assert_near(positions, case["positions"], 1e-6)
    assert_near(neighbourhood(grid, case["gaussian_std"].item()), case["omega"], 1e-6)
    block = encoder.blocks[-1]
    query, key, _ = heads_of(block.attn, block.ln_1(hidden))
    weights = attention_weights(query, key, grid, AttentionConfig.preset("naclip"))
    assert_near(weights.flatten(0, 1), case["attention_naclip"], 5e-5)
    # The code's mean of lengths is over a batch of one.
    alone = leaving(encoder, images[:1], "nonly")
    assert_near(alone, case["reduced_nonly_first"], 5e-5)
    assert_near(leaving(encoder, images, "nonly")[:1], alone, 1e-6)


def test_recorded_neighbourhoods():
    case = golden("frontier/naclip_windows")
    names = [key.removeprefix("window_") for key in case if key.startswith("window_")]
    assert len(names) == 3
    for name in names:
        shape, sigma = name.split("_")
        rows, columns = (int(side) for side in shape.split("x"))
        assert_near(neighbourhood((rows, columns), float(sigma)), case[f"omega_{name}"], 1e-6)
        wide = neighbourhood((2 * rows - 1, 2 * columns - 1), float(sigma))[1:, 1:]
        middle = wide[len(wide) // 2].view(2 * rows - 1, 2 * columns - 1)
        assert_near(middle, case[f"window_{name}"], 1e-6)


@pytest.mark.parametrize("case", ["same_grid", "finer"])
def test_recorded_proxy(case):
    arrays = golden("frontier/proxyclip_attention")
    encoder, of = recorded_clip(prefixed(arrays, "w.")), prefixed(arrays, f"{case}/")
    beta, gamma = of["beta"].item(), of["gamma"].item()
    config = AttentionConfig.preset("proxy", beta=beta, gamma=gamma)
    scores = proxy_scores(of["features"], config)
    assert torch.equal(scores.isneginf(), of["similarity"].isneginf())
    finite = ~scores.isneginf()
    assert_near(scores[finite], of["similarity"][finite], 5e-5)
    assert_near(proxy_weights(of["features"], config), of["attention"], 5e-5)
    chosen = LastAttention(config, lambda images: of["features"])
    dense = encoder.attending(chosen).dense(of["images"], normalised=True)
    assert dense.shape[-2:] == of["features"].shape[-2:]
    assert_near(dense.flatten(2).mT, of["tokens"], 5e-5)


@pytest.fixture(scope="module")
def clip():
    return load_clip("scenes-clip-vit")


@pytest.fixture(scope="module")
def pictures():
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(2, 3, 5, 8, generator=generator)
    large = torch.nn.functional.interpolate(small, (40, 64), mode="bilinear")
    return (255 * large).byte()


def test_nothing_said_is_what_it_was(clip, pictures):
    hidden = clip.entering_last(pictures, normalised=False)
    expected = clip._cells(residual_path(clip.blocks[-1], hidden), (5, 8))
    assert torch.equal(clip.dense(pictures), expected)
    assert torch.equal(clip.dense(pictures, variant="residual"), expected)
    assert torch.equal(clip.pooled_and_dense(pictures)[1], expected)
    assert torch.equal(clip.tapped_and_dense(pictures)[1], expected)
    pairs = (("value", "maskclip"), ("attention", "clip"))
    for old, new in pairs:
        same = [clip.dense(pictures, variant=name) for name in (old, new)]
        assert torch.equal(*same)


@pytest.mark.parametrize("kind", KINDS)
def test_every_reader_gets_it(clip, pictures, kind):
    other = clip.attending(kind)
    dense = other.dense(pictures)
    assert dense.shape == (2, 128, 5, 8) and dense.isfinite().all()
    assert torch.equal(dense, other.tapped_and_dense(pictures)[1])
    assert torch.equal(dense, other.pooled_and_dense(pictures)[1])
    assert torch.equal(other.encode_image(pictures), clip.encode_image(pictures))
    normalised = other.dense(clip.preprocess(pictures), normalised=True)
    assert_near(normalised, dense, 1e-4)  # a proxy's pictures are made of the normalised ones


def test_each_picture_by_itself(clip, pictures):
    for kind in KINDS:
        other = clip.attending(kind)
        alone = torch.cat([other.dense(picture[None]) for picture in pictures])
        assert_near(other.dense(pictures), alone, 1e-4)


def test_keys_and_texts_tell_attentions_apart(clip):
    texts = ("naclip", "naclip sigma=1", "naclip arch=vanilla", "proxy", "proxy centred=false")
    keys = [clip.digest, *(clip.attending(text).digest for text in texts)]
    assert len(set(keys)) == len(keys)
    assert clip.attending(None).digest == clip.digest
    same = ("naclip sigma=1", "kk scores=kk+omega sigma=1", "clip scores=kk+omega sigma=1.0")
    spelled = {clip.attending(f"{text} arch=reduced").last.spelled for text in same}
    assert len(spelled) == 1
    assert AttentionConfig.parse("attention", spelled.pop()).sigma == 1


def test_proxy_rows_without_a_score_keep_to_themselves():
    alike = torch.ones(1, 4, 2, 3)
    config = AttentionConfig.preset("proxy")
    assert proxy_scores(alike, config).isneginf().all()  # what the released code makes NaN of
    assert torch.equal(proxy_weights(alike, config)[0], torch.eye(6))
    odd = alike.clone()
    odd[0, :, 0, 0] = torch.tensor([1.0, -1.0, 1.0, -1.0])
    weights = proxy_weights(odd, config)
    assert weights.isfinite().all()
    assert_near(weights.sum(-1), torch.ones(1, 6), 1e-6)


def test_a_proxys_mean_is_its_pictures_unless_official():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 6, 3, 4, generator=generator)
    features[1] += 2
    ours, code = (
        proxy_scores(features, AttentionConfig.preset("proxy", official=official))
        for official in (False, True)
    )
    alone = torch.cat(
        [proxy_scores(each[None], AttentionConfig.preset("proxy")) for each in features]
    )
    assert torch.equal(ours, alone) and not torch.equal(code, alone)


def test_oblong_pictures_are_not_transposed_unless_official(clip, pictures):
    """With a weight of one on itself every cell keeps its value, wherever the picture is long."""
    eye = AttentionConfig.preset("proxy", gamma=1e6)
    marks = torch.eye(40).unflatten(1, (5, 8))[None].expand(2, -1, -1, -1)  # cells all unlike
    untransposed = clip.attending(LastAttention(eye, lambda images: marks)).dense(pictures)
    assert_near(untransposed, clip.dense(pictures, variant="maskclip"), 1e-4)
    official = AttentionConfig.preset("proxy", gamma=1e6, official=True)
    transposed = clip.attending(LastAttention(official, lambda images: marks)).dense(pictures)
    assert (transposed - untransposed).abs().max() > 0.1
    square = pictures[..., :40]
    marks = torch.eye(25).unflatten(1, (5, 5))[None].expand(2, -1, -1, -1)
    both = [clip.attending(LastAttention(each, lambda _: marks)) for each in (eye, official)]
    assert torch.equal(*(each.dense(square) for each in both))


def test_any_grid_features_serve_as_proxy(clip, pictures):
    dino = load_dino("scenes-dino")
    tokens = DinoFeatures(dino)(pictures)
    assert tokens.shape == (2, dino.width, 5, 8)
    assert_near(tokens.mean((2, 3)), torch.zeros(2, dino.width), 1e-5)
    assert DinoFeatures(dino, centred=False)(pictures).mean((2, 3)).abs().max() > 0.1
    assert_near(DinoFeatures(dino, "k")(pictures), dino.facet(pictures, "k"), 1e-6)
    config = AttentionConfig.preset("proxy")
    finer = LastAttention(config, lambda images: images[..., ::4, ::4].float())
    assert clip.attending(finer).dense(pictures).shape == (2, 128, 10, 16)
    vanilla = LastAttention(AttentionConfig.preset("proxy", arch="vanilla"), finer.features)
    assert clip.attending(vanilla).dense(pictures).shape == (2, 128, 10, 16)
    with pytest.raises(ValueError, match="scores='proxy'"):
        LastAttention(config)
    with pytest.raises(ValueError, match="proxy_weights"):
        last_block(clip.blocks[-1], torch.zeros(1, 41, 128), (5, 8), config)


def test_vits_of_timm_are_proxies_by_name(clip, pictures, tmp_path):
    """DINOv2's ViT-S/14 with registers, random: its own grid, with no register among the cells."""
    torch.manual_seed(0)
    name = "timm/vit_small_patch14_reg4_dinov2"
    encoder = build_timm_vit(name, "random")
    path = tmp_path / "vit.safetensors"
    save_file(encoder.model.state_dict(), path)
    text = f"proxy proxy={name} proxy_weights={path}"
    other = clip.attending(text)
    rows, columns = (max(1, round(side / 14)) for side in pictures.shape[-2:])
    assert other.dense(pictures).shape == (2, 128, rows, columns)
    by_hand = LastAttention(AttentionConfig.preset("proxy"), encoder)
    assert torch.equal(other.dense(pictures), clip.attending(by_hand).dense(pictures))
    centred = clip.attending(f"{text} centred=true").last.features(pictures)
    assert_near(centred.mean((2, 3)), torch.zeros(2, 384), 1e-5)
    assert other.digest not in (clip.digest, clip.attending("proxy").digest)
    with pytest.raises(ValueError, match="facet='k'"):
        clip.attending(f"{text} facet=k")
    with pytest.raises(ValueError, match="encoder='nothing': expected one of"):
        clip.attending("proxy proxy=nothing")


def test_any_encoder_of_cells_is_a_proxy_by_name(clip, pictures):
    assert clip.attending("proxy proxy=scenes-resnet").dense(pictures).isfinite().all()


@pytest.mark.parametrize("kind", ["clip", "residual", "naclip", "proxy"])
def test_pi_clips_gradients_go_through_it(clip, pictures, kind):
    other, text = clip.attending(kind), clip.encode_text(["key", "mug"], "plain")
    passes = trunk(other, pictures, attention=2, whole=True)
    hidden = other.entering_last(pictures, normalised=False)
    expected, _ = other.leaving_last(hidden, pictures, normalised=False)
    assert_near(passes.tokens, expected, 1e-5)
    prompts = text[None].expand(2, -1, -1)
    gradients = class_gradients(other, trunk(other, pictures, attention=2), prompts, 50.0, pictures)
    assert_near(gradients.tokens, expected, 1e-4)
    plain = class_gradients(clip, trunk(clip, pictures, attention=2), prompts, 50.0)
    assert_near(gradients.attention, plain.attention, 1e-5)  # PIR's affinity stays the block's own
    difference = (gradients.gradients - plain.gradients).abs().max() / plain.gradients.abs().max()
    assert (difference < 1e-4) == (kind == "clip")
    with pytest.raises(ValueError, match="images="):
        class_gradients(other, passes, prompts)


def test_attention_maps_are_the_kinds_rows(clip, pictures):
    block, hidden = clip.blocks[-1], clip.entering_last(pictures, normalised=False)
    query, key, _ = heads_of(block.attn, block.ln_1(hidden))
    weights = attention_weights(query, key, (5, 8), AttentionConfig.preset("clip"))
    assert_near(weights.mean(1), block_attention(block, hidden), 1e-5)
    for kind in KINDS:
        config = AttentionConfig.preset(kind)
        if config.scores in ("identity", "proxy"):
            with pytest.raises(ValueError, match="not made of queries"):
                attention_weights(query, key, (5, 8), config)
            continue
        rows = attention_weights(query, key, (5, 8), config).sum(-1)
        total = 2.0 if kind == "sclip" else 1.0
        assert_near(rows, torch.full_like(rows, total), 1e-5)


def test_a_resnet_has_maskclip_alone():
    plain, same = load_clip("scenes-clip-rn"), load_clip("scenes-clip-rn", attention="maskclip")
    assert plain.digest == same.digest
    with pytest.raises(ConfigError, match="a ResNet's pool has 'maskclip' alone"):
        load_clip("scenes-clip-rn", attention="naclip")
    for wrong in ("naclipp", "naclip sigma=0", "naclip width=2", "proxy arch=thin"):
        with pytest.raises(ConfigError):
            load_clip("scenes-clip-vit", attention=wrong)
