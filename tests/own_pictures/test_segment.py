"""`segment`, what it gives back, the command, and when it says that nothing is there."""

import json
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import fsslib
from fsslib.config import ConfigError
from fsslib.evaluation.absence import Answers, sureness
from fsslib.methods.base import FewShotSegmenter, Prediction
from fsslib.own_pictures import choice, evidence, segmenting
from fsslib.own_pictures.answer import Segmentation
from fsslib.own_pictures.command import main
from fsslib.own_pictures.segmenting import segment
from fsslib.own_pictures.tiles import starts, tiled
from fsslib.own_pictures.ways import WAYS


class Redness(FewShotSegmenter):
    """Says where the query is as red as the supports' objects, and keeps what it was asked."""

    name = "redness"
    binary = False

    def __init__(self):
        super().__init__()
        self.episodes = []

    def forward(self, episodes):
        self.episodes.append(episodes)
        red = episodes.query_image[:, 0].float() - episodes.query_image[:, 2].float()
        object_logits = (red / 16).clamp(-8, 8)
        rest = torch.full_like(object_logits, -8)
        others = [rest] * (episodes.way - 1)
        logits = torch.stack([-object_logits, object_logits, *others], 1)
        return Prediction(logits, {"red": red[:, None]})


def picture(left: int, top: int, side: int, size=(40, 60)) -> np.ndarray:
    pixels = np.full((*size, 3), 60, np.uint8)
    pixels[top : top + side, left : left + side] = (250, 20, 20)
    return pixels


def square(left: int, top: int, side: int, size=(40, 60)) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[top : top + side, left : left + side] = True
    return mask


@pytest.fixture
def method():
    return Redness()


SUPPORT, MASK = picture(5, 5, 16), square(5, 5, 16)


def test_one_support_one_mask(method):
    answer = segment(picture(30, 10, 16), SUPPORT, MASK, method=method, image_size=60)
    assert isinstance(answer, Segmentation) and answer.names == ("object",)
    overlap = (answer.mask == 1) & square(30, 10, 16)
    assert overlap.sum() > 0.8 * 256 and answer.mask.sum() < 1.2 * 256
    assert answer.probability.shape == (1, 40, 60) and answer.probability.min() >= 0
    assert answer.maps["red"].shape == (60, 60) and answer.present == (None,)
    assert answer.scores[0] > 0.99


def test_pictures_of_different_sizes_and_forms(method, tmp_path):
    """Files, boxes and polygons reach the method as the masks that they are."""
    path = tmp_path / "support.png"
    Image.fromarray(SUPPORT).save(path)
    outline = [(5, 5), (21, 5), (21, 21), (5, 21)]
    segment(
        picture(30, 10, 16, (80, 30)), [path, SUPPORT], [(5, 5, 21, 21), outline], method=method
    )
    segment(picture(30, 10, 16, (80, 30)), [SUPPORT, SUPPORT], [MASK, 255 * MASK], method=method)
    first, second = method.episodes
    torch.testing.assert_close(first.support_masks, second.support_masks)
    torch.testing.assert_close(first.support_images, second.support_images)


def test_several_classes(method):
    supports = {"red": SUPPORT, "other": [SUPPORT]}
    answer = segment(SUPPORT, supports, {"red": MASK, "other": [MASK]}, method=method)
    assert answer.names == ("red", "other") and set(np.unique(answer.mask)) == {0, 1}
    assert [row["name"] for row in answer.facts()["classes"]] == ["red", "other"]


def test_maps_of_every_class_have_its_name():
    sizes = {"prior": (1, 1, 4, 5), "scores": (1, 3, 4, 5), "rest": (1, 2, 1, 4, 5), "raw": (1,)}
    maps = {name: torch.rand(size) for name, size in sizes.items()}
    plain = segmenting._plain(maps, ("red", "blue"))
    several = {f"{name} of {c}" for name in ("scores", "rest") for c in ("red", "blue")}
    assert plain.keys() == {"prior", *several}
    np.testing.assert_array_equal(plain["scores of blue"], maps["scores"][0, 2].numpy())


def test_a_small_object_in_a_large_picture_needs_tiles(method, capsys):
    large = picture(200, 302, 4, (400, 500))
    whole = segment(large, SUPPORT, MASK, method=method, image_size=40)
    parts = segment(large, SUPPORT, MASK, method=method, image_size=40, tile=40)
    expected = square(200, 302, 4, (400, 500))
    assert not (whole.mask == 1).any()
    assert (parts.mask[expected] == 1).all() and (parts.mask == 1).sum() < 40
    assert len(method.episodes) > 100 and "tiles: 100%" in capsys.readouterr().err
    segment(large, SUPPORT, MASK, method=method, tile=400, progress=False)
    assert "tiles" not in capsys.readouterr().err


