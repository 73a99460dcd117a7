"""A template on papermill: its kernel, what it prints, and its errors as sentences."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from traitlets.config import Config

from fsslib.files import atomic_path, shown_path, templates_folder
from fsslib.runs.machine import limit_threads_of_kernels
from fsslib.runs.sockets import socket_folder
from fsslib.runs.status import RunError


def template_path(template: str) -> Path:
    """The notebook of a template."""
    return templates_folder() / f"{template}.ipynb"


def execute(template: str, parameters: dict[str, Any], folder: Path) -> None:
    """Run a template with parameters as `run.ipynb` of a folder, which exists.

    Raises:
        RunError: a cell failed, the kernel was killed, or the notebook could not be written.
    """
    os.environ["FSSLIB_PROGRESS"] = "lines"
    limit_threads_of_kernels()
    try:
        with _kernel_config() as kernel:
            papermill.execute_notebook(
                literal(template_path(template)),
                literal(folder / "run.ipynb"),
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


def literal(path: Path) -> str:
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


@contextmanager
def logged(folder: Path) -> Iterator[None]:
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
