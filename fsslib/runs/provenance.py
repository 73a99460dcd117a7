"""What a result was made with, so that it can say by itself whether that has changed since.

Recorded are the modules of the classes that took part, a digest of their source and of all that
they import of the package, and digests of the weights that were read. A digest of source is one of
its syntax: comments, docstrings, layout and what a function calls its own variables change nothing.
What only checks parameters and reads files is left out. A changed digest does not say that the
score would change, only that nobody has looked since.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from torch import nn

from fsslib.data.benchmark import Benchmark
from fsslib.encoders.weights import SOURCES
from fsslib.files import PACKAGE
from fsslib.methods.shipped import base_path, dinoiser_path
from fsslib.runs.evaluate_config import EvaluateConfig
from fsslib.runs.heads import head_path

DIGITS = 16
SCORING = "fsslib.evaluation.evaluator"
TRAINING = "fsslib.training.loop"
LEFT_OUT = {
    *(f"fsslib.{name}" for name in ("config", "files", "grammar", "registry", "settings")),
    *(f"fsslib.encoders.{name}" for name in ("reading", "storage", "torchscript", "weights")),
    *("fsslib.encoders.identity", "fsslib.evaluation.episode_table"),
}
"""Modules that check what is given, and find, read and write files."""


def provenance(
    config: EvaluateConfig, method: nn.Module, benchmark: Benchmark, trained: bool
) -> dict[str, Any]:
    """The record of a run: `modules`, the digest of their `source`, and `weights`: digests of
    files, by their path in the package, or their name alone if they lie elsewhere.

    Args:
        trained: whether the run itself has trained the method.
    """
    kinds = [type(module) for module in method.modules()]
    kinds += [type(benchmark), *(k for k in config.part_types.values() if isinstance(k, type))]
    kinds += [source.kind for source in config.prior_spec.sources]
    names = {kind.__module__ for kind in kinds if kind.__module__.startswith("fsslib.")}
    modules = sorted(names | {SCORING} | ({TRAINING} if trained else set()))
    files = {name: _file_digest(path) for name, path in _weights(config)}
    return {"modules": modules, "source": source_of(modules), "weights": files}


def changed_since(result: Mapping[str, Any]) -> list[str] | None:
    """What has changed since a result was made: "code", and names of weights; nothing if all is as
    it was, None if the result has no record, as those of older versions."""
    record = result.get("provenance")
    if not isinstance(record, dict) or not {"modules", "source", "weights"} <= record.keys():
        return None
    changed = [] if source_of(record["modules"]) == record["source"] else ["code"]
    for name, digest in record["weights"].items():
        path = PACKAGE / name
        inside = "/" in name  # what lies elsewhere is there on its own machine alone
        if inside and (not path.is_file() or _file_digest(path) != digest):
            changed.append(path.stem)
    return changed


def source_of(modules: Iterable[str]) -> str:
    """Digest of some modules and of all of the package that they import; of one that is no longer
    there, that it is not."""
    known: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in known and name not in LEFT_OUT:
            known[name], imported = _module(name)
            waiting += imported
    return hashlib.sha256(json.dumps(sorted(known.items())).encode()).hexdigest()[:DIGITS]


def _weights(config: EvaluateConfig) -> Iterator[tuple[str, Path]]:
    """Files of weights that are read: encoders, base learner, heads."""
    parts, trained = config.part_types, config.trained_parts
    paths = []
    for name, weights in config.encoders:
        source = SOURCES.get((name, weights))
        paths.append(source.shipped if source else Path(weights))
    if "base" in parts:
        paths.append(base_path(config.fold) if trained.base == "shipped" else Path(trained.base))
    if "dinoiser" in parts:
        paths.append(dinoiser_path() if trained.heads == "shipped" else Path(trained.heads))
    if config.head is not None:
        paths.append(head_path(config))
    for path in paths:
        if path is not None and path.is_file():
            inside = path.resolve().is_relative_to(PACKAGE)
            yield str(path.resolve().relative_to(PACKAGE)) if inside else path.name, path


def _file_digest(path: Path) -> str:
    """Of its bytes, read once as long as it is the same file."""
    facts = path.stat()
    return _digest_of(path, facts.st_mtime_ns, facts.st_size, facts.st_ino)


@cache
def _digest_of(path: Path, *_: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:DIGITS]


@cache
def _module(name: str) -> tuple[str, tuple[str, ...]]:
    """Digest of a module's syntax, and the modules of the package that it imports."""
    path = _path(name)
    if path is None:
        return "none", ()
    tree = ast.parse(path.read_text())
    imported = {each for node in ast.walk(tree) for each in _imports(node)}
    text = json.dumps(_shape(_renamed(tree)), default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS], tuple(sorted(imported))


def _path(name: str) -> Path | None:
    """The file of a module or package; None where there is none."""
    bare = PACKAGE.joinpath(*name.split(".")[1:])
    for path in (bare.with_suffix(".py"), bare / "__init__.py"):
        if path.is_file() and name != "fsslib":
            return path
    return None


def _imports(node: ast.AST) -> Iterator[str]:
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    if isinstance(node, ast.ImportFrom) and node.module:
        names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    yield from (n for n in names if n.startswith("fsslib.") and _path(n))


def _renamed(tree: ast.Module) -> ast.Module:
    """A module whose functions number their own names, parameters among them, in the order in which
    they first appear; what they read from outside, and keywords of calls, stay as they are."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            _number_names(node)
        else:
            waiting += ast.iter_child_nodes(node)
    return tree


def _number_names(function: ast.AST) -> None:
    """In place, of a function and of all that is defined within it."""
    inside = [node for node in ast.walk(function) if node is not function]
    bound = {bare: f"<{i}>" for i, bare in enumerate(dict.fromkeys(_bound(inside)))}
    for node in inside:
        for field in ("id", "arg", "name", "rest"):
            if field == "arg" and isinstance(node, ast.keyword):
                continue
            if isinstance(bare := getattr(node, field, None), str) and bare in bound:
                setattr(node, field, bound[bare])
        if isinstance(node, ast.Nonlocal):
            node.names = [bound.get(bare, bare) for bare in node.names]


def _bound(nodes: Iterable[ast.AST]) -> Iterator[str]:
    outside = {name for node in nodes if isinstance(node, ast.Global) for name in node.names}
    for node in nodes:
        name = None
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        elif isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, ast.FunctionDef | ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            name = node.name
        if name is not None and name not in outside:
            yield name


def _shape(value: Any) -> Any:
    """A syntax tree as lists, without docstrings, and without fields that are empty: which of
    these there are depends on the version of Python."""
    if isinstance(value, list):
        return [_shape(each) for each in value if not _is_docstring(each)]
    if not isinstance(value, ast.AST):
        return value
    fields = [(name, _shape(each)) for name, each in ast.iter_fields(value)]
    return [type(value).__name__, *(pair for pair in fields if pair[1] not in (None, []))]


def _is_docstring(node: Any) -> bool:
    constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return constant and isinstance(node.value.value, str)
