"""Few-shot segmenters by name: `build_method("pfenet", backbone, preset="scenes")`."""

from __future__ import annotations

from fsslib.methods.asgnet import ASGNet
from fsslib.methods.bam import BAM
from fsslib.methods.base import METHODS, FewShotSegmenter, Prediction
from fsslib.methods.baselines import (
    AllForeground,
    ClipPriorThreshold,
    MaskedAveragePrototype,
    PriorThreshold,
)
from fsslib.methods.build import PARTS, PriorSpec, build_method, build_prior, parts_of
from fsslib.methods.clip_dinoiser import FineTunedDinoiser, SupportDinoiser
from fsslib.methods.fssdino import FSSDINO
from fsslib.methods.gfsam import GFSAM, GFSAMMaps
from fsslib.methods.grid_prototype import GridPrototype
from fsslib.methods.hdmnet import HDMNet
from fsslib.methods.hsnet import HSNet
from fsslib.methods.insid3 import INSID3
from fsslib.methods.lfss import LFSS, WordMaskBaseline
from fsslib.methods.panet import PANet
from fsslib.methods.pfenet import PFENet, PFENetConfig
from fsslib.methods.pi_clip import ClipPrior
from fsslib.methods.prior_source import PRIORS, PriorSource
from fsslib.methods.prompted import Matcher, PerSAM
from fsslib.methods.qgnet import QGNet
from fsslib.methods.words import WordPrior

__all__ = [
    "BAM",
    "FSSDINO",
    "GFSAM",
    "INSID3",
    "LFSS",
    "METHODS",
    "PARTS",
    "PRIORS",
    "ASGNet",
    "AllForeground",
    "ClipPrior",
    "ClipPriorThreshold",
    "FewShotSegmenter",
    "FineTunedDinoiser",
    "GFSAMMaps",
    "GridPrototype",
    "HDMNet",
    "HSNet",
    "MaskedAveragePrototype",
    "Matcher",
    "PANet",
    "PFENet",
    "PFENetConfig",
    "PerSAM",
    "Prediction",
    "PriorSource",
    "PriorSpec",
    "PriorThreshold",
    "QGNet",
    "SupportDinoiser",
    "WordMaskBaseline",
    "WordPrior",
    "build_method",
    "build_prior",
    "parts_of",
]
