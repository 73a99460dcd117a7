"""Parameters of runs, up to the moment in which a kernel would start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fsslib.runs import runner
from fsslib.runs.__main__ import main
from fsslib.runs.config import CONFIGS
from hostile.judge import Case

VALUES: tuple[Any, ...] = (
    *(None, True, "", " ", "=", "a=b=c", "x y z", "nonsense", "nonsense x=1", "'", '"open'),
    *(-1, 0, 0.5, 2**63, 2**70, -(2**70), 1e300, float("nan"), float("inf"), int("1" * 400)),
    *([], [1], [None], {}, {"a": 1}, "1" * 5000, "x" * 5000, "~nosuchuser/x", "a\0b", "/nope"),
    *("x" * 300, "../" * 50, "{x}", "%s", "😀", "a:b", "os:path", "nosuch.py:X", "+", "a+b"),
    *("scenes x=[[[", "scenes lr=!!python/name:os.system", "scenes steps=2001-99-99", "\n", "-"),
)
"""Each is given to parameters of any kind."""
ANY = 300
"""Parameters and values paired at random."""
REFUSED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("train", {"precision": "fp16", "device": "cpu"}),
    ("train_base", {"precision": "fp16", "device": "cpu"}),
    ("pretrain_dino", {"precision": "fp16", "device": "cpu"}),
    ("evaluate", {"evaluation_precision": "fp16", "device": "cpu"}),
    ("evaluate", {"method": "prior_threshold", "settings": "threshold=7"}),
    ("evaluate", {"method": "clip_prior", "pi_clip": "scenes blocks=-2"}),
    ("evaluate", {"method": "clip_prior", "pi_clip": "scenes rounds=-5"}),
    ("evaluate", {"method": "clip_prior", "pi_clip": "scenes scale=0"}),
    ("evaluate", {"method": "clip_prior", "clip_weights": "/nope"}),
    ("evaluate", {"minimum_object_pixels": -1}),
    ("evaluate", {"image_size": 10**9}),
    ("evaluate", {"episode_seed": 2**64}),
    ("evaluate", {"episode_seed": -1}),
    ("evaluate", {"device": "mps"}),
    ("evaluate", {"device": "cuda:77"}),
    ("evaluate", {"preset": "nonsense"}),
    ("evaluate", {"clip_weights": "nonsense"}),
    ("evaluate", {"coco_folds": "contiguous"}),
    ("evaluate", {"train_list": "sbd_aug"}),
    ("evaluate", {"weights": "~nosuchuser/x"}),
    ("evaluate", {"weights": "nonsense"}),
    ("evaluate", {"benchmark": "folder", "root": "/nope"}),
    ("evaluate", {"benchmark": "folder", "root": "~nosuchuser"}),
    ("evaluate", {"benchmark": "pascal5i", "root": "/nope"}),
    ("evaluate", {"method": "pfenet", "head": "/nope"}),
    ("evaluate", {"method": "pfenet", "head": "x" * 5000}),
    ("evaluate", {"method": "hsnet", "head": "shipped"}),
    ("evaluate", {"method": "pfenet", "head": "shipped", "pi_clip": "nonsense"}),
    ("evaluate", {"method": "bam", "head": "shipped", "base": "/nope"}),
    ("evaluate", {"episodes_file": "/nope"}),
    ("evaluate", {"method": "clip_dinoiser", "heads": "/nope"}),
    ("evaluate", {"words": "scenes"} | {"words": "paper"}),
    ("train", {"pi_clip": "nonsense"}),
    ("train", {"preset": "nonsense"}),
    ("train", {"method": "panet", "base": "/does/not/exist"}),
    ("train", {"patience": 3}),
    ("train", {"seed": 2**64}),
    ("train", {"steps": 10**30}),
    ("train", {"backbone": "resnet50", "weights": "/nope"}),
    ("train", {"backbone": "timm/resnet18", "weights": "/nope"}),
    ("train_base", {"shot": 3}),
    ("train_base", {"weights": "/nope"}),
    ("train_base", {"preset": "nonsense"}),
    ("pretrain_backbone", {"episodes": 2**70}),
    ("pretrain_clip", {"start": "/nope"}),
    ("pretrain_clip", {"model": "RN50-quickgelu", "start": "/nope"}),
    ("pretrain_clip", {"teacher": "nope"}),
    ("pretrain_clip", {"data": "/nope"}),
    ("pretrain_clip", {"size": 0}),
    ("pretrain_dino", {"lr": -1}),
    ("pretrain_dino", {"data": "/nope"}),
    ("pretrain_moco", {"queue": -1}),
    ("pretrain_moco", {"data": "/nope"}),
    ("pretrain_moco", {"data": "coco20i", "recipe": "auto", "root": "/nope"}),
    ("train_dinoiser", {"gamma": 7}),
    ("train_dinoiser", {"dino_weights": "/nope"}),
    ("train_dinoiser", {"found_head": "/nope"}),
    ("train_dinoiser", {"clip_weights": "/nope"}),
    ("train_dinoiser", {"data": "/nope"}),
    ("zero_shot", {"fold": 2}),
    ("zero_shot", {"heads": "/nope"}),
    ("zero_shot", {"benchmark": "coco20i", "root": "/nope"}),
)
COMMANDS: dict[str, tuple[list[str], int]] = {
    "twice": (["run", "evaluate", "-p", "fold=0", "-p", "fold=1"], 2),
    "yaml": (["run", "evaluate", "-p", "fold=[["], 2),
    "no_name": (["run", "evaluate", "-p", "=3"], 2),
    "no_value": (["run", "evaluate", "-p", "fold"], 2),
    "digits": (["run", "evaluate", "-p", "fold=" + "9" * 5000], 2),
    "tag": (["run", "evaluate", "-p", "fold=!!python/object/apply:os.mkdir [executed]"], 2),
    "template": (["run", "nonsense"], 2),
    "long_out": (["run", "evaluate", "--out", "x" * 300], 2),
    "user_out": (["run", "evaluate", "--out", "~nosuchuser/x"], 2),
    "file_out": (["run", "evaluate", "--out", "/dev/null/x"], 1),
    "closed_out": (["run", "evaluate", "--out", "/proc/nope/x"], 1),
    "system_out": (["run", "evaluate", "--out", "/sys/kernel"], 1),
    "no_folder": (["status", "/nope"], 1),
    "no_results": (["table", "/nope"], 1),
    "long_folder": (["table", "x" * 5000], 1),
}


def _before_a_kernel(template: str, parameters: dict[str, Any], folder: Path) -> None:
    runner.execute = lambda *_: None  # in a process of its own, which ends here
    runner.run(template, parameters, folder / "run")


def _command(words: list[str], expected: int, folder: Path) -> None:
    runner.execute = lambda *_: None
    try:
        status = main(words)
    except SystemExit as error:
        status = error.code
    if status != expected:
        raise AssertionError(f"exit status {status}, expected {expected}")


def _in_place(name: str) -> Callable[[Path], None]:
    """A folder with something of one's own in it is never run in."""

    def act(folder: Path) -> None:
        (folder / "run").mkdir()
        (folder / "run" / name).write_text("mine")
        try:
            _before_a_kernel("evaluate", {}, folder)
        finally:
            if (folder / "run" / name).read_text() != "mine":
                (folder / "executed").mkdir()

    return act


def cases() -> Iterator[Case]:
    for number, (template, settings) in enumerate(REFUSED):
        act = partial(_before_a_kernel, template, settings)
        yield Case("parameters", f"{template}_{'_'.join(settings)}_{number}", act, "refused")
    rng = np.random.default_rng(4)
    for number in range(ANY):
        template = list(CONFIGS)[number % len(CONFIGS)]
        names = sorted(CONFIGS[template].accepts())
        settings = {names[int(rng.integers(len(names)))]: VALUES[int(rng.integers(len(VALUES)))]}
        act = partial(_before_a_kernel, template, settings)
        yield Case("parameters", f"{template}_{next(iter(settings))}_any_{number}", act)
    for name, (words, status) in COMMANDS.items():
        yield Case("commands", name, partial(_command, words, status), "handled")
    for name in ("run.ipynb", "predictions.png", "notes.txt", "results.json", "checkpoint.pt"):
        yield Case("commands", f"folder_with_{name}", _in_place(name), "refused")
