"""Strict configuration and files that are written whole or not at all."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from fsslib.config import ConfigError, strict
from fsslib.encoders.disk_cache import DiskCache
from fsslib.files import atomic_path, read_json, write_json
from fsslib.grammar import parse_group, parse_preset


@dataclass(frozen=True)
class Settings:
    rate: float
    steps: int = 10
    name: Literal["a", "b"] = "a"
    scales: tuple[float, ...] = (1.0,)
    limit: int | None = None
    fast: bool = False
    side: Literal["left", "right"] | None = None
    factor: float | None = None


def test_values_are_cast_to_what_the_field_declares():
    made = strict(Settings, {"rate": "1e-4", "steps": 5.0, "scales": [1, 2], "limit": None})
    assert made == Settings(1e-4, 5, "a", (1.0, 2.0), None)
    assert isinstance(made.scales[0], float) and isinstance(made.steps, int)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "'rate' is missing"),
        ({"rate": 1, "step": 3}, "unknown parameter 'step'; did you mean 'steps'"),
        ({"rate": "fast"}, "rate='fast'"),
        ({"rate": True}, "rate=True: expected float"),
        ({"rate": 1, "steps": 2.5}, r"steps=2\.5"),
        ({"rate": 1, "name": "c"}, "name='c': expected one of"),
        ({"rate": 1, "scales": 3}, "scales=3: expected a list"),
        ({"rate": 1, "limit": "x"}, "limit='x'"),
        ({"rate": 1, "fast": 1}, "fast=1: expected bool"),
        ({"rate": float("nan")}, "rate=nan: expected a finite number"),
        ({"rate": "nan"}, "rate=nan: expected a finite number"),
        ({"rate": "-inf"}, "rate=-inf: expected a finite number"),
        ({"rate": 1, "factor": "nan"}, "factor=nan: expected a finite number or null"),
        ({"rate": 1, "side": "up"}, "side='up': expected one of .* or null"),
    ],
)
def test_what_does_not_fit_is_named(values, message):
    with pytest.raises(ConfigError, match=message):
        strict(Settings, values)


def test_changes_and_presets_are_read_or_named():
    assert parse_group("settings", "a=[1,2] b=") == (None, {"a": [1, 2], "b": None})
    assert parse_preset("words", "paper limit=3") == ("paper", {"limit": 3})
    with pytest.raises(ConfigError, match=r"settings: 'a=\[1'; the value is no YAML"):
        parse_group("settings", "a=[1")
    for text in ("", " ", "limit=3"):
        with pytest.raises(ConfigError, match=f"words='{text}': expected a preset's name first"):
            parse_preset("words", text)


def test_a_negative_bound_never_empties_a_cache(tmp_path: Path):
    with pytest.raises(ValueError, match="max_bytes=-1: expected 0 or more"):
        DiskCache(tmp_path, -1)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    target = write_json(tmp_path / "a" / "x.json", {"old": 1})
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert read_json(target) == {"old": 1}
    assert [path.name for path in target.parent.iterdir()] == ["x.json"]


def test_json_holds_no_nan_and_broken_files_are_named(tmp_path: Path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert not list(tmp_path.iterdir())
    (tmp_path / "y.json").write_text("{")
    with pytest.raises(ValueError, match=r"y\.json is not valid JSON"):
        read_json(tmp_path / "y.json")
