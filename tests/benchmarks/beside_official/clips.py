"""PI-CLIP's priors and CLIP-DINOiser's dense probabilities beside their released code, both on a
ViT-B/16 with random weights. Texts are random directions, the same on both sides: no text tower
runs."""

from __future__ import annotations

import contextlib
import copy
import io
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from clones import imported, on_cpu
from pairs import Pair, episode
from PIL import Image
from torch import Tensor

from fsslib.bench import parts
from fsslib.data.episode import Episode
from fsslib.encoders.clip_loading import load_clip
from fsslib.encoders.pass_cache import PassCache
from fsslib.encoders.stages import IMAGENET_MEAN, IMAGENET_STD
from fsslib.layers.weighted_pooling import DinoiserHeads
from fsslib.methods.clip_dinoiser.config import DinoiserConfig
from fsslib.methods.clip_dinoiser.model import ClipDinoiser
from fsslib.methods.pi_clip import ClipPriorConfig, ClipPriors

PRESENT = {"dog": 16, "cat": 15}
"""Names that both sides write alike, and their numbers in the released list of COCO's classes; the
first is the target."""
PIXELS, CLASSES = 448, 21
"""What CLIP-DINOiser sees."""


def pi_clip(clone: Path, size: int) -> Iterator[Pair]:
    """Both priors of an episode as released, labels included; ours also where CLIP has seen the
    pictures before."""
    modules = imported(clone, "model.PI_CLIP", "model.get_cam", "clip.model", "pytorch_grad_cam")
    torch.manual_seed(0)
    encoder = load_clip("ViT-B-16-quickgelu", "random", "bilinear")
    batch = replace(episode(1, size), class_names=(("dog",),), query_classes=(tuple(PRESENT),))
    texts = F.normalize(torch.randn(len(PRESENT), 2, encoder.dim), dim=-1)
    network = modules[2].build_model(dict(encoder.model.state_dict())).float()
    network.load_state_dict(encoder.model.state_dict())
    with tempfile.TemporaryDirectory() as labels:
        official = _PiClip(modules, network, texts, batch, Path(labels))
        for name, cache in (
            ("ours from a warm cache", PassCache(2**31)),
            ("uncached", PassCache()),
        ):
            priors = ClipPriors(encoder, ClipPriorConfig.preset("official"), cache=cache)
            priors.text.made.update(zip(PRESENT, texts, strict=True))

            def ours(priors=priors) -> Tensor:
                maps = priors(batch)
                return torch.cat([maps.vtp.flatten(), maps.vvp.flatten()])

            yield Pair(f"PI-CLIP priors, {name}", ours, official, tolerance=0.02)


class _PiClip:
    """The lines of the released `forward` that make the two priors, by its own functions."""

    def __init__(
        self, modules: list[Any], network: Any, texts: Tensor, batch: Episode, labels: Path
    ) -> None:
        self.main, self.cams, _, self.gradients = modules
        self.network, self.labels = network, labels
        self.texts = torch.zeros(80, 2, texts.shape[-1])
        self.texts[list(PRESENT.values())] = texts
        self.pictures = batch.query_image
        mean, std = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
        self.query, support = (
            (images.float() / 255 - mean) / std
            for images in (batch.query_image, batch.support_images[:, 0, 0])
        )
        self.masks = batch.support_masks[:, 0].float()
        self.support = support * (self.masks == 1).float()
        label = np.zeros(self.pictures.shape[-2:], np.uint8)
        for row, number in enumerate(PRESENT.values()):
            label[8 * row : 8 * row + 8, :8] = number + 1
        (labels / "val2014").mkdir()
        Image.fromarray(label).save(labels / "val2014" / "query.png")

    def __call__(self) -> Tensor:
        with on_cpu():
            maps = self._visual()
            return torch.cat([self._textual(), *(each.flatten() for each in maps)])

    def _visual(self) -> list[Tensor]:
        height, width = self.query.shape[-2:]
        query, support = (
            self.network.encode_image(images, height, width, extract=True)[0]
            for images in (self.query, self.support)
        )
        side = height // 16
        pairs = [[each[i][1:].permute(1, 2, 0) for each in (query, support)] for i in (11, 10)]
        cells = [[each.reshape(1, -1, side, side).float() for each in pair] for pair in pairs]
        return [self.main.get_similarity(*pair, self.masks) for pair in cells]

    def _textual(self) -> Tensor:
        network, last = self.network, self.network.visual.transformer.resblocks[-1]
        cam = self.gradients.GradCAM(
            model=network, target_layers=[last.ln_1], reshape_transform=self.main.reshape_transform
        )
        background, foreground = self.texts[:, 1], self.texts[:, 0]
        target = [next(iter(PRESENT.values()))]
        folder = str(self.labels)
        arguments = (network, background, foreground, cam, folder, False)
        (refined,) = self.cams.get_img_cam(self.pictures, ["query.jpg"], target, *arguments)
        return refined.flatten()


def clip_dinoiser(clone: Path, size: int) -> Iterator[Pair]:
    """Probabilities of 21 classes on CLIP's grid, background not refined."""
    model, mask_clip = imported(
        clone, "models.clip_dinoiser.clip_dinoiser", "models.maskclip.maskclip"
    )
    torch.manual_seed(0)
    encoder = load_clip("ViT-B-16", "random")
    heads = DinoiserHeads(encoder.width)
    ours = ClipDinoiser(encoder, heads, DinoiserConfig(size=None))
    text = F.normalize(torch.randn(CLASSES, encoder.dim), dim=-1)
    network = _dinoiser(clone, model, mask_clip, encoder, heads, text)
    side = min(size, PIXELS) // 16 * 16
    pictures = parts.noise(1, 3, side, side)
    scaled = pictures.float() / 255

    @torch.inference_mode()
    def our_chances() -> Tensor:
        return ours.classify(ours.view(pictures), text, refine=False)

    @torch.no_grad()
    def official() -> Tensor:
        return network(scaled)

    name = f"CLIP-DINOiser dense, {side} px, {CLASSES} classes"
    # Correlations are cut at gamma: one that lies just there falls on either side.
    yield Pair(name, our_chances, official, tolerance=5e-3)


def _dinoiser(
    clone: Path, model: Any, mask_clip: Any, encoder: Any, heads: DinoiserHeads, text: Tensor
) -> Any:
    """Their network around a copy of our CLIP, which they walk in open_clip's older order, tokens
    before pictures."""
    twin = copy.deepcopy(encoder.model)
    twin.visual.transformer.batch_first = False
    for block in twin.visual.transformer.resblocks:
        block.attn.batch_first = False
    with (
        patch.object(mask_clip, "create_model_from_pretrained", lambda *_, **__: (twin, None)),
        patch.object(mask_clip.MaskClipHead, "_get_class_embeddings", lambda *_: text),
        contextlib.chdir(clone),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        network = model.CLIP_DINOiser("maskclip", [str(n) for n in range(CLASSES)]).eval()
    network.obj_proj.load_state_dict(heads.obj_proj.state_dict())
    network.bkg_decoder.load_state_dict(heads.bkg_decoder.state_dict())
    return network