def test_tiles_cover_every_pixel_and_agree_with_the_whole():
    assert starts(30, 40) == [0] and starts(40, 40) == [0] and starts(100, 40) == [0, 30, 60]
    values = np.random.default_rng(0).random((50, 70, 3))
    for tile in (16, 40, 100):
        joined = tiled(values, tile, lambda part: part[..., :1].transpose(2, 0, 1).astype("f4"))
        np.testing.assert_allclose(joined[0], values[..., 0], rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "neither supports nor class_name"),
        ({"masks": MASK}, "masks without supports"),
        ({"supports": [SUPPORT] * 2, "masks": [MASK]}, "2 supports and 1 masks"),
        ({"supports": [], "masks": []}, "no picture"),
        ({"supports": SUPPORT, "masks": MASK[:20]}, "60 x 20 pixels, its picture 60 x 40"),
        ({"supports": SUPPORT, "masks": MASK, "class_name": ["a", "b"]}, "as a dictionary"),
        ({"supports": {"a": SUPPORT}, "masks": MASK}, "expected a dictionary"),
        ({"supports": SUPPORT, "masks": {"a": MASK}}, "name all of them, or none"),
        ({"supports": {"a": SUPPORT}, "class_name": "a"}, "leave it out"),
        ({"supports": SUPPORT, "masks": MASK, "method": "pfnet"}, "did you mean 'pfenet'"),
        (
            {"supports": SUPPORT, "masks": MASK, "method": "pfenet", "weights": "openai"},
            "leave one out",
        ),
        ({"supports": SUPPORT, "masks": MASK, "tile": 0}, "tile=0: expected a whole number"),
        ({"supports": SUPPORT, "masks": MASK, "image_size": 9.5}, r"image_size=9\.5"),
        ({"supports": SUPPORT, "masks": MASK, "device": "gpu"}, "device='gpu'"),
    ],
)
def test_questions_that_are_none(arguments, message, method):
    with pytest.raises(ValueError, match=message):
        segment(SUPPORT, **({"method": method} | arguments))


def chosen(masks, names, weights):
    return choice.choose(masks, names, weights, 1, 1)


@pytest.mark.parametrize(
    ("masks", "names", "weights", "label", "reason"),
    [
        (True, ("fish",), "scenes", "pfenet+pi_clip", "mask and word"),
        (True, (), "scenes", "gfsam_maps", "a mask alone"),
        (True, ("zebra",), "scenes", "gfsam_maps", "a mask alone"),
        (False, ("fish",), "scenes", "clip_prior", "a word alone"),
        (True, (), "imagenet", "grid_prototype", "nothing trained"),
        (True, ("zebra",), "timm/resnet26d", "grid_prototype", "nothing trained"),
        (True, (), "dinov2", "gfsam_maps", "nothing trained: GF-SAM"),
        (True, ("zebra",), "dinov3", "gfsam_maps", "nothing trained: GF-SAM"),
        (False, ("zebra",), "openai", "clip_prior", "visual-text prior"),
        (True, ("zebra",), "openai", "clip_prior", "visual-text prior"),
        (True, (), "laion2b_s34b_b88k", "gfsam_maps", "CLIP's cells"),
    ],
)
def test_auto_takes_what_the_weights_allow_and_says_why(masks, names, weights, label, reason):
    made = chosen(masks, names, weights)
    assert made.label == label and reason in made.reason
    assert made.image_size == (97 if weights == "scenes" else 473)


@pytest.mark.parametrize(
    ("names", "weights", "label"),
    [
        (("fish", "mug"), "scenes", "hdmnet+pi_clip"),
        (("zebra", "cup"), "scenes", "clip_prior"),
        ((), "dinov2", "grid_prototype"),
        (("zebra", "cup"), "openai", "clip_prior"),
    ],
)
def test_several_classes_have_ways_of_their_own(names, weights, label):
    made = choice.choose(True, names, weights, 2, 1)
    assert made.label == label and dict(made.parameters)["way"] == 2
    assert "pi_clip" not in label or "words" in made.reason


