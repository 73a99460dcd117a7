"""Batches of MoCo's and QGNet's pretraining: pictures, and how their views are to be made.

Everything random about a step is drawn here from (seed, step), so that any process can make any
batch. Pictures lie top left on square canvases, their last row and column repeated to the border.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from fsslib.priors.superpixels import Segments, dilated, fit_long_side
from fsslib.training.pretraining.moco_recipe import MocoConfig
from fsslib.training.pretraining.segments import SegmentStore
from fsslib.training.views import Views, draw

CELL = 8
"""Pixels of a view that make a cell of `Pools`."""
VISIBLE = 0.5
"""Share of a segment's area that both views must show."""


class Patches(NamedTuple):
    """Two views of n = B * P patches, those of a picture one after the other."""

    owners: Tensor
    """Which picture of the batch, (n,)."""
    segments: Tensor
    """Which segment of it, (n,)."""
    query: Views
    key: Views
    inside: Tensor | None = None
    """(n, S, S) bool: the segment's own pixels, where the rest is to be filled."""
    shuffle: Tensor | None = None


class Pools(NamedTuple):
    """Segments of the pictures' two views, n = B * P: masks in cells, (n, g, g) in 0..1."""

    owners: Tensor
    segments: Tensor
    query: Tensor
    key: Tensor
    known: Tensor
    """(n,) bool: whether both views show enough of it; where none does, there is no positive."""


class Batch(NamedTuple):
    """B pictures (B, 3, S, S) uint8 and what is to be made of them."""

    pictures: Tensor
    query: Views
    key: Views
    patches: Patches | None = None
    pools: Pools | None = None
    shuffle: Tensor | None = None
    """The order in which keys go through the encoder; None: as they are."""


