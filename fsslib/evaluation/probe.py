"""What frozen features are good for, without training: naming objects by class prototypes.

On half of some labelled pictures every class gets a prototype, the mean feature over all its cells;
on the other half every object pixel gets the class whose prototype is nearest by cosine, both seen
from the mean of all features, which an untrained network's all but coincide with (mIoU, without
background). And each class shown has a map, its prototype's similarity everywhere in the picture,
which should be brighter on the class than beside it (AUROC, half is chance). Borders are left out.

A contrastive loss says nothing of this: a pretraining that looks healthy by its loss may have
learned to tell batches apart.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from fsslib.data.benchmark import Benchmark
from fsslib.data.episode import IGNORE
from fsslib.data.scenes import CLASS_NAMES, render_scene
from fsslib.data.transforms import pad_to_square
from fsslib.encoders.stages import StageBackbone
from fsslib.evaluation.map_scores import auroc
from fsslib.evaluation.meter import Meter

SPLIT = "moco-val"
"""Scenes that no training and no other evaluation uses."""


class PrototypeProbe:
    """`probe(backbone)` gives `prototype_miou` and `prototype_auroc` of its layer4, 0..1;
    `probe(backbone, "layer2")` those of another layer.

    Args:
        images, labels: of the same pictures; 0 and 255 in a label stand for no class. The first
            half makes the prototypes.
        classes: class ids are 1 .. classes.
    """

    def __init__(
        self,
        images: UInt8[Tensor, "n 3 h w"],
        labels: UInt8[Tensor, "n h w"],
        classes: int,
        batch_size: int = 16,
    ) -> None:
        if len(images) < 2:
            raise ValueError(f"{len(images)} pictures; expected two at least, one for each half")
        self.images, self.labels = images, labels
        self.classes, self.batch_size = classes, batch_size

    @classmethod
    def of_scenes(cls, count: int, size: int = 96, seed: int = 0) -> PrototypeProbe:
        """Held-out scenes."""
        scenes = [render_scene(SPLIT, seed, index, size) for index in range(count)]
        images = torch.from_numpy(np.stack([scene.image for scene in scenes]))
        labels = torch.from_numpy(np.stack([scene.label for scene in scenes]))
        return cls(images.permute(0, 3, 1, 2), labels, len(CLASS_NAMES))

    @classmethod
    def of_benchmark(cls, benchmark: Benchmark, count: int, size: int) -> PrototypeProbe:
        """`count` pictures spread over the train split: its labels serve this look only."""
        total = len(benchmark.areas("train"))
        chosen = np.linspace(0, total - 1, min(count, total)).astype(int)
        chosen = np.concatenate([chosen[::2], chosen[1::2]])  # both halves from all of the list
        samples = [benchmark.load("train", int(index)) for index in chosen]
        pairs = [
            pad_to_square(
                torch.from_numpy(sample.image).permute(2, 0, 1),
                torch.from_numpy(sample.label),
                size,
            )
            for sample in samples
        ]
        images, labels = (torch.stack(part) for part in zip(*pairs, strict=True))
        return cls(images, labels, len(benchmark.class_names))

    @torch.inference_mode()
    def __call__(self, backbone: StageBackbone, layer: str = "layer4") -> dict[str, float]:
        half = len(self.images) // 2
        centre, prototypes = self._prototypes(backbone, layer, slice(0, half))
        meter, areas = Meter(), []
        for part in self._parts(slice(half, len(self.images))):
            features = F.normalize(self._features(backbone, layer, part) - centre, dim=1)
            scores = torch.einsum("bchw,kc->bkhw", features, prototypes).cpu()
            full = F.interpolate(scores, self.labels.shape[-2:], mode="bilinear")
            predictions = (full.argmax(1) + 1).to(torch.uint8)
            for score, prediction, label in zip(
                scores, predictions, self.labels[part], strict=True
            ):
                meter.add(prediction, _objects_only(label), range(1, self.classes + 1))
                areas += _areas(score, label)
        return {"prototype_miou": meter.miou(), "prototype_auroc": sum(areas) / len(areas)}

    def _prototypes(
        self, backbone: StageBackbone, layer: str, chosen: slice
    ) -> tuple[Float[Tensor, "c 1 1"], Float[Tensor, "classes c"]]:
        """The mean of all features, and unit vectors from there to each class's mean; zero for a
        class that no picture shows."""
        ids = torch.arange(1, self.classes + 1)[:, None, None]
        total, sums, areas, cells = 0.0, 0.0, 0.0, 0
        for part in self._parts(chosen):
            features = self._features(backbone, layer, part)
            masks = (self.labels[part][:, None] == ids).float().to(features.device)
            masks = F.adaptive_avg_pool2d(masks, features.shape[-2:])
            total, cells = total + features.sum((0, 2, 3)), cells + features[:, 0].numel()
            sums = sums + torch.einsum("bchw,bkhw->kc", features, masks)
            areas = areas + masks.sum((0, 2, 3))[:, None]
        centre = total / cells
        return centre[:, None, None], F.normalize(sums - areas * centre, dim=1)

    def _features(
        self, backbone: StageBackbone, layer: str, part: slice
    ) -> Float[Tensor, "b c h w"]:
        return getattr(backbone(self.images[part].to(backbone.mean.device)), layer)

    def _parts(self, chosen: slice) -> list[slice]:
        starts = range(chosen.start, chosen.stop, self.batch_size)
        return [slice(start, min(start + self.batch_size, chosen.stop)) for start in starts]


def _objects_only(label: Tensor) -> Tensor:
    return torch.where(label == 0, IGNORE, label).to(torch.uint8)


def _areas(scores: Float[Tensor, "classes h w"], label: UInt8[Tensor, "H W"]) -> list[float]:
    """AUROC of each class that the picture shows, against all that is not it."""
    ids = [i for i in label.unique().tolist() if i not in (0, IGNORE)]
    masks = [torch.where(label == IGNORE, IGNORE, (label == i).to(torch.uint8)) for i in ids]
    pairs = [(i, mask) for i, mask in zip(ids, masks, strict=True) if (mask == 0).any()]
    if not pairs:
        return []
    maps = torch.stack([scores[i - 1] for i, _ in pairs])
    return auroc(maps, torch.stack([mask for _, mask in pairs]).to(torch.uint8)).tolist()
