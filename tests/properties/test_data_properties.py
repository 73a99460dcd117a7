"""Masks, squares and episodes: what holds for any of them."""

import tempfile
from pathlib import Path

import numpy as np
import torch
import toy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from fsslib.data.binary_masks import read_binary_mask
from fsslib.data.coco_labels import ImageAnnotations, draw_labels
from fsslib.data.coco_schema import polygons, run_lengths
from fsslib.data.episode import IGNORE, stack
from fsslib.data.labelled_files import Item
from fsslib.data.loading import EpisodeReader
from fsslib.data.pictures import read_indices, write_label
from fsslib.data.protocol import Protocol
from fsslib.data.sampler import test_episodes as listed_episodes
from fsslib.data.transforms import fit_square

SIDES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=24)


def labels(values):
    return arrays.arrays(np.uint8, SIDES, elements=st.sampled_from(values))


@given(arrays.arrays(np.uint8, SIDES))
def test_a_label_comes_back_as_it_was_written(label):
    with tempfile.TemporaryDirectory() as folder:
        write_label(path := Path(folder) / "label.png", label)
        np.testing.assert_array_equal(read_indices(path, ""), label)


@given(labels([0, 1, 255]), st.integers(1, 254), st.sampled_from(["L", "P", "RGB"]))
def test_a_binary_mask_means_the_same_in_every_mode(mask, class_id, mode):
    with tempfile.TemporaryDirectory() as folder:
        picture = Image.fromarray(mask)
        if mode == "P":
            picture.putpalette([v for grey in range(256) for v in (grey, grey, grey)])
        (picture.convert(mode) if mode == "RGB" else picture).save(Path(folder) / "mask.png")
        item = Item(Path(folder) / "mask.jpg", Path(folder) / "mask.png", "one", class_id)
        read = read_binary_mask(item, "")
    white = 255 if (mask == 1).any() else class_id
    expected = np.where(mask == 1, class_id, np.where(mask == 255, white, 0))
    np.testing.assert_array_equal(read, expected)


@given(labels([0, 1, 7, 255]), st.integers(33, 64), st.sampled_from(["pad", "stretch"]))
def test_a_square_invents_no_label_and_keeps_every_picture_inside(label, size, fit):
    image = torch.randint(256, (3, *label.shape), dtype=torch.uint8)
    picture, fitted = fit_square(image, torch.from_numpy(label), size, fit)
    assert picture.shape == (3, size, size) and fitted.shape == (size, size)
    assert set(fitted.unique().tolist()) <= {*np.unique(label).tolist(), IGNORE}
    assert picture.dtype == torch.uint8 and fitted.dtype == torch.uint8


@given(arrays.arrays(bool, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_run_lengths_and_their_text_are_the_mask(mask):
    from pycocotools import mask as coco_mask

    packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    text = {"size": list(mask.shape), "counts": packed["counts"].decode()}
    counts = run_lengths(text, *mask.shape)
    values = np.repeat(np.arange(len(counts)) % 2, counts).reshape(mask.shape, order="F")
    np.testing.assert_array_equal(values.astype(bool), mask)
    annotation = {"id": 1, "segmentation": text}
    drawn = draw_labels(ImageAnnotations("a", 1, "b", *mask.shape, ((5, annotation),)))
    np.testing.assert_array_equal(drawn == 5, mask)


@given(st.lists(st.lists(st.floats(allow_nan=True, width=32), max_size=10), max_size=3))
def test_a_polygon_is_drawn_inside_its_picture_or_refused(segmentation):
    try:
        outlines = polygons(segmentation, 20, 30)
    except ValueError:
        return
    assert all(len(outline) >= 6 for outline in outlines)
    assert all(-30 <= value <= 60 for outline in outlines for value in outline)
    annotation = {"id": 1, "segmentation": segmentation}
    drawn = draw_labels(ImageAnnotations("a", 1, "b", 20, 30, ((5, annotation),)))
    assert drawn.shape == (20, 30) and set(np.unique(drawn)) <= {0, 5}


@given(st.integers(0, 3), st.integers(1, 2), st.integers(1, 3), st.integers(0, 2**63 - 1))
def test_an_episode_never_holds_a_picture_twice_or_another_folds_class(fold, way, shot, seed):
    benchmark = toy.crowded(images=60)
    protocol = Protocol(
        "folder",
        **{"fold": fold, "way": way, "shot": shot, "seed": seed, "episodes": 4},
        **{"image_size": 33, "minimum_object_pixels": 1},
    )
    episodes = listed_episodes(benchmark, protocol)
    assert episodes == listed_episodes(benchmark, protocol)
    areas, novel = benchmark.areas("val"), benchmark.novel_classes(fold)
    for episode in episodes:
        pictures = [episode.query, *(i for row in episode.supports for i in row)]
        assert len(set(pictures)) == len(pictures) == 1 + way * shot
        assert set(episode.classes) <= set(novel) and len(set(episode.classes)) == way
        for class_id, row in zip(episode.classes, episode.supports, strict=True):
            assert all(areas[picture, class_id - 1] > 0 for picture in row)


@given(st.integers(1, 2), st.integers(1, 2), st.integers(0, 1000))
def test_what_is_read_are_masks_of_three_values(way, shot, seed):
    benchmark = toy.crowded()
    protocol = Protocol(
        "folder",
        **{"way": way, "shot": shot, "seed": seed, "episodes": 2},
        **{"image_size": 40, "minimum_object_pixels": 1},
    )
    reader = EpisodeReader(benchmark, protocol)
    batch = stack([reader.read(spec) for spec in listed_episodes(benchmark, protocol)])
    assert batch.support_images.shape == (2, way, shot, 3, 40, 40) and len(batch) == 2
    assert set(batch.support_masks.unique().tolist()) <= {0, 1, IGNORE}
    assert set(batch.query_mask.unique().tolist()) <= {0, IGNORE, *range(1, way + 1)}
    assert (batch.support_masks == 1).flatten(3).any(-1).all(), "a support without its object"
