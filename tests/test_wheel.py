"""A wheel is all that somebody needs: no clone, and nothing in it that nobody asks for."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from repository_files import ROOT, TEMPLATES

from fsslib.data.scenes import render_scene
from fsslib.files import sweeps_folder

pytestmark = pytest.mark.slow
LARGEST = 60_000_000


def pip(*arguments):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built offline, by the build backend of this environment (extra `test`)."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder), str(ROOT))
    (file,) = folder.glob("fsslib-*.whl")
    return file


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """A fresh virtual environment with the wheel in it. What fsslib needs comes from this
    environment, by a path alone: editable installations are not followed, and nothing is fetched.
    """
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    pip("--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    (site,) = folder.glob("lib/python*/site-packages")
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "needed.pth").write_text("\n".join(sorted(paths)))
    return folder / "bin"


@pytest.fixture
def called(environment, tmp_path):
    """A command of the fresh environment, in a folder of its own."""

    def call(program, *arguments):
        variables = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        completed = subprocess.run(
            [environment / program, *map(str, arguments)],
            cwd=tmp_path,
            env=variables | {"PATH": f"{environment}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
        )
        assert completed.returncode == 0, completed.stderr
        return completed.stdout

    return call


def test_it_holds_what_its_commands_read_and_nothing_heavier(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    packed = {Path(name).name for name in names if "/packed/" in name}
    assert packed >= {path.name for path in TEMPLATES}
    assert packed >= {path.name for path in sweeps_folder().glob("*.yaml")}
    package = [p for p in (ROOT / "fsslib").rglob("*") if p.is_file() and p.suffix != ".pyc"]
    assert {str(path.relative_to(ROOT)) for path in package} <= set(names)
    foreign = [n for n in names if not n.startswith(("fsslib/", "fsslib-"))]
    assert not foreign and wheel.stat().st_size < LARGEST


def test_a_picture_is_segmented_and_a_template_run_without_the_clone(called, environment, tmp_path):
    where = called("python", "-c", "import fsslib; print(fsslib.__file__)")
    assert Path(where.strip()).is_relative_to(environment.parent)
    scene = render_scene("val", 0, 3, 96)
    Image.fromarray(scene.image).save(tmp_path / "support.png")
    Image.fromarray(render_scene("val", 0, 4, 96).image).save(tmp_path / "query.png")
    Image.fromarray(255 * (scene.label == np.unique(scene.label)[1]).astype(np.uint8)).save(
        tmp_path / "mask.png"
    )
    words = "query.png --support support.png --mask mask.png --weights scenes --out out"
    called("fsslib", "segment", *words.split())
    assert np.array(Image.open(tmp_path / "out" / "mask.png")).shape == (96, 96)
    called("fsslib", "run", "evaluate", "-p", "method=prototype", "-p", "episodes=2")
    (result,) = (tmp_path / "papermill_runs").rglob("results.json")
    assert json.loads(result.read_text())["episodes"] == 2
    assert "prototype" in called("fsslib", "table")
