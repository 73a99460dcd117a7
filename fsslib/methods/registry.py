"""Which methods and prior sources there are, and in which module each lies.

A table, so that a run's parameters can be read, checked and explained before any network is
imported. A new one registers in its module, `@METHODS.register("mine")`, and has its row here.
"""

from __future__ import annotations

from fsslib.registry import Registry

METHODS: Registry = Registry(
    "method",
    "fsslib.methods.base:FewShotSegmenter",
    {
        "all_foreground": "fsslib.methods.baselines",
        "asgnet": "fsslib.methods.asgnet",
        "bam": "fsslib.methods.bam",
        "clip_dinoiser": "fsslib.methods.clip_dinoiser.variants",
        "clip_dinoiser_finetuned": "fsslib.methods.clip_dinoiser.finetuned",
        "clip_prior": "fsslib.methods.baselines",
        "fssdino": "fsslib.methods.fssdino",
        "gfsam": "fsslib.methods.gfsam",
        "gfsam_maps": "fsslib.methods.gfsam",
        "grid_prototype": "fsslib.methods.grid_prototype",
        "hdmnet": "fsslib.methods.hdmnet",
        "hsnet": "fsslib.methods.hsnet",
        "insid3": "fsslib.methods.insid3",
        "lfss": "fsslib.methods.lfss.network",
        "matcher": "fsslib.methods.prompted",
        "panet": "fsslib.methods.panet",
        "persam": "fsslib.methods.prompted",
        "pfenet": "fsslib.methods.pfenet",
        "prior_threshold": "fsslib.methods.baselines",
        "prototype": "fsslib.methods.baselines",
        "qgnet": "fsslib.methods.qgnet",
        "talk2dino": "fsslib.methods.talk2dino",
        "word_mask": "fsslib.methods.lfss.pseudo_masks",
    },
)
"""All methods by name."""

PRIORS: Registry = Registry(
    "prior",
    "fsslib.methods.prior_source:PriorSource",
    {
        "constant": "fsslib.methods.prior_source",
        "hdmnet": "fsslib.methods.hdmnet",
        "none": "fsslib.methods.prior_source",
        "pfenet": "fsslib.methods.pfenet",
        "pi_clip": "fsslib.methods.pi_clip.source",
        "region": "fsslib.methods.qgnet",
        "word": "fsslib.methods.words",
    },
)
"""All sources of priors by name; `own` and combinations, "pi_clip+region", are understood, too."""
