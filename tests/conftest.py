"""Shared by all tests: shape checks on, one thread, and helpers importable by name."""

import os
import sys
from itertools import islice
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

# Minutes each, and mostly of one process: at the end of the list the others would wait for them.
LONGEST = ("test_sweeps.py", "test_kills.py", "test_book.py", "test_processes_of_a_run.py")


def pytest_collection_modifyitems(items):
    """Every process begins with some of the longest modules; `--dist worksteal` gives each a part
    of the list, and takes from the end of a part for whoever has nothing left."""
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    modules = {name: [item for item in items if item.path.name == name] for name in LONGEST}
    rest = iter([item for item in items if item.path.name not in LONGEST])
    total, order = len(items), []
    for number in range(count):
        long = [item for name in LONGEST[number::count] for item in modules[name]]
        share = (total - len(order)) // (count - number)
        order += [*long, *islice(rest, max(share - len(long), 0))]
    items[:] = [*order, *rest]
