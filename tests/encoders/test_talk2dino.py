"""Talk2DINO against its recorded code; a local file, or one sentence that says why not."""

import pytest
import torch
from golden import assert_near, golden, prefixed
from torch.nn import functional as F

from fsslib.encoders.talk2dino import (
    TextToDino,
    class_attention_logits,
    classes,
    clean_background,
    load_text_map,
    similarity,
    with_background,
)
from fsslib.encoders.weights import WeightsError


@pytest.fixture(scope="module")
def case():
    return prefixed(golden("frontier/talk2dino"), "tanh/")


@pytest.fixture
def text_map(case, tmp_path):
    path = tmp_path / "map.pth"
    torch.save(prefixed(case, "w."), path)
    return load_text_map(path)


def test_recorded_maps(case, text_map):
    text, features = text_map(case["text"]), case["features"]
    assert_near(text, case["text_embeddings"], 1e-5)
    maps = similarity(features, text)
    assert_near(maps, case["similarity"], 1e-5)
    assert_near(maps.sigmoid(), case["soft"], 1e-5)
    qkv = case["qkv"].unflatten(2, (3, int(case["heads"]), -1)).permute(2, 0, 3, 1, 4)
    logits = class_attention_logits(qkv, int(case["global_tokens"]), case["scale"].item())
    assert_near(logits, case["attention_logits"], 1e-4)
    weight = case["lambda_bg"].item()
    cleaned = clean_background(maps.sigmoid(), features, logits, text, weight)
    assert_near(cleaned, case["cleaned"], 1e-5)
    size, background = tuple(case["out_hw"].tolist()), case["bg_thresh"].item()
    full = with_background(cleaned, size, background)
    assert torch.equal(classes(full), case["prediction"])
    assert len(classes(full).unique()) > 1
    # What its training compares: each text with each picture's embedding, here three cells.
    cells = F.normalize(features.flatten(2)[0, :, :3], dim=0)
    assert_near(text @ cells, case["training_similarity"], 1e-5)


def test_pictures_do_not_see_each_other(case, text_map):
    text, maps = text_map(case["text"]), case["soft"]
    rows = [tensor.repeat(2, *[1] * (tensor.ndim - 1)) for tensor in (maps, case["features"])]
    rows[0][1] = rows[0][1] * 0.5
    logits = case["attention_logits"].repeat(2, 1, 1)
    both = clean_background(*rows, logits, text)
    assert_near(both[:1], case["cleaned"], 1e-5)


def test_maps_of_other_depths_load(tmp_path):
    for sides, activation in (((6, 5), "none"), ((6, 5, 4, 3), "relu")):
        torch.manual_seed(0)
        network, path = TextToDino(sides, activation), tmp_path / "map.pth"
        torch.save(network.state_dict(), path)
        text = torch.randn(2, 3, 6)
        loaded = load_text_map(path, activation)
        assert torch.equal(loaded(text), network(text)) and loaded(text).shape == (2, sides[-1])


def test_without_a_file_one_sentence_says_why(tmp_path):
    with pytest.raises(WeightsError, match="no licence"):
        load_text_map(tmp_path / "nothing.pth")
    torch.save({"weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"linear_layer\.weight"):
        load_text_map(tmp_path / "other.pth")
