"""Talk2DINO as a method: words asked of a random ViT-S/14 with registers; a file, or a refusal."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from stand_ins import random_episodes

from fsslib.config import ConfigError
from fsslib.encoders import talk2dino
from fsslib.encoders.clip_loading import load_clip
from fsslib.encoders.grid_encoders import build_grid_encoder
from fsslib.encoders.talk2dino import TextToDino
from fsslib.encoders.timm_vit import build_timm_vit
from fsslib.methods import build_method
from fsslib.methods.talk2dino import DinoWords
from fsslib.own_pictures.choice import talk_to_dino
from fsslib.own_pictures.segmenting import segment
from fsslib.runs.config import parse, run_id
from fsslib.runs.experiment import Experiment

VIT = "timm/vit_small_patch14_reg4_dinov2"


@pytest.fixture(scope="module")
def clip():
    return load_clip("scenes-clip-vit")


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return build_timm_vit(VIT, "random")


@pytest.fixture(scope="module")
def text_map():
    torch.manual_seed(0)
    return TextToDino((128, 32, 384))


@pytest.fixture
def file(text_map, tmp_path):
    path = tmp_path / "map.pth"
    torch.save(text_map.state_dict(), path)
    return path


def test_queries_and_keys_are_those_of_the_last_block(encoder):
    """Attention by hand on them is what the block itself puts on the class token."""
    images = torch.randint(256, (2, 3, 56, 42), dtype=torch.uint8)
    inputs = encoder.preprocess(images)
    query, key, value = encoder.qkv(inputs)
    assert query.shape == (2, 6, 5 + 4 * 3, 64)
    block, outputs = encoder.model.blocks[-1], []
    block.attn.register_forward_hook(lambda layer, arguments, out: outputs.append(out))
    encoder.model.forward_features(inputs)
    block.attn._forward_hooks.clear()
    mixed = (query @ key.mT * 64**-0.5).softmax(-1) @ value
    expected = block.attn.proj(mixed.transpose(1, 2).flatten(2))
    torch.testing.assert_close(expected, outputs[0], atol=1e-4, rtol=0)
    for other in ("timm/vit_small_patch16_dinov3", "timm/vit_small_patch14_dinov2"):
        block = 0 if other.endswith("v2") else -1
        with pytest.raises(ValueError, match="plain ViTs, from their second block on"):
            build_timm_vit(other, "random", block).qkv(inputs)


@pytest.mark.parametrize("cleaning", [0.0, 0.2])
def test_words_are_asked_of_cells(clip, encoder, text_map, cleaning):
    words = DinoWords(clip, text_map)
    method = build_method(
        "talk2dino", encoder=encoder, dino_words=words, size=56, cleaning=cleaning
    )
    episodes = replace(random_episodes(2, 1, 56, way=2), class_names=(("mug", "fish"),) * 2)
    answer = method(episodes)
    assert answer.logits.shape == (len(episodes), 3, *episodes.query_mask.shape[-2:])
    assert (answer.logits[:, 0] == talk2dino.BACKGROUND).all()
    features = encoder(episodes.query_image[:1], size=56)
    text = words(episodes.class_names[0])
    prompts = [t.format(episodes.class_names[0][1]) for t in words.templates]
    raw = clip.encode_tokens(clip.tokenizer(prompts))  # not of unit length
    torch.testing.assert_close(text[1:], text_map(raw[None]), atol=1e-5, rtol=0)
    cosines = talk2dino.similarity(features, text)
    torch.testing.assert_close(answer.maps["similarity"][:1], cosines, atol=1e-5, rtol=0)
    soft = answer.maps["soft"][:1]
    if not cleaning:
        torch.testing.assert_close(soft, cosines.sigmoid(), atol=1e-5, rtol=0)
        return
    qkv = encoder.qkv(encoder.preprocess(encoder.fit(episodes.query_image[:1], 56)))
    looks = talk2dino.class_attention_logits(qkv, 5)
    cleaned = talk2dino.clean_background(cosines.sigmoid(), features, looks, text, cleaning)
    torch.testing.assert_close(soft, cleaned, atol=1e-5, rtol=0)
    assert (soft - cosines.sigmoid()).abs().max() > 1e-3


def test_widths_that_do_not_fit_are_told(clip, encoder):
    with pytest.raises(ConfigError, match="texts of 512 numbers, scenes-clip-vit gives 128"):
        DinoWords(clip, TextToDino((512, 384)))
    words = DinoWords(clip, TextToDino((128, 768)))
    with pytest.raises(ConfigError, match=r"space of 768 channels.*has 384; name the encoder"):
        build_method("talk2dino", encoder=encoder, dino_words=words)
    words = DinoWords(clip, TextToDino((128, 128)))
    embedded = build_grid_encoder("scenes-clip-vit")
    with pytest.raises(ConfigError, match=r"cleaning=0\.2: the class token's attention"):
        build_method("talk2dino", encoder=embedded, dino_words=words, preset="official")


def parameters(path=None, **changes):
    settings = {
        "method": "talk2dino",
        "encoder": f"{VIT} weights=random",
        "clip": "scenes-clip-vit",
    }
    return settings | ({"text_map": str(path)} if path else {}) | changes


def test_without_the_file_a_run_is_refused(file, tmp_path):
    with pytest.raises(ConfigError, match=r"text_map is not given.*no licence"):
        parse("evaluate", parameters()).require_files()
    with pytest.raises(ConfigError, match=r"text_map=.*no such file"):
        parse("evaluate", parameters(tmp_path / "none.pth")).require_files()
    with pytest.raises(ConfigError, match=r"text_map=.*reads none"):
        parse("evaluate", {"method": "gfsam_maps", "text_map": str(file)})
    config = parse("evaluate", parameters(file))
    config.require_files()
    assert config.class_names_read and config.guided_by == "word"
    assert run_id(config) != run_id(parse("evaluate", parameters()))


def test_a_run_names_what_the_map_is_under(file, tmp_path):
    changes = {"episodes": 2, "workers": 0, "way": 2, "method": "talk2dino size=56"}
    results = Experiment(
        parse("evaluate", parameters(file, **changes)), tmp_path / "run"
    ).evaluate()
    assert results["episodes"] == 2 and results["guidance"] == "word"
    assert "none given" in results["licences"]["text_map"]


def test_a_picture_by_a_word_alone(file):
    picture = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    way = talk_to_dino(file, f"{VIT} weights=random", "scenes-clip-vit")
    answer = segment(picture, class_name="mug", method=way, image_size=64)
    assert answer.method == "talk2dino" and answer.mask.shape == (50, 70)
    assert {"similarity", "soft"} <= answer.maps.keys()