class MocoBatches(Dataset):
    """Batches number `begin`, `begin` + 1, … of a pretraining.

    Raises:
        ValueError: fewer pictures than a batch.
    """

    def __init__(self, store: SegmentStore, config: MocoConfig, begin: int = 0) -> None:
        if len(store) < config.batch_size:
            raise ValueError(f"batch_size={config.batch_size}, but there are {len(store)} pictures")
        self.store, self.config, self.begin = store, config, begin
        self.per_epoch = len(store) // config.batch_size
        self.steps = config.epochs * self.per_epoch

    def __len__(self) -> int:
        return self.steps - self.begin

    def __getitem__(self, offset: int) -> Batch:
        if offset >= len(self):
            raise IndexError(offset)
        step, config = self.begin + offset, self.config
        rng = np.random.default_rng((config.seed, step))
        indices = self.chosen(step)
        long_side = self.store.config.long_side
        images = [fit_long_side(self.store.pictures.image(i), long_side) for i in indices]
        whole = np.array([[0, 0, i.shape[1], i.shape[0]] for i in images], np.float32)
        query, key = (draw(rng, whole, config.views) for _ in range(2))
        canvas = np.stack([_on_canvas(image, long_side) for image in images])
        batch = Batch(torch.from_numpy(canvas).permute(0, 3, 1, 2), query, key)
        if config.bn_splits > 1:
            batch = batch._replace(shuffle=torch.from_numpy(rng.permutation(len(indices))))
        if "local" not in config.branches:
            return batch
        if config.masked_pool:
            return batch._replace(pools=self._pools(rng, indices, query, key))
        return batch._replace(patches=self._patches(rng, indices))

    def chosen(self, step: int) -> list[int]:
        """Pictures of a step: every epoch goes through all of them in an order of its own."""
        epoch, place = divmod(step, self.per_epoch)
        order = np.random.default_rng((self.config.seed, epoch, 1)).permutation(len(self.store))
        size = self.config.batch_size
        return order[place * size : (place + 1) * size].tolist()

    def _patches(self, rng: np.random.Generator, indices: list[int]) -> Patches:
        config, segments = self.config, [self.store.segments(index) for index in indices]
        ids = [self._drawn(rng, one, np.flatnonzero(one.eligible)) for one in segments]
        regions = [
            dilated(one.boxes[chosen], self.store.config.margin, *self.store.size(index))
            for one, chosen, index in zip(segments, ids, indices, strict=True)
        ]
        query, key = (draw(rng, np.concatenate(regions), config.local_views) for _ in range(2))
        patches = Patches(self._owners(), torch.from_numpy(np.concatenate(ids)), query, key)
        if config.bn_splits > 1:
            order = torch.from_numpy(rng.permutation(len(patches.owners)))
            patches = patches._replace(shuffle=order)
        if config.fill == "none":
            return patches
        side = self.store.config.long_side
        maps = [_on_canvas(self.store.labels(index), side) for index in indices]
        masks = [maps[b] == one for b, chosen in enumerate(ids) for one in chosen]
        return patches._replace(inside=torch.from_numpy(np.stack(masks)))

    def _pools(
        self, rng: np.random.Generator, indices: list[int], query: Views, key: Views
    ) -> Pools:
        size, ids, known, masks = self.config.size, [], [], ([], [])
        for b, index in enumerate(indices):
            labels, areas = self.store.labels(index), self.store.segments(index).areas
            boxes = query.boxes[b].numpy(), key.boxes[b].numpy()
            turned = bool(query.flipped[b]), bool(key.flipped[b])
            seen = [_view(labels, box, size, f) for box, f in zip(boxes, turned, strict=True)]
            shares = np.min([_visible(labels, box, areas) for box in boxes], 0)
            counts = [np.bincount(view.ravel(), minlength=len(areas)) for view in seen]
            fit = (shares >= VISIBLE) & (np.min(counts, 0) >= self.config.min_cells * CELL**2)
            candidates = np.flatnonzero(fit) if fit.any() else np.array([shares.argmax()])
            chosen = self._drawn(rng, self.store.segments(index), candidates)
            ids.append(chosen)
            known.append(np.full(len(chosen), fit.any()))
            for selected, view in zip(masks, seen, strict=True):
                selected += [view == one for one in chosen]
        cells = [_cells(torch.from_numpy(np.stack(selected))) for selected in masks]
        segments, known = (torch.from_numpy(np.concatenate(part)) for part in (ids, known))
        return Pools(self._owners(), segments, *cells, known)

    def _drawn(self, rng: np.random.Generator, segments: Segments, among: np.ndarray) -> np.ndarray:
        """P of the segments `among`, different ones as long as there are enough."""
        areas = segments.areas[among]
        chances = areas / areas.sum() if self.config.draw == "area" else None
        count = self.config.patches
        return rng.choice(among, count, replace=len(among) < count, p=chances)

    def _owners(self) -> Tensor:
        return torch.arange(self.config.batch_size).repeat_interleave(self.config.patches)


def _on_canvas(values: np.ndarray, side: int) -> np.ndarray:
    """(h, w, …) at the top left of (side, side, …), its edges repeated to the border."""
    height, width = values.shape[:2]
    rest = [(0, 0)] * (values.ndim - 2)
    return np.pad(values, [(0, side - height), (0, side - width), *rest], mode="edge")


def _view(labels: np.ndarray, box: np.ndarray, size: int, flipped: bool) -> np.ndarray:
    """The label map as a view shows it: nearest label of every pixel, (size, size)."""
    middle = (np.arange(size) + 0.5) / size
    columns, rows = (
        np.clip(low + middle * (high - low), 0, length - 1e-3).astype(int)
        for low, high, length in zip(box[:2], box[2:], labels.shape[::-1], strict=True)
    )
    view = labels[rows[:, None], columns]
    return view[:, ::-1] if flipped else view


def _visible(labels: np.ndarray, box: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Share of every segment's pixels whose middle lies in the box."""
    x0, y0, x1, y1 = np.round(box).astype(int)
    return np.bincount(labels[y0:y1, x0:x1].ravel(), minlength=len(areas)) / areas


def _cells(masks: Tensor) -> Tensor:
    cells = max(masks.shape[-1] // CELL, 1)
    return F.adaptive_avg_pool2d(masks.float()[:, None], cells)[:, 0]
