"""A mask is seen, whatever the picture's colours, by the colour-blind too."""

import numpy as np
import pytest
import torch
from colour_vision import difference
from scipy.ndimage import binary_dilation, binary_erosion

from fsslib.data.episode import Episode, stack
from fsslib.data.scenes import CLASS_NAMES, render_scene
from fsslib.data.scenes.benchmark import Scenes10i
from fsslib.viz.names import write_names
from fsslib.viz.overlay import DARKENED, OUTCOMES, UNSCORED, overlay, palette
from fsslib.viz.sharp import SIDE, enlarged, enlarged_labels, recognise


def test_outside_is_dark_and_the_outline_white_and_black():
    image = np.full((300, 300, 3), 100, np.uint8)
    mask = np.zeros((300, 300), np.uint8)
    mask[100:200, 100:200] = 1
    pixels = overlay(image, mask).pixels
    assert (pixels[105:195, 105:195] == 100).all(), "the object stays as it is"
    assert (pixels[20, 20] == round(DARKENED * 100)).all()
    assert (pixels[99, 150] == 255).all() and (pixels[98 - 1, 150] == 0).all()
    assert pixels.shape == image.shape, "large enough as it is"


def test_pixels_of_255_are_hatched_and_explained():
    image = torch.full((3, 300, 300), 100, dtype=torch.uint8)
    mask = torch.zeros(300, 300, dtype=torch.uint8)
    assert overlay(image, mask).legend == ()
    mask[:50] = 255
    drawing = overlay(image, mask)
    assert drawing.legend == (UNSCORED,)
    assert len(np.unique(drawing.pixels[:40])) == 2, "stripes of two tones"
    with pytest.raises(ValueError, match="differ in size"):
        overlay(image, mask[:4])


def test_against_a_truth_colours_say_hit_missed_and_false_alarm():
    image = np.zeros((300, 300, 3), np.uint8)
    mask, truth = np.zeros((2, 300, 300), np.uint8)
    mask[:, :200], truth[:, 100:] = 1, 1
    truth[:100] = 255
    drawing = overlay(image, mask, truth)
    assert drawing.legend == tuple(OUTCOMES) and drawing.iou == pytest.approx(1 / 3)
    for name, column in (("false alarm", 50), ("hit", 150), ("missed", 280)):
        expected = np.array(OUTCOMES[name]) / 2
        assert np.abs(drawing.pixels[200, column] - expected).max() <= 1, name
    assert (drawing.pixels[50, 280] == 0).all(), "nobody is scored on 255"


