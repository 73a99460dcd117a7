"""Runs a method over a test list and scores it as the protocol says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from fsslib.data.benchmark import BENCHMARKS, Benchmark
from fsslib.data.episode import IGNORE, Episode
from fsslib.data.loading import EpisodeReader, ListedEpisodes, batches
from fsslib.data.protocol import Protocol
from fsslib.data.sampler import EpisodeSpec, list_hash
from fsslib.data.transforms import padded_size
from fsslib.evaluation.absence import sureness
from fsslib.evaluation.counting import tally
from fsslib.evaluation.episode_table import EpisodeTable
from fsslib.evaluation.map_scores import MapMeter
from fsslib.evaluation.meter import Meter, episode_table
from fsslib.evaluation.sharing import own_episodes, together
from fsslib.layers.resize import resize
from fsslib.methods.base import FewShotSegmenter
from fsslib.settings import Precision
from fsslib.training.precision import autocast
from fsslib.training.processes import ALONE, Share

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Scores:
    """A finished evaluation."""

    meter: Meter
    list_hash: str
    seconds: float
    names: dict[int, str]
    table: EpisodeTable
    """What was counted, episode by episode."""
    maps: dict[str, MapMeter] = field(default_factory=dict)
    """How well those maps point that were asked for."""
    absence: dict[str, Any] = field(default_factory=dict)
    """How well "not there" is said, of a list that asks it."""

    def to_dict(self) -> dict[str, Any]:
        """The part of `results.json` that the evaluation answers for; scores in 0..1, areas in
        pixels. What each number is, its method in `Meter` says; a class's `accuracy` is the share
        of its pixels that are called so (its recall)."""
        per_class = {
            self.names[c]: {
                "class_id": c,
                **row,
                "iou": row["intersection"] / max(row["union"], 1),
                "accuracy": row["intersection"] / max(row["target"], 1),
            }
            for c, row in self.meter.per_class().items()
        }
        maps = {name: meter.to_dict() for name, meter in self.maps.items()}
        return {
            "miou": self.meter.miou(),
            "miou_interval": list(self.meter.interval("miou")),
            "miou_with_background": self.meter.miou_with_background(),
            "fb_iou": self.meter.fb_iou(),
            "fb_iou_interval": list(self.meter.interval("fb_iou")),
            "per_episode_iou": float(self.meter.per_episode().mean()),
            "mean_accuracy": self.meter.mean_accuracy(),
            "pixel_accuracy": self.meter.pixel_accuracy(),
            "classes_seen": len(per_class),
            "episodes": len(self.meter),
            "episode_list": self.list_hash,
            "per_class": per_class,
            "evaluation_seconds": round(self.seconds, 2),
            **({"maps": maps} if maps else {}),
            **({"absence": self.absence} if self.absence else {}),
        }


@torch.inference_mode()
def evaluate(
    method: FewShotSegmenter,
    benchmark: Benchmark,
    protocol: Protocol,
    specs: list[EpisodeSpec],
    device: str = "cpu",
    batch_size: int = 8,
    workers: int = 0,
    report: Report | None = None,
    maps: Sequence[str] = (),
    share: Share = ALONE,
    precision: Precision = "fp32",
) -> Scores:
    """Score `method` on the episodes `specs`.

    Args:
        report: called with (episodes done, episodes), of its own, after every batch.
        maps: names of the method's maps that are scored, too; of 1-way episodes.
        share: of the batches, which several processes take in turn; each gets all of their scores.
        precision: of the method's forward pass; scores are counted in fp32.
    """
    start, meter = perf_counter(), Meter()
    own = own_episodes(len(specs), batch_size, share)
    reader = EpisodeReader(benchmark, protocol)
    episodes: Dataset = ListedEpisodes(reader, [specs[number] for number in own])
    map_meters = {name: MapMeter() for name in maps}
    with evaluating(method):
        for batch in batches(episodes, batch_size, workers, device):
            score_batch(method, batch, protocol, meter, map_meters, precision)
            if report:
                report(len(meter), len(own))
    if share.of > 1:
        meter, map_meters = together(own, meter, map_meters)
    names = {c: benchmark.name_of(c) for c in meter.class_ids()}
    table = episode_table(meter, benchmark, specs)
    return Scores(meter, list_hash(specs), perf_counter() - start, names, table, map_meters)


@contextmanager
def evaluating(method: FewShotSegmenter) -> Iterator[None]:
    """The method in evaluation mode; afterwards in the mode it had, also after an error."""
    was_training = method.training
    method.eval()
    try:
        yield
    finally:
        method.train(was_training)


def score_batch(
    method: FewShotSegmenter,
    batch: Episode,
    protocol: Protocol,
    meter: Meter,
    map_meters: Mapping[str, MapMeter] | None = None,
    precision: Precision = "fp32",
) -> None:
    """Predict a batch and count it. The device is waited for once, whatever the batch's size, and
    once more where absent objects are asked for."""
    with autocast(precision, batch.query_image.device):
        prediction = method(batch)
    for name, map_meter in (map_meters or {}).items():
        map_meter.add(prediction.maps[name][:, 0].float(), batch.query_mask)
    logits = prediction.logits.float()
    if protocol.queries == "half_absent":  # of the surest class, where there are several
        confidences = [sureness(each[1:]).max() for each in logits.softmax(1)]
        numbers = range(len(meter), len(meter) + len(batch))
        meter.sureness |= dict(zip(numbers, torch.stack(confidences).tolist(), strict=True))
    pairs = (compare_at(logits[b], batch, b, protocol) for b in range(len(batch)))
    tallies = torch.stack([tally(*pair, batch.way) for pair in pairs])
    rows = torch.cat([tallies, batch.class_ids], 1).cpu().numpy()
    for row, ids in zip(rows, batch.ids, strict=True):
        meter.add_tally(row[: -batch.way], row[-batch.way :].tolist(), ids[0])


def compare_at(
    logits: Float[Tensor, "n1 s s"], episodes: Episode, number: int, protocol: Protocol
) -> tuple[UInt8[Tensor, "h w"], UInt8[Tensor, "h w"]]:
    """Prediction and target of one episode of a batch, at the protocol's resolution."""
    target = episodes.query_mask[number]
    original = episodes.original_mask[number] if episodes.original_mask else None
    if original is not None and protocol.resolution == "original":
        logits, target = at_original(logits, original.shape, protocol), original
        content = tuple(original.shape)
    elif original is not None and protocol.fit == "pad" and original.shape != target.shape:
        content = padded_size(*original.shape, protocol.image_size)
    else:
        content = tuple(target.shape)
    target = target.to(logits.device, non_blocking=True).clone()
    if protocol.border == "background":
        # Only the photograph's own border: what padding added was never part of the image.
        inside = target[: content[0], : content[1]]
        inside.masked_fill_(inside == IGNORE, 0)
    return logits.argmax(0).byte(), target


def at_original(
    logits: Float[Tensor, "n1 s s"], size: tuple[int, int], protocol: Protocol
) -> Float[Tensor, "n1 h w"]:
    """Logits at the photograph's size.

    `pad`: PFENet resizes to the square of the longer side and reads the label's corner of it, as if
    the photograph filled its side of the canvas. On one's own pictures, which no paper's score is
    compared with, what padding added is cut off first, so that nothing is displaced.
    """
    height, width = size
    if (height, width) == tuple(logits.shape[-2:]):
        return logits
    if protocol.fit == "stretch":
        return resize(logits[None], (height, width))[0]
    if BENCHMARKS.get(protocol.benchmark).identified_by_root:
        inside = padded_size(height, width, protocol.image_size)
        return F.interpolate(logits[None, :, : inside[0], : inside[1]], size, mode="bilinear")[0]
    longer = max(height, width)
    return resize(logits[None], (longer, longer))[0, :, :height, :width]
