"""The two CLIPs that ship: small enough, honest cards, and as good as their cards say."""

import pytest
import torch

from fsslib.encoders import weights_card
from fsslib.encoders.clip_loading import load_clip
from fsslib.encoders.clip_small import SMALL_CLIPS
from fsslib.encoders.weights import SHIPPED
from fsslib.evaluation.zero_shot import dense_classes, zero_shot
from fsslib.files import repository
from fsslib.training.pretraining.clip_recipe import ClipConfig

LARGEST = 12_000_000
both = pytest.mark.parametrize("name", sorted(SMALL_CLIPS))


@both
def test_a_shipped_clip_is_small_and_its_card_says_how_it_was_made(name):
    assert (SHIPPED / f"{name}.safetensors").stat().st_size <= LARGEST
    card = weights_card(name)
    recipe = ClipConfig.preset(name)
    for key in ("steps", "single_steps", "coarse_steps", "batch_size", "seed", "teacher", "lr"):
        assert card["settings"][key] == getattr(recipe, key), key
    for key in ("command", "seconds", "device", "versions", "git", "seen", "zero_shot"):
        assert card[key], key
    assert card["zero_shot"]["scenes"] >= 1000


@both
def test_a_shipped_clip_is_worth_what_its_card_says(name):
    """A hundred of the thousand scenes, within what so few can say."""
    encoder = load_clip(name)
    stated = weights_card(name)["zero_shot"]
    scores = zero_shot(encoder, scenes=100, size=stated["size"])
    assert scores["recall"] == pytest.approx(stated["recall"], abs=0.12)
    assert scores["dense_miou"] == pytest.approx(stated["dense_miou"], abs=0.08)
    low, high = scores["recall_interval"]
    assert low < scores["recall"] < high


@both
def test_the_page_of_encoders_quotes_the_cards(name):
    text = (repository() / "papermill_runs/published/encoders.md").read_text()
    stated = weights_card(name)["zero_shot"]
    for key in ("recall", "dense_miou"):
        low, high = stated[f"{key}_interval"]
        quoted = f"{100 * stated[key]:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
        assert quoted in text, f"{name}: {key} is {quoted} in its card"


def test_scores_are_interpolated_before_they_are_compared():
    scores = torch.zeros(1, 2, 2, 2)
    scores[0, 1, :, 1] = 1.0
    scores[0, 0, :, 0] = 0.5
    classes = dense_classes(scores, 8)
    assert classes.shape == (1, 8, 8)
    assert classes[0, 0].tolist() == [1, 1, 1, 2, 2, 2, 2, 2]