@pytest.mark.parametrize("deuteranope", [False, True])
def test_outcomes_differ_from_each_other(deuteranope):
    colours = np.array(list(OUTCOMES.values()), np.uint8)
    apart = [difference(colours[i], colours[j], deuteranope) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert min(apart) > 30


def contrast(image, label):
    """How much the outline differs from the object and from what lies around it, to people who see
    all colours and to those with deuteranopia.

    The mean over the contour of the difference between a pixel's own surroundings and whichever of
    the outline's pixels near it differs more; the lower one of the two sides.
    """
    mask = np.where(label == 1, 1, 0).astype(np.uint8)
    pixels, inside = overlay(image, mask).pixels, enlarged_labels(mask) == 1
    near = binary_dilation(inside, iterations=3)
    lines = {"white": near & ~inside, "black": binary_dilation(near, iterations=3) & ~near}
    sides = inside & ~binary_erosion(inside, iterations=3), binary_dilation(inside, iterations=10)
    values = []
    for side in (sides[0], sides[1] & ~binary_dilation(near, iterations=3)):
        tones = [np.median(pixels[line], 0)[None] for line in lines.values() if line.any()]
        colours = pixels[side][::17]
        if len(colours):
            by_viewer = [
                [difference(tone, colours, deuteranope) for tone in tones]
                for deuteranope in (False, True)
            ]
            values.append(np.max(by_viewer, 1).mean(-1))
    return np.min(values, 0)


def test_the_outline_is_seen_on_rendered_scenes():
    """An orange tint at half strength differed by less than 25 on 8 % of masks, for people with
    deuteranopia on 23 %."""
    measured = []
    for index in range(12):
        scene = render_scene("figures", 0, index, 97)
        for class_id in scene.plan.class_ids:
            measured.append(contrast(scene.image, scene.label == class_id))
    assert len(measured) > 20
    faintest = np.min(measured, 0)
    assert (faintest > 40).all(), f"the faintest outlines differ by {faintest.round()}"


@pytest.mark.parametrize("deuteranope", [False, True])
@pytest.mark.parametrize("colour", palette(7), ids=str)
def test_a_class_line_or_the_black_beside_it_is_seen_on_any_grey(colour, deuteranope):
    for grey in range(0, 256, 5):
        surroundings = np.full(3, grey, np.uint8)
        tones = [difference(tone, surroundings, deuteranope) for tone in (colour, np.zeros(3))]
        assert max(tones) > 20, f"{colour} on {grey}"


def test_scenes_are_drawn_anew_and_other_pictures_enlarged():
    scene = render_scene("figures", 0, 1, 97)
    before = overlay(scene.image, np.ones((97, 97), np.uint8)).pixels
    recognise([scene])
    after = overlay(scene.image, np.ones((97, 97), np.uint8)).pixels
    assert before.shape == after.shape == (SIDE, SIDE, 3)
    expected = render_scene("figures", 0, 1, SIDE).image
    assert (after == expected).all() and not (before == expected).all()


def test_episodes_and_samples_of_the_benchmark_are_recognised():
    benchmark = Scenes10i(size=97)
    samples = [benchmark.load("val", index) for index in (5, 6)]
    images = [torch.from_numpy(sample.image).movedim(2, 0) for sample in samples]
    empty = torch.zeros(97, 97, dtype=torch.uint8)
    episode = Episode(
        images[0], empty, images[1][None, None], empty[None, None], torch.tensor([1]),
        ("house",), tuple(sample.id for sample in samples),
    )  # fmt: skip
    recognise(stack([episode]))
    for image, index in zip(images, (5, 6), strict=True):
        assert (enlarged(image) == render_scene("val", 0, index, SIDE).image).all()
    sample = benchmark.load("val", 7)
    recognise([sample])
    assert (enlarged(sample.image) == render_scene("val", 0, 7, SIDE).image).all()


def test_a_wrong_address_is_found_out():
    scene, other = (render_scene("figures", 0, index, 97) for index in (2, 3))
    liar = type(scene)(other.plan, scene.image, scene.label, scene.objects, scene.background)
    recognise([liar])
    pixels = overlay(scene.image, np.ones((97, 97), np.uint8)).pixels
    small = pixels.reshape(97, 4, 97, 4, 3).mean((1, 3))
    assert np.abs(small - scene.image).mean() < 10, "the picture itself, enlarged"


def test_a_name_at_the_edge_of_a_picture_is_whole():
    labels = np.zeros((388, 388), np.uint8)
    labels[100:160, :30], labels[200:260, -40:] = 1, 2
    grey = np.full((388, 388, 3), 90, np.uint8)
    columns = (write_names(grey, labels, ["jug", "armchair"]) != grey).any((0, 2))
    assert columns.any() and not columns[[0, 1, -1]].any()


def test_names_stand_in_their_segments():
    scene = render_scene("figures", 0, 4, 96)
    plain = overlay(scene.image, scene.label, names=[""] * 40).pixels
    named = overlay(scene.image, scene.label, names=CLASS_NAMES).pixels
    changed = (plain != named).any(-1)
    labels = enlarged_labels(scene.label)
    assert (changed & (labels > 0)).sum() > changed.sum() / 2 > 50
    crowd = np.arange(1, 41, dtype=np.uint8).repeat(80).reshape(40, 80).repeat(2, 0)
    drawn = overlay(np.zeros((80, 80, 3), np.uint8), crowd, names=["a long name"] * 40).pixels
    lines = np.flatnonzero((drawn == 255).all(-1).sum(1) > 20)
    assert 0 < len(lines) < len(drawn) / 2, "no name covers another one"
    with pytest.raises(ValueError, match="has no name"):
        overlay(scene.image, scene.label, names=["one"])
