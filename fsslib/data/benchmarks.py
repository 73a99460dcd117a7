"""Which benchmarks there are, and in which module each lies: a table that imports none of them."""

from __future__ import annotations

from fsslib.registry import Registry

BENCHMARKS: Registry = Registry(
    "benchmark",
    "fsslib.data.benchmark:Benchmark",
    {
        "scenes10i": "fsslib.data.scenes.benchmark",
        "pascal5i": "fsslib.data.pascal",
        "coco20i": "fsslib.data.coco",
        "folder": "fsslib.data.folder",
    },
)
"""All benchmarks by name."""