@pytest.mark.parametrize("reason", WAYS)
def test_no_way_is_worse_than_what_it_was_chosen_from(reason):
    """By the published episodes: no other row is better by more than its interval."""
    assert WAYS[reason].rows, "no published score stands for it"
    for chosen, patterns in WAYS[reason].rows.items():
        other = evidence.rival(chosen, patterns)
        assert other is None or not other[2], f"{chosen}: {other[0]} is {other[1]}"


def test_the_page_of_ways_shows_the_published_scores():
    assert evidence.PAGE.read_text() == evidence.page(), "python -m fsslib.own_pictures.evidence"


def test_the_clip_of_a_tag_has_the_activation_that_it_was_trained_with():
    quick = dict(chosen(False, ("dog",), "openai").parameters)["clip"]
    assert quick == "ViT-B-16-quickgelu weights=openai"
    plain = dict(chosen(False, ("dog",), "laion2b_s34b_b88k").parameters)["clip"]
    assert plain == "ViT-B-16 weights=laion2b_s34b_b88k"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((False, ("fsh",), "scenes"), "class_name='fsh'.* did you mean fish"),
        ((False, ("qwertyuiop",), "scenes"), "know 40 words; such as"),
        ((False, ("fish",), "imagenet"), "knows no words"),
        ((True, (), "opnai"), "weights='opnai'.* did you mean 'openai'"),
        ((False, (), "scenes"), "mark the object, or name it"),
    ],
)
def test_words_and_weights_that_nobody_knows(arguments, message):
    with pytest.raises(ConfigError, match=message):
        chosen(*arguments)


def test_a_vit_of_timm_answers():
    vit = "timm/vit_tiny_patch16_224 weights=random"
    answer = segment(SUPPORT, SUPPORT, MASK, weights=vit, image_size=64)
    assert answer.method == "gfsam_maps" and answer.mask.shape == (40, 60)
    assert answer.present == (None,) and answer.maps["mean"].shape == answer.maps["contrast"].shape


def test_a_method_by_name_has_the_head_that_ships():
    assert dict(choice.stated("hdmnet", 1, 1).parameters)["head"] == "shipped"
    assert "head" not in dict(choice.stated("clip_dinoiser variant=prototype", 1, 1).parameters)


def test_the_embedded_encoders_are_warned_of_before_they_answer(method, monkeypatch):
    """Where nobody chose them, and where pictures are no drawings; scenes are square."""
    monkeypatch.setattr(segmenting, "build", lambda chosen: method)
    with pytest.warns(UserWarning, match="drawings alone"):
        segment(SUPPORT[:, :40], SUPPORT[:, :40], MASK[:, :40])
    with pytest.warns(UserWarning, match="drawings alone"):
        segment(SUPPORT, SUPPORT, MASK, weights="scenes")
    monkeypatch.setattr(segmenting, "build", lambda chosen: pytest.fail("it answers already"))
    with warnings.catch_warnings(), pytest.raises(UserWarning, match="drawings alone"):
        warnings.simplefilter("error")
        segment(SUPPORT, SUPPORT, MASK)
    monkeypatch.setattr(segmenting, "build", lambda chosen: method)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        segment(SUPPORT[:, :40], SUPPORT[:, :40], MASK[:, :40], weights="scenes")


def test_thresholds_hold_as_they_were_measured_alone(method, monkeypatch):
    monkeypatch.setattr(segmenting, "build", lambda chosen: method)
    monkeypatch.setattr(segmenting, "thresholds", lambda: {"gfsam_maps": 0.5})
    square_one = (SUPPORT[:, :40], SUPPORT[:, :40], MASK[:, :40])
    assert segment(*square_one, weights="scenes").threshold == 0.5
    assert segment(*square_one, weights="scenes", image_size=64).threshold is None
    assert segment(*square_one, weights="scenes", tile=40).threshold is None
    assert segment(*square_one, weights="imagenet").threshold is None


def test_what_is_shown_and_saved(method, tmp_path):
    answer = segment(picture(30, 10, 16), SUPPORT, MASK, class_name="block", method=method)
    assert answer._repr_png_().startswith(b"\x89PNG")
    answer.save(tmp_path / "out")
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "out" / "mask.png")), answer.mask)
    facts = json.loads((tmp_path / "out" / "result.json").read_text())
    assert facts["classes"][0]["name"] == "block" and "block" in str(answer)


