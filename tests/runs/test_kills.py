"""Twenty kills at random moments, checkpoint writes among them: what is left is true, and the run
ends bit for bit like one that nobody disturbed."""

import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from templates_in_process import Attempt, Stop

from fsslib.files import PARTIAL
from fsslib.runs.status import read_status
from fsslib.training.journal import read_journal

KILLS = 20
SMALL = {"machine": "cpu workers=0", "seed": 3}
SCENES = {"protocol": "scenes10i image_size=33", "backbone": "scenes-resnet weights=random"}
BATCHES = "batch_size=2 checkpoint_every=1 log_every=1"
TEMPLATES = {
    "train": {**SMALL, **SCENES, "episodes": 4, "recipe": f"scenes steps=12 {BATCHES}"},
    "train_base": {**SMALL, **SCENES, "recipe": f"base_scenes steps=12 {BATCHES}", "pictures": 4},
    "pretrain_moco": {
        **{"scenes": 16, "batch_size": 4, "size": 32, "local_size": 24, "queue": 4, "epochs": 3},
        **{"local_queue": 8, "bn_splits": 1, "monitor_pictures": 6, "monitor_every": 6},
        **{"prepare_workers": 1, "checkpoint_every": 1, "seed": 3},
    },
}


def whole_files(folder: Path) -> list[Path]:
    """All but what a kill between write and rename left under a temporary name."""
    return sorted(path for path in folder.glob("*") if not path.name.startswith(PARTIAL))


def content(folder: Path) -> dict[str, Any]:
    """What a run leaves, without what a clock puts there."""
    left: dict[str, Any] = {}
    for path in whole_files(folder):
        if path.suffix == ".safetensors":
            left[path.name] = {name: t.numpy().tobytes() for name, t in load_file(path).items()}
        if path.name == "metrics.jsonl":
            left[path.name] = timeless(read_journal(path))
        if path.suffix == ".json" and path.name != "status.json":
            left[path.name] = timeless(json.loads(path.read_text()))
    return left


def timeless(value: Any) -> Any:
    """Without what a clock gave, and the revision, which may change while this goes on."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if "seconds" not in k and k != "git"}
    return [timeless(each) for each in value] if isinstance(value, list) else value


def require_truth(folder: Path) -> None:
    """After a kill: the status says so, and every file under its own name is whole."""
    if (status := read_status(folder)) is not None:
        assert status["state"] in ("lost", "finished")
    for path in whole_files(folder):
        if path.suffix == ".json":
            json.loads(path.read_text())
        if path.suffix == ".safetensors":
            load_file(path)
    if (folder / "checkpoint.pt").exists():
        torch.load(folder / "checkpoint.pt", weights_only=True)


def interruptions(draw: random.Random, seconds: float) -> Iterator[dict[str, Any]]:
    """How to kill, in turns: by the clock, and at one of the first moments of writing."""
    for place in cycle(("before a rename", "after a rename", "in a save")):
        yield {"after": draw.uniform(0.05, 1.1 * seconds)}
        yield {"stop": Stop(place, draw.randint(1, 8))}


@pytest.mark.slow
@pytest.mark.parametrize("template", TEMPLATES)
def test_twenty_kills_change_nothing(template, tmp_path):
    environment = {"FSSLIB_DATA": str(tmp_path / "data")}
    whole, folder = tmp_path / "whole" / "run", tmp_path / "killed" / "run"
    begin = time.perf_counter()
    assert Attempt(template, TEMPLATES[template], whole, environment=environment).end() == 0
    seconds, undisturbed = time.perf_counter() - begin, content(whole)
    assert len(undisturbed) >= 2  # weights and journal, at least

    kills, ways = Counter(), interruptions(random.Random(template), seconds)
    while kills.total() < KILLS:
        way = next(ways)
        stop = way.get("stop")
        attempt = Attempt(template, TEMPLATES[template], folder, stop, environment=environment)
        if attempt.end(way.get("after")) == 0:  # it was through before the kill: from the beginning
            assert content(folder) == undisturbed
            shutil.rmtree(folder)
            continue
        kills[stop.where if stop else "clock"] += 1
        require_truth(folder)
    assert Attempt(template, TEMPLATES[template], folder, environment=environment).end() == 0
    assert content(folder) == undisturbed
    assert names(folder) == names(whole)
    assert len(kills) == 4, kills


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
