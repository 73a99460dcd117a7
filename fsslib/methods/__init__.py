"""Few-shot segmenters by name: `build_method("pfenet", backbone, preset="scenes")`."""

from __future__ import annotations

from fsslib.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "fsslib.methods.asgnet": ("ASGNet",),
        "fsslib.methods.bam": ("BAM",),
        "fsslib.methods.base": ("FewShotSegmenter", "Prediction"),
        "fsslib.methods.baselines": (
            "AllForeground",
            "ClipPriorThreshold",
            "MaskedAveragePrototype",
            "PriorThreshold",
        ),
        "fsslib.methods.build": ("PARTS", "PriorSpec", "build_method", "build_prior", "parts_of"),
        "fsslib.methods.clip_dinoiser": ("FineTunedDinoiser", "SupportDinoiser"),
        "fsslib.methods.fssdino": ("FSSDINO",),
        "fsslib.methods.gfsam": ("GFSAM", "GFSAMMaps"),
        "fsslib.methods.grid_prototype": ("GridPrototype",),
        "fsslib.methods.hdmnet": ("HDMNet",),
        "fsslib.methods.hsnet": ("HSNet",),
        "fsslib.methods.insid3": ("INSID3",),
        "fsslib.methods.lfss": ("LFSS", "WordMaskBaseline"),
        "fsslib.methods.panet": ("PANet",),
        "fsslib.methods.pfenet": ("PFENet", "PFENetConfig"),
        "fsslib.methods.pi_clip": ("ClipPrior",),
        "fsslib.methods.prior_source": ("PriorSource",),
        "fsslib.methods.prompted": ("Matcher", "PerSAM"),
        "fsslib.methods.qgnet": ("QGNet",),
        "fsslib.methods.registry": ("METHODS", "PRIORS"),
        "fsslib.methods.words": ("WordPrior",),
    },
)
