"""Runs a template on papermill: checks first, then a folder that always tells the truth.

papermill only warns about unknown parameters, needs the output folder to exist, cannot resume,
and leaves no trace of being killed. This is the layer that mends it.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import nbformat
import papermill
import yaml
from nbclient.exceptions import DeadKernelError
from traitlets.config import Config

from fsslib.config import ConfigError
from fsslib.files import (
    atomic_path,
    local_path,
    remove_partials,
    shown_path,
    templates_folder,
)
from fsslib.runs.config import CONFIGS, default_folder, parse
from fsslib.runs.describe import parameters_cell
from fsslib.runs.interrupts import terminate_as_exit, without_asyncios_report
from fsslib.runs.machine import limit_threads_of_kernels, require_present
from fsslib.runs.results import episodes_beside
from fsslib.runs.run_config import RunConfig, resolved
from fsslib.runs.sockets import socket_folder
from fsslib.runs.status import Heartbeat, RunError, alone, read_status, require_own
from fsslib.training.checkpoint import previous_of


def template_path(template: str) -> Path:
    return templates_folder() / f"{template}.ipynb"


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
            _log(folder),
            Heartbeat(folder, template=template),
        ):
            try:
                _execute(template, injected, folder)
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
    declared = set(papermill.inspect_notebook(_literal(template_path(template)))) - {"output"}
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


def _execute(template: str, parameters: dict[str, Any], folder: Path) -> None:
    os.environ["FSSLIB_PROGRESS"] = "lines"
    limit_threads_of_kernels()
    try:
        with _kernel_config() as kernel:
            papermill.execute_notebook(
                _literal(template_path(template)),
                _literal(folder / "run.ipynb"),
                parameters,
                kernel_name="python3",
                cwd=str(folder),
                progress_bar=False,
                log_output=True,
                config=kernel,
            )
    except papermill.PapermillExecutionError as error:
        raise failure(template, folder, error.ename, error.evalue) from error
    except OSError as error:  # papermill could not write the notebook
        raise failure(template, folder, type(error).__name__, str(error)) from error
    except DeadKernelError as error:
        raise RunError(
            f"{template} in {shown_path(folder)}: its kernel was killed, perhaps for want of "
            "memory; the same command goes on from the last checkpoint"
        ) from error
    finally:
        _forget_paths(folder / "run.ipynb")


def failure(template: str, folder: Path, name: str, text: str) -> RunError:
    """The error of a run whose cell raised one of this name with this text; what libraries tell on
    a page becomes a sentence."""
    if name in ("OutOfMemoryError", "MemoryError"):
        text = (
            f"out of memory ({text.partition('. GPU')[0].strip() or name}); use a smaller "
            "batch_size, or accumulate=2 in the recipe, which takes the same steps in halves of "
            "the memory"
        )
    return RunError(f"{template} failed in {shown_path(folder)}: {name}: {text}")


def _literal(path: Path) -> str:
    """A path for papermill, which fills in what stands in braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


@contextmanager
def _kernel_config() -> Iterator[Config]:
    """Kernels talk over sockets in the file system where there are any: no races for ports."""
    if os.name != "posix":
        yield Config()
        return
    with socket_folder() as folder:
        yield Config({"KernelManager": {"transport": "ipc", "ip": str(folder / "kernel")}})


def _forget_paths(notebook: Path) -> None:
    """papermill notes where it read and wrote; in a notebook to be shown that is nobody's."""
    if not notebook.is_file():
        return
    book = nbformat.read(notebook, 4)
    for name in ("input_path", "output_path"):
        book.metadata.get("papermill", {}).pop(name, None)
    with atomic_path(notebook) as temporary:
        nbformat.write(book, temporary)


def _write_parameters(path: Path, template: str, config: RunConfig) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(yaml.safe_dump(_parameters(template, config)))


def _parameters(template: str, config: RunConfig) -> dict[str, Any]:
    """What `params.yaml` holds."""
    return {"template": template, **config.with_paths(resolved)}


@contextmanager
def _log(folder: Path) -> Iterator[None]:
    """What the notebook prints goes to the terminal and to `log.txt`."""
    logger = logging.getLogger("papermill")
    handlers = [logging.StreamHandler(sys.stdout), logging.FileHandler(folder / "log.txt")]
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(message)s"))
        handler.addFilter(_printed_by_notebook)
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close() if isinstance(handler, logging.FileHandler) else handler.flush()


def _printed_by_notebook(record: logging.LogRecord) -> bool:
    """Only the notebook's own text and real trouble, not papermill's talk about cells."""
    record.msg = str(record.msg).rstrip("\n")
    own = record.module == "clientwrap" or record.levelno >= logging.WARNING
    talk = ("Executing notebook", "Executing Cell", "Ending Cell", "<Figure", "<IPython")
    return own and bool(record.msg) and not record.getMessage().startswith(talk)


def say(text: str) -> None:
    print(text, flush=True)


__all__ = ["ConfigError", "RunError", "default_folder", "run"]
