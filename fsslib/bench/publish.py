"""The figures of the published page, made by one command.

Every entry is a command by itself; what it prints is written beside its JSON.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from fsslib.files import repository

PUBLISHED: dict[str, tuple[str, tuple[str, ...]]] = {
    "encoders_scenes": ("encoders", ("scenes",)),
    "encoders_paper": ("encoders", ("paper", "onednn=true", "rounds=5")),
    "priors_paper": ("priors", ("paper", "shot=1,5", "rounds=5")),
    "methods_scenes": (
        "methods",
        (
            "scenes",
            "name=prototype,panet,hsnet,asgnet,pfenet,bam,hdmnet,qgnet,lfss",
            "work=forward,evaluate",
        ),
    ),
    "training_free_scenes": (
        "methods",
        (
            "scenes",
            "name=prototype,grid_prototype,fssdino,insid3,gfsam_maps,gfsam,matcher,persam,pfenet",
            "work=forward,remembered",
            "shot=1,5",
            "batch=1",
        ),
    ),
    "training_steps_scenes": (
        "methods",
        ("scenes", "name=panet,hsnet,asgnet,pfenet,bam,hdmnet,qgnet,lfss", "work=train"),
    ),
    "methods_paper": (
        "methods",
        ("paper", "name=pfenet,bam,hdmnet,hsnet,asgnet", "onednn=true", "rounds=5"),
    ),
    "growth_size": (
        "methods",
        ("scenes", "name=pfenet,hdmnet,hsnet", "size=97,193,289,385,473", "batch=1"),
    ),
    "growth_shot": ("methods", ("scenes", "name=pfenet,hdmnet,hsnet", "shot=1,2,5,10", "batch=1")),
    "growth_way": ("methods", ("scenes", "name=prototype,pfenet", "way=1,2,5", "batch=1")),
    "growth_batch": ("methods", ("scenes", "name=pfenet,hdmnet,hsnet", "batch=1,2,4,8,16")),
    "pi_clip_priors": (
        "priors",
        (
            "scenes",
            "name=pi_clip shared_pass=false vvp_norm=imagenet,pi_clip,pi_clip vvp=false,"
            "pi_clip vtp=false,pi_clip refine_vtp=false",
            "shot=1,5",
        ),
    ),
    "processes": ("processes", ("scenes", "name=pfenet", "work=forward,train")),
    "training": ("training", ("name=pfenet,lfss",)),
    "training_papers": (
        "training",
        ("name=pfenet preset=fractions,lfss", "backbone=resnet50,vgg16", "steps=4", "batch=4"),
    ),
    "loading": ("training", ("name=pfenet", "cache=none,later", "workers=0,1,2")),
}
"""By the file's name: a topic, and what it is asked."""


def published_folder() -> Path:
    """Where results and their tables lie."""
    return repository() / "papermill_runs" / "published" / "bench"


def refreshed(text: str) -> str:
    """A document with the published tables as they are now: what stands between
    `<!-- bench NAME -->` and `<!-- end -->` is the file `NAME.md`."""

    def table(match: re.Match) -> str:
        path = published_folder() / f"{match[2]}.md"
        content = path.read_text() if path.is_file() else "Not measured yet."
        return f"{match[1]}\n{content.strip()}\n\n{match[3]}"

    return re.sub(r"(<!-- bench (\w+) -->\n).*?(<!-- end -->)", table, text, flags=re.S)


def documents() -> list[Path]:
    """Those that show published tables."""
    runs = repository() / "papermill_runs"
    return [runs / "README.md", published_folder() / "README.md"]


def refresh() -> None:
    """Write all tables anew into the documents that show them."""
    for document in documents():
        document.write_text(refreshed(document.read_text()))


def command(topic: str, words: tuple[str, ...]) -> str:
    """What makes one of them by hand."""
    return f"python -m fsslib.bench {topic} -p {shlex.join(words)}"
