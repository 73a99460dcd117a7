"""Figures: what they hold, how they wrap, what they are called."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image
from stand_ins import random_episodes

from fsslib.data.episode import Episode, stack
from fsslib.data.protocol import Protocol
from fsslib.data.reader import EpisodeReader
from fsslib.data.registry import load_benchmark
from fsslib.data.sampler import test_episodes as listed
from fsslib.viz import plots
from fsslib.viz.cells import as_map
from fsslib.viz.display import chart_png, describe, mimebundle, set_up
from fsslib.viz.panel import GAP, MARGIN, SIDE, panel
from fsslib.viz.runs import show_contrast, show_curves, show_predictions
from fsslib.viz.sharp import enlarged


def single(shot: int = 2, way: int = 1) -> Episode:
    return random_episodes(batch=1, shot=shot, size=33, way=way)[0]


def test_figures_show_what_they_are_given():
    figure = plots.show_episode(single(shot=2, way=2), "title")
    assert len(figure.titles) == 2 * 2 + 2 and figure.alt.startswith("title: support")
    maps = {"prior": torch.rand(13, 13)}
    figure = plots.show_prediction(single(), single().query_mask, maps)
    assert figure.titles[-3] == "prior" and figure.titles[-1] == "ground truth"
    assert figure.titles[-2].startswith("prediction: IoU ")
    several = plots.show_prediction(single(way=3), single().query_mask, maps)
    assert len(several.titles) == 3 + 4 and "IoU" not in several.alt
    bars = plots.show_bars({"a": 1.0, "b": 2.0}, "IoU", {"a": (0.5, 1.5), "b": (1.0, 3.0)})
    assert bars.axes[0].get_xlabel() == "IoU"


def columns_of(figure):
    return round((figure.image.width - 2 * MARGIN + GAP) / (SIDE + GAP))


def test_long_rows_wrap_together():
    pictures = [np.full((8, 8, 3), n, np.uint8) for n in range(16)]
    assert columns_of(plots.show_images(pictures[:5], columns=8, side=SIDE)) == 5
    assert columns_of(plots.show_images(pictures[:8], columns=8, side=SIDE)) == 4
    assert columns_of(plots.show_images(pictures[:6], columns=6, side=SIDE)) == 3
    figure = panel([pictures[:8], pictures[8:]], side=SIDE)
    middle = MARGIN + SIDE // 2
    rows = figure.image.getchannel(0).crop((middle, 0, middle + 1, figure.image.height))
    shown = [value for value in dict.fromkeys(np.asarray(rows).ravel().tolist()) if value < 100]
    assert shown == [0, 8, 4, 12], "below 0 stays 8, in the next block 4 and 12"


def test_titles_are_as_wide_as_their_pictures():
    figure = plots.show_images([np.zeros((8, 8, 3), np.uint8)], ["many words " * 9])
    assert figure.image.width == SIDE + 2 * MARGIN


def test_a_map_has_a_bar_that_says_its_range():
    assert as_map(np.zeros((4, 4))).high == 1.0
    assert as_map(np.zeros((4, 4, 3), np.uint8)) is None
    plain = plots.show_images([np.zeros((4, 4, 3), np.uint8)])
    shown = plots.show_images([plots.Map(torch.zeros(4, 4), -1, 1)])
    assert shown.image.height > plain.image.height
    colour = np.asarray(shown.image)[SIDE // 2, SIDE // 2]
    assert np.abs(colour.astype(int) - (33, 145, 140)).max() < 3, "the middle of viridis"


def test_a_panel_is_shown_with_its_text_at_twice_the_resolution(tmp_path):
    figure = plots.show_images([np.zeros((8, 8, 3), np.uint8)], ["a\nb"], title="all")
    data, metadata = figure._repr_mimebundle_()
    assert metadata["image/jpeg"] == {"alt": "all: a b", "width": figure.image.width // 2}
    assert data["image/jpeg"][:2] == b"\xff\xd8" and data["text/plain"] == "all: a b"
    figure.save(tmp_path / "figure.png")
    assert Image.open(tmp_path / "figure.png").size == figure.image.size


def test_charts_have_a_text_from_their_words():
    figure, axis = plt.subplots()
    axis.plot([0, 1], [0, 1], label="ours")
    axis.set(xlabel="step", ylabel="mIoU", title="test")
    axis.legend()
    plt.close(figure)
    assert describe(figure) == "Chart: test: mIoU over step: ours"
    png, facts = chart_png(figure)
    assert png[1:4] == b"PNG" and facts["alt"] == describe(figure)
    json.dumps(mimebundle(figure)[1])
    bars = plots.show_bars({"first": 1.0, "second": 2.0}, "IoU")
    assert describe(bars) == "Chart: IoU: first, second"


def padded(episode: Episode) -> Episode:
    """The episode as if its pictures had been 33 x 20."""
    images = episode.query_image.clone(), episode.support_images.clone()
    masks = episode.query_mask.clone(), episode.support_masks.clone()
    for image, mask in zip(images, masks, strict=True):
        image[..., 20:], mask[..., 20:] = 0, 255
    names = ("query_image", "support_images"), ("query_mask", "support_masks")
    values = {**dict(zip(names[0], images, strict=True)), **dict(zip(names[1], masks, strict=True))}
    return Episode(**{**vars(episode), **values})


def test_padding_is_not_shown():
    episode = padded(single())
    assert plots.query_of(episode).shape[-2:] == (33, 20)
    drawing = plots.judged(episode, episode.query_mask)
    assert drawing.pixels.shape[0] / drawing.pixels.shape[1] == 33 / 20
    assert plots.annotated_support(episode, 0).pixels.shape == drawing.pixels.shape
    black = single()
    black.query_image[..., 30:] = 0  # black itself, with a mask that says something
    assert plots.query_of(black).shape[-1] == 33


def test_sheets_of_predictions():
    batch = stack([single(), single()])
    figure = show_predictions(batch, batch.query_mask)
    assert len(figure.titles) == 2 * 3
    assert figure.alt.startswith("support; ground truth; prediction; ")
    batch = stack([single(way=2), single(way=2)])
    assert len(show_predictions(batch, batch.query_mask).titles) == 2 * 4


def test_an_episode_of_a_batch():
    batch = random_episodes(batch=3, shot=1, size=33, way=1)
    assert len(list(batch)) == 3 and torch.equal(batch[1].query_image, batch.query_image[1])
    assert batch[2].class_names == batch.class_names[2] and not batch[2].batched
    with pytest.raises(IndexError, match="batch of 3"):
        batch[3]


def test_curves_have_a_panel_for_each_kind_of_row():
    losses = [{"step": s, "loss": 1 / s, "split": "train"} for s in range(1, 30)]
    scores = [{"step": 10, "split": "base", "miou": 0.4}]
    assert len(show_curves(losses).axes) == 1
    figure = show_curves(losses + scores)
    assert figure.axes[1].get_legend_handles_labels()[1] == ["classes trained on"]


def test_contrast_curves_have_a_line_of_what_guessing_costs():
    losses = [
        {
            "step": s,
            "local_loss": 5.0,
            "local_chance": 7.5,
            "global_loss": 4.0,
            "global_chance": 6.0,
        }
        for s in range(1, 30)
    ]
    figure = show_contrast(losses)
    assert len(figure.axes) == 1
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert lines["local: ln(K+1)"].get_ydata()[0] == 7.5
    assert lines["global: ln(K+1)"].get_ydata()[0] == 6.0
    looks = [{"step": 10, "prototype_miou": 0.1, "prototype_auroc": 0.7}]
    assert len(show_contrast(losses + looks).axes[1].lines) == 2


def test_one_call_sets_a_lesson_up(monkeypatch):
    threads = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    protocol = Protocol.preset("scenes10i", fold=2, episodes=3)
    with torch.enable_grad():
        episodes = set_up(protocol)
        gradients = torch.is_grad_enabled()
        set_up(protocol, gradients=True)
        assert torch.is_grad_enabled()
    assert threads == [1, 1] and not gradients
    assert episodes.query_mask.shape == (3, 97, 97)
    benchmark = load_benchmark(protocol)
    first = EpisodeReader(benchmark, protocol).read(listed(benchmark, protocol)[0])
    assert torch.equal(episodes.query_image[0], first.query_image)
    assert len(enlarged(episodes[0].query_image)) > 97  # it is known, and drawn anew
