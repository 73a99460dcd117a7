"""Ways to answer, best first, and the published scores that they were chosen by.

Each way names rows of the study `frontier` that stand for it, and those that it was chosen from:
no row of these is better by more than its paired interval (`evidence.py` makes a page of it, a test
holds the table to that). Where weights are not here, the embedded encoders stand for them: what
reads features best on both is taken, since nothing better has been measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fsslib.own_pictures.encoders import EMBEDDED, Encoder

SCENES_SIDE, PHOTOGRAPH_SIDE = 97, 473
"""Sides of the networks' inputs in pixels: as trained here, and as published."""
ON_CLIP = "clip_prototype* clip_fssdino* clip_insid3* clip_gfsam*"
"""Rows of what reads the cells of any encoder, here CLIP's."""


@dataclass(frozen=True)
class Question:
    """What is known of the objects.

    Attributes:
        masks: whether supports and their masks are given.
        named: whether all classes have names; `known`: names that the embedded CLIPs have read.
        several: whether there is more than one class.
    """

    masks: bool
    named: bool
    known: bool
    several: bool = False


@dataclass(frozen=True)
class Way:
    """One way to answer.

    Attributes:
        encoder: the family of `encoders.encoder_of` that it reads.
        masks, named, known: what it needs of the question. several: None: any number of classes.
        parameters: of the run template `evaluate`; "{weights}" stands for the encoder's text.
        side: of the network's square input, in pixels.
        rows: of the study `frontier`: what stands for it -> patterns of those that it was chosen
            from, among rows of as many classes and shots.
    """

    encoder: str
    parameters: Mapping[str, str]
    side: int = PHOTOGRAPH_SIDE
    masks: bool = False
    named: bool = False
    known: bool = False
    several: bool | None = None
    rows: Mapping[str, str] = field(default_factory=dict)

    def fits(self, encoder: Encoder, question: Question) -> bool:
        """Whether it reads this encoder, and has all that it needs."""
        needs = ((self.masks, question.masks), (self.named, question.named))
        enough = all(
            available for needed, available in (*needs, (self.known, question.known)) if needed
        )
        counts = self.several in (None, question.several)
        return self.encoder == encoder.family and enough and counts


WAYS = {
    "mask and word: PFENet on PI-CLIP's priors": Way(
        EMBEDDED,
        {"method": "pfenet", "prior": "pi_clip", "head": "shipped"},
        SCENES_SIDE,
        masks=True,
        known=True,
        several=False,
        rows={"pfenet+pi_clip": "*"},
    ),
    "masks and words: HDMNet on PI-CLIP's priors": Way(
        EMBEDDED,
        {"method": "hdmnet", "prior": "pi_clip", "head": "shipped"},
        SCENES_SIDE,
        masks=True,
        known=True,
        several=True,
        rows={"hdmnet+pi_clip_2way": "*"},
    ),
    "a mask alone: GF-SAM's maps, object against background": Way(
        EMBEDDED,
        {"method": "gfsam_maps", "encoder": "scenes-clip-vit"},
        SCENES_SIDE,
        masks=True,
        several=False,
        rows={"clip_gfsam_maps": "clip_* pfenet hdmnet"},
    ),
    "masks alone: PI-CLIP's visual prior": Way(
        EMBEDDED,
        {"method": "clip_prior", "prior": "pi_clip preset=scenes vtp=false"},
        SCENES_SIDE,
        masks=True,
        several=True,
        rows={"clip_vvp_2way": "clip_* pfenet_2way hdmnet_2way"},
    ),
    "a word alone: PI-CLIP's visual-text prior": Way(
        EMBEDDED,
        {"method": "clip_prior", "prior": "pi_clip preset=scenes vvp=false"},
        SCENES_SIDE,
        known=True,
        rows={"word": "word"},
    ),
    "nothing trained: the nearer of two prototypes": Way(
        "backbone",
        {"method": "grid_prototype", "encoder": "{weights}"},
        masks=True,
        rows={"resnet_prototype": "resnet_*", "resnet_prototype_2way": "resnet_*"},
    ),
    "nothing trained: GF-SAM's maps, object against background": Way(
        "timm_vit",
        {"method": "gfsam_maps preset=official", "encoder": "{weights}"},
        masks=True,
        several=False,
        rows={"clip_gfsam_maps": ON_CLIP, "resnet_gfsam_maps": "resnet_*"},
    ),
    "nothing trained: the nearest prototype": Way(
        "timm_vit",
        {"method": "grid_prototype", "encoder": "{weights}"},
        masks=True,
        several=True,
        rows={"clip_prototype_2way": ON_CLIP, "resnet_prototype_2way": "resnet_*"},
    ),
    "nothing trained: PI-CLIP's visual prior of several classes": Way(
        "open_clip",
        {"method": "clip_prior", "prior": "pi_clip preset=official vtp=false", "clip": "{weights}"},
        masks=True,
        several=True,
        rows={"clip_vvp_2way": "clip_*"},
    ),
    "nothing trained: PI-CLIP's visual-text prior": Way(
        "open_clip",
        {"method": "clip_prior", "prior": "pi_clip preset=official vvp=false", "clip": "{weights}"},
        named=True,
        rows={"word": "word clip_*"},
    ),
    "nothing trained: GF-SAM's maps on CLIP's cells": Way(
        "open_clip",
        {"method": "gfsam_maps preset=official", "encoder": "{weights}"},
        masks=True,
        rows={"clip_gfsam_maps": "clip_*"},
    ),
}
"""By the reason, one clause that the answer gives; best first, for each family of encoders."""
