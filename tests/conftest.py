"""Shared by all tests: shape checks on, one thread, and helpers importable by name."""

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import hypothesis
import torch
from jaxtyping import install_import_hook

torch.set_num_threads(1)

# The same examples on every machine, and few of them: a test that fails now fails for everybody.
hypothesis.settings.register_profile(
    "fixed", derandomize=True, database=None, deadline=None, max_examples=60
)
hypothesis.settings.load_profile("fixed")

# Signatures carry jaxtyping shapes; beartype checks them on every call, in the tests only.
CHECKED = ("priors", "layers", "methods", "encoders", "evaluation")
install_import_hook([f"fsslib.{room}" for room in CHECKED], "typechecker.check")
