"""CLIP encoders: shapes, sizes, what is refused, caching, loading from every kind of place."""

import open_clip
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from fsslib.encoders import WeightsError
from fsslib.encoders.clip_dense import denoise_prompts, score_map, smooth_keys
from fsslib.encoders.clip_loading import load_clip
from fsslib.encoders.clip_small import SMALL_CLIPS, small_clip
from fsslib.encoders.prompts import resolve_templates
from fsslib.encoders.tokenizer import UnknownWordError, WordTokenizer, vocabulary_of

WORDS = vocabulary_of(["a photo of a mug", "a bad photo of a key in the scene."])
IMAGES = torch.randint(256, (2, 3, 96, 96), dtype=torch.uint8)


@pytest.fixture(params=sorted(SMALL_CLIPS))
def encoder(request):
    torch.manual_seed(0)
    return small_clip(request.param, WORDS).freeze()


@pytest.mark.parametrize(("height", "width"), [(96, 96), (64, 128), (100, 97), (33, 50)])
def test_any_size_gives_a_map_and_an_embedding(encoder, height, width):
    images = torch.randint(256, (2, 3, height, width), dtype=torch.uint8)
    dense = encoder.dense(images)
    assert encoder.stride == 8
    assert dense.shape == (2, encoder.dim, height // 8, width // 8)
    assert encoder.encode_image(images).shape == (2, encoder.dim)


def test_images_are_normalised_exactly_once(encoder):
    inputs = encoder.preprocess(IMAGES)
    assert torch.equal(encoder.dense(IMAGES), encoder.dense(inputs, normalised=True))
    with pytest.raises(TypeError, match="normalised=True"):
        encoder.dense(inputs)
    with pytest.raises(TypeError, match="leave it out"):
        encoder.dense(IMAGES, normalised=True)
    white = torch.full((1, 3, 8, 8), 255, dtype=torch.uint8)
    expected = (1 - 0.485) / 0.229
    assert encoder.preprocess(white, "imagenet")[0, 0, 0, 0].item() == pytest.approx(expected)


def test_half_precision_stays_close(encoder):
    """Autocast, as on a GPU; here the CPU's bfloat16 of three digits."""
    exact = F.normalize(encoder.dense(IMAGES), dim=1)
    with torch.autocast("cpu", torch.bfloat16):
        rough = F.normalize(encoder.dense(IMAGES).float(), dim=1)
        pooled = encoder.encode_image(IMAGES)
    assert (exact * rough).sum(1).min() > 0.98
    assert torch.isfinite(pooled).all()


def test_batches_do_not_mix(encoder):
    for make in (encoder.dense, encoder.encode_image):
        alone = torch.cat([make(image[None]) for image in IMAGES])
        torch.testing.assert_close(make(IMAGES), alone, atol=2e-5, rtol=1e-4)


def test_images_equal_what_open_clip_computes(encoder):
    """At the training size of the ViT nothing is resized; the ResNet's pool is open_clip's own."""
    expected = encoder.model.encode_image(encoder.preprocess(IMAGES))
    torch.testing.assert_close(encoder.encode_image(IMAGES), expected, atol=2e-5, rtol=1e-4)


def test_pooled_and_dense_come_from_one_pass(encoder):
    pooled, dense = encoder.pooled_and_dense(IMAGES)
    torch.testing.assert_close(pooled, encoder.encode_image(IMAGES))
    torch.testing.assert_close(dense, encoder.dense(IMAGES))


def test_text_equals_what_open_clip_computes(encoder):
    tokens = encoder.tokenizer(["a photo of a mug", "a key"])
    expected = encoder.model.encode_text(tokens)
    torch.testing.assert_close(encoder.encode_tokens(tokens), expected, atol=2e-5, rtol=1e-4)


def test_variants_of_the_dense_path(encoder):
    kinds = ("value", "attention") if encoder.name.endswith("rn") else ("residual", "value")
    one, other = (encoder.dense(IMAGES, variant=kind) for kind in kinds)
    assert one.shape == other.shape and not torch.allclose(one, other)
    with pytest.raises(ValueError, match="'nothing'"):
        encoder.dense(IMAGES, variant="nothing")


def test_blocks_of_the_vit():
    torch.manual_seed(0)
    encoder = small_clip("scenes-clip-vit", WORDS).freeze()
    assert len(encoder.blocks) >= 8
    first, last = encoder.tokens(IMAGES, blocks=(0, -1))
    again = encoder.tokens(IMAGES, blocks=(-1, 0))
    assert torch.equal(again[0], last) and torch.equal(again[1], first)
    maps = encoder.attention(IMAGES, blocks=range(8))
    assert maps.shape == (2, 8, 145, 145)
    torch.testing.assert_close(maps.sum(-1), torch.ones(2, 8, 145))
    torch.testing.assert_close(
        encoder.attention(IMAGES, blocks=(3,))[:, 0], maps[:, 3], atol=1e-5, rtol=0
    )
    for wrong in ((8,), (-9,), ()):
        with pytest.raises(ValueError, match="blocks 0 to 7"):
            encoder.tokens(IMAGES, blocks=wrong)


def test_patches_of_the_vit_are_whole_ones_of_eight_pixels():
    torch.manual_seed(0)
    encoder = small_clip("scenes-clip-vit", WORDS).freeze()
    larger = torch.zeros(2, 3, 103, 97, dtype=torch.uint8)
    larger[:, :, :96, :96] = IMAGES
    assert encoder.grid(larger.shape[-2:]) == (12, 12)
    assert torch.equal(encoder.dense(larger), encoder.dense(IMAGES)), "the rest is cut"


def test_attention_maps_are_what_the_block_computes():
    """A block's output follows from its map of attention: the map is no by-product."""
    torch.manual_seed(0)
    encoder = small_clip("scenes-clip-vit", WORDS).freeze()
    (before,), (after,) = encoder.tokens(IMAGES, (2,)), encoder.tokens(IMAGES, (3,))
    block = encoder.blocks[3]
    inside = block.ln_1(before)
    queries, keys, values = F.linear(
        inside, block.attn.in_proj_weight, block.attn.in_proj_bias
    ).chunk(3, -1)
    heads = [t.unflatten(-1, (4, -1)).transpose(1, 2) for t in (queries, keys, values)]
    weights = (heads[0] @ heads[1].transpose(-1, -2) * 32**-0.5).softmax(-1)
    mixed = block.attn.out_proj((weights @ heads[2]).transpose(1, 2).flatten(2))
    hidden = before + mixed
    torch.testing.assert_close(after, hidden + block.mlp(block.ln_2(hidden)), atol=1e-5, rtol=1e-4)
    maps = encoder.attention(IMAGES, (3,))[:, 0]
    torch.testing.assert_close(maps, weights.mean(1), atol=1e-6, rtol=1e-4)


def test_blocks_built_for_the_old_layout_give_the_same():
    """open_clip 2 held tokens as (tokens, batch, c); the block's own flag says so."""
    torch.manual_seed(0)
    encoder = small_clip("scenes-clip-vit", WORDS).freeze()
    dense, maps = encoder.dense(IMAGES), encoder.attention(IMAGES, (0, -1))
    for block in encoder.blocks:
        block.attn.batch_first = False
    torch.testing.assert_close(encoder.dense(IMAGES), dense, atol=1e-4, rtol=1e-4)
    assert torch.allclose(encoder.attention(IMAGES, (0, -1)), maps, atol=1e-5)


def test_class_embeddings_are_unit_and_cached(encoder, tmp_path, monkeypatch):
    monkeypatch.setenv("FSSLIB_DATA", str(tmp_path))
    templates = ("a photo of a {}", "a bad photo of a {} in the scene.")
    text = encoder.encode_text(["mug", "key"], templates)
    torch.testing.assert_close(text.norm(dim=-1), torch.ones(2))
    (file,) = (tmp_path / "text").glob("*.safetensors")
    monkeypatch.setattr(encoder, "encode_tokens", None)
    assert torch.equal(encoder.encode_text(["mug", "key"], templates), text)
    file.write_bytes(b"half a file")
    with pytest.raises(TypeError):  # made again, by the method that is gone
        encoder.encode_text(["mug", "key"], templates)


def test_the_text_cache_knows_the_weights(encoder, tmp_path, monkeypatch):
    monkeypatch.setenv("FSSLIB_DATA", str(tmp_path))
    before = encoder.encode_text(["mug"], "photo")
    encoder.model.ln_final.bias += 1
    assert not torch.equal(encoder.encode_text(["mug"], "photo"), before)
    assert len(list((tmp_path / "text").iterdir())) == 2


def test_text_that_is_kept_is_never_in_half_precision(encoder, tmp_path, monkeypatch):
    plain = encoder.encode_text(["mug"], "photo", cache=False)
    monkeypatch.setenv("FSSLIB_DATA", str(tmp_path))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(encoder.encode_text(["mug"], "photo"), plain)


def test_bad_prompts_are_named(encoder):
    with pytest.raises(ValueError, match="give at least one class name"):
        encoder.encode_text([])
    with pytest.raises(ValueError, match="expected one of"):
        resolve_templates("imagnet")
    with pytest.raises(ValueError, match="exactly one"):
        resolve_templates(["a photo"])
    with pytest.raises(UnknownWordError, match="zebra"):
        encoder.encode_text(["zebra"], "photo")


def test_word_tokenizer():
    tokenizer = WordTokenizer(("a", "mug"), context_length=5)
    assert tokenizer(["A mug!", "a a a a a"]).tolist() == [[3, 1, 2, 4, 0], [3, 1, 1, 1, 4]]
    with pytest.raises(UnknownWordError, match="near 'mugs': mug"):
        tokenizer("a mugs")


def test_score_map_of_a_zero_cell_is_zero():
    dense = torch.zeros(1, 4, 1, 2)
    dense[..., 1] = 2.0
    scores = score_map(dense, F.normalize(torch.ones(3, 4), dim=-1))
    assert scores[0, 0].tolist() == [[0.0, pytest.approx(1.0)]]


def test_denoising_and_smoothing_leave_sure_maps_alone():
    scores = torch.eye(3)[None, :, None, :]  # three cells, each sure of one class
    assert torch.equal(denoise_prompts(scores, 0.5), scores)
    keys = torch.randn(1, 5, 1, 3)
    expected = (100 * scores).softmax(1)
    assert torch.equal(smooth_keys(scores, keys, threshold=0.9), expected)


# Where models come from ----------------------------------------------------------------------


def test_every_kind_of_local_file(tmp_path):
    torch.manual_seed(0)
    made = small_clip("scenes-clip-vit", WORDS)
    path = tmp_path / "mine.safetensors"
    facts = {"model": "scenes-clip-vit", "vocabulary": " ".join(WORDS)}
    state = {key: value.contiguous() for key, value in made.model.state_dict().items()}
    save_file(state, path, facts)
    encoder = load_clip("scenes-clip-vit", path)
    assert torch.equal(encoder.dense(IMAGES), made.freeze().dense(IMAGES))
    with pytest.raises(WeightsError, match="holds scenes-clip-vit, not scenes-clip-rn"):
        load_clip("scenes-clip-rn", path)
    path.write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="not a safetensors file"):
        load_clip("scenes-clip-vit", path)
    with pytest.raises(WeightsError, match="neither a file nor 'scenes'"):
        load_clip("scenes-clip-vit", tmp_path / "gone.safetensors")


