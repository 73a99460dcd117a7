"""The page on additions, followed literally."""

import json
import re
import shlex

import pytest

from fsslib.files import PACKAGE
from fsslib.runs.__main__ import parameter
from fsslib.runs.runner import run

TEXT = (PACKAGE / "EXTENDING.md").read_text()
SECTIONS = {part.partition("\n")[0]: part for part in TEXT.split("\n## ")[1:]}
SMALL = {"steps": 2, "train_batch_size": 2, "image_size": 33, "episodes": 4, "workers": 0}
LONGEST = 40


def blocks(section: str, kind: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", section, re.S | re.M)
    return [text for name, text in fenced if name == kind]


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for source in blocks(TEXT, "python"):
        (tmp_path / source.partition("\n")[0].removeprefix("# ")).write_text(source)
    return tmp_path


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_each_page_is_short_and_its_commands_run(files, name):
    section = SECTIONS[name]
    assert len(section.strip().splitlines()) <= LONGEST
    commands = [shlex.split(line) for text in blocks(section, "") for line in text.splitlines()]
    assert commands
    for number, words in enumerate(commands):
        assert words[:4] == ["python", "-m", "fsslib.runs", "run"]
        parameters = dict(parameter(words[i + 1]) for i, word in enumerate(words) if word == "-p")
        small = SMALL if words[4] == "train" else {"episodes": 4, "workers": 0}
        folder = run(words[4], {**small, **parameters}, files / f"run{number}")
        results = json.loads((folder / "results.json").read_text())
        assert results["episodes"] == 4 and str(files) not in json.dumps(results)
