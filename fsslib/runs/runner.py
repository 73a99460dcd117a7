"""Runs a template on papermill: checks first, then a folder that always tells the truth.

papermill only warns about unknown parameters, needs the output folder to exist, cannot resume,
and leaves no trace of being killed. This is the layer that mends it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import nbformat
import papermill
import yaml

from fsslib.config import ConfigError
from fsslib.files import atomic_path, local_path, remove_partials, shown_path
from fsslib.runs.config import CONFIGS, default_folder, parse
from fsslib.runs.describe import parameters_cell
from fsslib.runs.executing import execute, literal, logged, template_path
from fsslib.runs.interrupts import terminate_as_exit, without_asyncios_report
from fsslib.runs.machine import require_present
from fsslib.runs.results import episodes_beside
from fsslib.runs.run_config import RunConfig, resolved
from fsslib.runs.status import Heartbeat, RunError, alone, read_status, require_own
from fsslib.training.checkpoint import previous_of


def run(
    template: str, parameters: dict[str, Any], folder: Path | None = None, again: bool = False
) -> Path:
    """Execute a run template and return its folder. A finished run is not repeated.

    Args:
        template: name of a notebook in `notebooks/runs/`, without suffix.
        parameters: by name, all checked before a kernel starts.
        folder: where everything goes; default from the parameters.
        again: run even if the folder holds a finished run (its checkpoint is removed first).

    Raises:
        ConfigError: a parameter is unknown, of the wrong type or impossible.
        RunError: the notebook failed, or `folder` holds something else. BusyError: another process
            is running it in this folder.
    """
    config = parse(template, parameters)
    config.require_files()
    require_present(config.machine_config.device)
    check_template(template, config)
    # Absolute, because papermill changes into the run's folder before it writes there.
    chosen, folder = folder, local_path(folder or default_folder(config)).resolve()
    with _disk_troubles(folder):
        if chosen:
            require_own(folder, config, again)
        _run(template, config, folder, again)
    return folder


def _run(template: str, config: RunConfig, folder: Path, again: bool) -> None:
    with alone(folder):
        remove_partials(folder)
        status = read_status(folder)
        if status and status["state"] == "finished" and not again:
            say(f"already finished: {shown_path(folder)} (--again repeats it)")
            return
        if again:
            checkpoint = folder / "checkpoint.pt"
            for path in (checkpoint, previous_of(checkpoint)):
                path.unlink(missing_ok=True)
        results = folder / "results.json"
        for path in (results, episodes_beside(results)):
            path.unlink(missing_ok=True)  # of a run that is not this one
        _write_parameters(folder / "params.yaml", template, config)
        say(f"{template}: {shown_path(folder)}")
        injected = _injected(config, folder)
        with (
            terminate_as_exit(),
            without_asyncios_report(),
            logged(folder),
            Heartbeat(folder, template=template),
        ):
            try:
                execute(template, injected, folder)
            except RunError as error:
                raise RunError(_as_given(str(error), config, folder)) from error


@contextmanager
def _disk_troubles(folder: Path) -> Iterator[None]:
    """RunError, a sentence, where the disk is full, closed or gone."""
    try:
        yield
    except OSError as error:
        if error.strerror is None:  # a sentence of our own already
            raise RunError(str(error)) from error
        where = f": {error.filename}" if error.filename else ""
        raise RunError(
            f"{folder} cannot be written ({error.strerror or error}{where}); make room or choose "
            "another --out, the same command goes on"
        ) from error


def check_template(template: str, config: RunConfig) -> None:
    """The template's parameters cell and the config must list the same names."""
    declared = set(papermill.inspect_notebook(literal(template_path(template)))) - {"output"}
    known = {field.name for field in fields(config)}
    if declared != known:
        raise RunError(
            f"{template}.ipynb and {type(config).__name__} differ in {sorted(declared ^ known)}; "
            "`python -m fsslib.runs templates` writes the cell anew"
        )


def write_cells() -> list[Path]:
    """Write the parameters cell of every template as its typed config has it; returns the templates
    that changed."""
    changed = []
    for template in CONFIGS:
        path, book = template_path(template), nbformat.read(template_path(template), 4)
        cell = next(c for c in book.cells if "parameters" in c.metadata.get("tags", ()))
        source = parameters_cell(template)
        if cell.source != source:
            cell.source = source
            with atomic_path(path) as temporary:
                nbformat.write(book, temporary)
            changed.append(path)
    return changed


def _injected(config: RunConfig, folder: Path) -> dict[str, Any]:
    """Parameters as the kernel sees them: it runs inside the folder, so paths become relative."""

    def relative(value: str) -> str:
        path = local_path(value)
        return os.path.relpath(path.resolve(), folder) if path.exists() else value

    usual = {field.name: field.default for field in fields(config)}
    values = config.with_paths(relative)
    changed = {name: value for name, value in values.items() if value != usual[name]}
    return {**changed, "output": "."}


def _as_given(text: str, config: RunConfig, folder: Path) -> str:
    """An error of the kernel with paths as they were given: it has seen them from its folder."""
    moved: dict[str, str] = {}

    def note(value: str) -> str:
        if (path := local_path(value)).exists():
            moved[os.path.relpath(path.resolve(), folder)] = value
        return value

    config.with_paths(note)
    for seen in sorted(moved, key=len, reverse=True):
        text = text.replace(seen, moved[seen])
    return text


def _write_parameters(path: Path, template: str, config: RunConfig) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(yaml.safe_dump(_parameters(template, config)))


def _parameters(template: str, config: RunConfig) -> dict[str, Any]:
    """What `params.yaml` holds."""
    return {"template": template, **config.with_paths(resolved)}


def say(text: str) -> None:
    print(text, flush=True)


__all__ = ["ConfigError", "RunError", "default_folder", "run"]