@pytest.fixture
def tiny_architecture(monkeypatch):
    """A small architecture under a name of open_clip's, with and without QuickGELU."""
    settings = {
        "embed_dim": 16,
        "vision_cfg": {"layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"width": 32, "heads": 2, "layers": 1, "vocab_size": 49408},
    }
    registry = open_clip.factory._MODEL_CONFIGS
    monkeypatch.setitem(registry, "ViT-B-16", settings)
    monkeypatch.setitem(registry, "ViT-B-16-quickgelu", settings | {"quick_gelu": True})


def test_files_of_open_clip_and_of_openai(tiny_architecture, tmp_path):
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-16-quickgelu", load_weights=False)
    plain, jit = tmp_path / "plain.pt", tmp_path / "openai.pt"
    torch.save({"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, plain)
    torch.jit.save(torch.jit.script(Archive(model)), jit)
    images = torch.randint(256, (1, 3, 48, 64), dtype=torch.uint8)
    encoder = load_clip("ViT-B-16-quickgelu", plain)
    dense = encoder.dense(images)
    assert dense.shape == (1, 16, 3, 4)
    torch.testing.assert_close(load_clip("ViT-B-16-quickgelu", jit).dense(images), dense)
    with pytest.raises(WeightsError, match="use ViT-B-16-quickgelu"):
        load_clip("ViT-B-16", jit)
    with pytest.raises(WeightsError, match="does not fit"):
        torch.save({"state_dict": {"visual.proj": torch.zeros(2)}}, plain)
        load_clip("ViT-B-16-quickgelu", plain)


class Archive(torch.nn.Module):
    """What OpenAI's .pt files are: a scripted module with CLIP's tensors and three numbers."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        for name, child in model.named_children():
            setattr(self, name, Holder(child))
        for name in ("positional_embedding", "text_projection", "logit_scale"):
            self.register_buffer(name, getattr(model, name).detach())
        self.register_buffer("input_resolution", torch.tensor(224))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Holder(torch.nn.Module):
    """The tensors of a module tree, without its code."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        for name, child in module.named_children():
            setattr(self, name, Holder(child))
        for name, value in (*module.named_parameters(recurse=False),):
            self.register_buffer(name, value.detach())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_openai_weights_want_quickgelu(monkeypatch):
    monkeypatch.setattr(open_clip, "create_model", lambda *_, **__: pytest.fail("asked anyway"))
    with pytest.raises(WeightsError, match="use 'RN50-quickgelu'"):
        load_clip("RN50", "openai")
    with pytest.raises(WeightsError, match="use 'ViT-B-16'"):
        load_clip("ViT-B-16-quickgelu", "laion2b_s34b_b88k")


def test_no_network_is_one_clear_error(monkeypatch):
    def refuse(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(open_clip, "create_model", refuse)
    with pytest.raises(WeightsError, match=r"timm/vit_base.*599 MB.*pass its path.*scenes-clip-rn"):
        load_clip("ViT-B-16-quickgelu", "openai")


def test_unknown_names_and_tags():
    with pytest.raises(ValueError, match="ViT-B-17"):
        load_clip("ViT-B-17", "openai")
    with pytest.raises(WeightsError, match="neither a file nor a known tag"):
        load_clip("ViT-B-16", "laion3b")


def test_towers_without_dense_features_are_refused(monkeypatch):
    config = open_clip.get_model_config("coca_ViT-B-32")
    assert config is not None
    model = torch.nn.Module()
    model.visual = torch.nn.Identity()
    monkeypatch.setattr(open_clip, "create_model", lambda *_, **__: model)
    with pytest.raises(ValueError, match="ModifiedResNet"):
        load_clip("coca_ViT-B-32", "random")
