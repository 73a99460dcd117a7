"""Help and refusals come before anything heavy is imported.

How long that takes is measured by `tests/benchmarks/bench_commands.py`; here is only looked at what
has been loaded.
"""

import json
import subprocess
import sys

import pytest
from PIL import Image

from fsslib.__main__ import COMMANDS
from fsslib.methods.registry import METHODS, PRIORS

HEAVY = ["torch", "torchvision", "open_clip", "timm", "scipy", "matplotlib", "papermill"]
HELP = [
    [],
    *([name] for name in COMMANDS),
    *(["run", name] for name in ("train", "evaluate", "train_base", "zero_shot", "pretrain_moco")),
    *(["data", name] for name in ("check", "download", "export-episodes")),
    *(["bench", name] for name in ("encoders", "methods", "training", "show", "publish")),
    ["interop", "inspect"],
    ["runs", "study"],
]
REFUSED = [
    ["stduy"],
    ["run", "nosuchtemplate"],
    ["run", "train", "-p", "nosuch=1"],
    ["run", "train", "-p", "lr=fast"],
    ["run", "train", "-p", "lr"],
    ["run", "evaluate", "-p", "fold=9"],
    ["run", "evaluate", "-p", "method=pfnet"],
    ["run", "evaluate", "-p", "protocol=pascal6i"],
    ["run", "train", "--nosuch"],
    ["study", "nosuch"],
    ["sweep", "nosuch.yaml"],
    ["status", "nosuch"],
    ["data", "check", "nosuch"],
    ["bench", "methods", "-p", "shot=x"],
    ["interop", "inspect"],
    ["segment", "nosuch.jpg", "--support", "nosuch.jpg"],
    ["segment", "{picture}", "--support", "{picture}", "--mask", "nosuch.png"],
    ["segment", "{picture}", "--support", "a={picture}", "--mask", "b=0 0 9 9"],
    ["segment", "{picture}", "--name", "hose"],
    ["segment", "{picture}", "--name", "fish", "--method", "nosuch"],
    ["segment", "--nosuch"],
]
CODE = """
import json, sys
from fsslib.__main__ import main
try:
    status = main({arguments})
except SystemExit as left:
    status = left.code
loaded = [name for name in {heavy} if name in sys.modules]
print(json.dumps([status, loaded]))
"""


def carried_out(arguments):
    """Exit status, heavy modules that were loaded, what was printed."""
    code = CODE.format(arguments=arguments, heavy=HEAVY)
    completed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    *text, last = completed.stdout.splitlines()
    return *json.loads(last), "\n".join(text), completed.stderr


@pytest.mark.parametrize("words", HELP, ids=" ".join)
def test_help_is_light_and_has_examples(words):
    status, loaded, text, _ = carried_out([*words, "--help"])
    assert status == 0 and not loaded
    assert "examples:" in text or "\nfsslib " in text, "no example"


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_a_refusal_is_light(words, tmp_path):
    Image.new("RGB", (64, 64)).save(picture := tmp_path / "picture.png")
    status, loaded, _, error = carried_out([w.format(picture=picture) for w in words])
    assert status in (1, 2) and not loaded
    assert "error: " in error.casefold() and "Traceback" not in error


@pytest.mark.parametrize("registry", [METHODS, PRIORS], ids=lambda registry: registry.kind)
def test_the_table_of_a_registry_is_what_registers(registry):
    for name, module in registry.modules.items():
        kind = registry.get(name)
        assert kind.name == name and kind.__module__ == module
    assert set(registry.names()) == set(registry.modules)
