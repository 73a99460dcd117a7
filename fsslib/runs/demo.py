"""The main job in one command: train and evaluate PFENet on Scenes-10i, beside its baselines."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

from fsslib.files import atomic_path, read_json, shown_path
from fsslib.runs.results import table
from fsslib.runs.runner import run, say

COMMON: dict[str, Any] = {"fold": 0, "shot": 1, "episodes": 300}
ROWS = {
    "PFENet, shipped (longer training)": {
        **{"method": "pfenet", "head": "shipped"},
        **{"selection": "held_out_base", "held_out": 5},
    },
    "masked-average prototype": {"method": "prototype"},
    "prior mask > 0.7": {"method": "prior_threshold"},
    "all foreground": {"method": "all_foreground"},
}


def demo(again: bool = False) -> str:
    """Run everything through papermill and print where it lies. Returns the table."""
    start = perf_counter()
    say("Training PFENet on Scenes-10i, fold 0, 1-shot (about two minutes) …")
    trained = run("train", {**COMMON, "recipe": "demo"}, again=again)
    folders = {"PFENet, this run": trained}
    for label, parameters in ROWS.items():
        say(f"Evaluating: {label} …")
        folders[label] = run("evaluate", {**COMMON, **parameters}, again=again)
    results = [read_json(folder / "results.json") for folder in folders.values()]
    text = table(results, list(folders))
    page = write_html(trained / "run.ipynb")
    say(f"\nScenes-10i, fold 0, 1-way 1-shot, test list {results[0]['episode_list']}\n\n{text}\n")
    say(f"executed notebook  {shown_path(trained / 'run.ipynb')}")
    say(f"as a web page      {shown_path(page)}")
    say(f"predictions        {shown_path(trained / 'predictions.png')}")
    say(f"done in {perf_counter() - start:.0f} s")
    return text


def write_html(notebook: Path) -> Path:
    """The executed notebook as one self-contained page beside it."""
    from nbconvert import HTMLExporter

    page, _ = HTMLExporter(embed_images=True).from_filename(str(notebook))
    target = notebook.with_suffix(".html")
    with atomic_path(target) as temporary:
        temporary.write_text(page)
    return target