def test_not_there():
    probability = torch.zeros(2, 20, 20)
    probability[0, :2, :2] = 0.9
    assert sureness(probability).tolist() == pytest.approx([0.9, 0])
    answers = Answers(np.array([0.9, 0.8, 0.4]), np.array([0.1, 0.3, 0.5]))
    assert answers.auroc == pytest.approx(8 / 9)
    threshold = answers.best_threshold()
    assert sum(answers.right(threshold)) == pytest.approx(5 / 3)
    blank = np.zeros((1, 10, 10), np.float32)
    about = (np.zeros((10, 10), np.uint8), blank, np.zeros((10, 10, 3), np.uint8), ("cup",))
    answer = Segmentation(*about, "any", "as given", 0.1, threshold=0.5)
    assert answer.present == (False,)
    assert "cup: not there (score 0.00 of 0.50 needed" in str(answer)
    certain = replace(answer, probability=blank + np.float32(0.99999), threshold=0.999996)
    assert "score 1 - 1e-05 of 1 - 4e-06 needed" in str(certain)
    assert answer.facts()["there_from_score"] == 0.5


def test_the_command(method, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(segmenting, "build", lambda chosen: method)
    for name, pixels in (("a", SUPPORT), ("b", picture(30, 10, 16))):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    Image.fromarray(MASK).save(tmp_path / "mask.png")
    a, b, mask, out = (str(tmp_path / name) for name in ("a.png", "b.png", "mask.png", "out"))
    options = ["--support", a, "--weights", "scenes"]
    assert main([b, *options, "--mask", mask, "--out", out]) == 0
    assert np.array(Image.open(tmp_path / "out" / "mask.png")).shape == (40, 60)
    assert main([a, b, *options, "--mask", "5 5 21 21", "--out", out]) == 0
    assert (tmp_path / "out" / "a" / "mask.png").is_file()
    assert "object: " in capsys.readouterr().out
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / name).rename(folder / name)
    a, options[1] = str(folder / "a.png"), str(folder / "a.png")
    box = ["--mask", "5 5 21 21", "--tile", "40"]
    assert main([str(folder), *options, *box, "--out", str(tmp_path / "two")]) == 0
    assert json.loads((tmp_path / "two" / "b" / "result.json").read_text())["classes"]
    errors = capsys.readouterr().err
    assert "warning: weights='scenes': the embedded" in errors and ".py:" not in errors
    assert main([a, *options, "--mask", "nowhere.png", "--out", out]) == 2
    assert "error: nowhere.png is missing" in capsys.readouterr().err


def test_the_command_takes_words_and_methods(method, monkeypatch, tmp_path):
    choices = []
    monkeypatch.setattr(segmenting, "build", lambda chosen: choices.append(chosen) or method)
    Image.fromarray(SUPPORT).save(tmp_path / "a.png")
    options = [str(tmp_path / "a.png"), "--out", str(tmp_path / "out")]
    assert main([*options, "--name", "fish", "--name", "boat"]) == 0
    rows = json.loads((tmp_path / "out" / "result.json").read_text())["classes"]
    assert [row["name"] for row in rows] == ["fish", "boat"]
    support = ["--support", options[0], "--mask", "5 5 21 21"]
    assert main([*options, *support, "--method", "prototype"]) == 0
    assert [dict(one.parameters)["method"] for one in choices] == ["clip_prior", "prototype"]


def test_the_command_takes_several_classes_by_name(method, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(segmenting, "build", lambda chosen: method)
    Image.fromarray(SUPPORT).save(picture := tmp_path / "a.png")
    command = [str(picture), "--out", str(tmp_path / "out"), "--support", f"cup={picture}"]
    assert main([*command, "--mask", "cup=5 5 21 21", "--support", str(picture)]) == 2
    assert "name all, or none" in capsys.readouterr().err
    second = ["--support", f"pen={picture}", "--mask", "pen=1 1 9 9"]
    assert main([*command, *second, "--mask", "cup=5 5 21 21"]) == 0
    rows = json.loads((tmp_path / "out" / "result.json").read_text())["classes"]
    assert [row["name"] for row in rows] == ["cup", "pen"]


@pytest.mark.parametrize("command", [["--help"], ["segment", "--help"], ["--version"]])
def test_help_needs_no_torch(command):
    code = (
        f"import sys, fsslib.__main__ as m\ntry: m.main({command!r})\nexcept SystemExit: pass\n"
        "assert not {'torch', 'torchvision', 'open_clip'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_fsslib_segment_is_this(capsys):
    assert fsslib.segment is segment
    with pytest.raises(AttributeError, match="no attribute 'segmnt'"):
        _ = fsslib.segmnt
