"""One browser, one JupyterLab and one folder for the tests in this folder.

They end with the last of these tests, not with the session: while Playwright runs, no other test
could start an event loop.
"""

import platform
import shutil
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

from browser.chromium import MISSING, chromium, executable
from browser.controls import write_workbench
from browser.lab import Lab
from browser.servers import ROOT, jupyterlab, voila

SHOTS = ROOT / "build" / "browser"
"""Where the tests leave their screenshots."""
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("browser"))  # one JupyterLab, not two


@pytest.fixture(scope="package")
def browser():
    pytest.importorskip("playwright", reason="`pip install playwright` drives the browser")
    if executable() is None:
        pytest.skip(MISSING)
    with chromium() as browser:
        yield browser


LEFT_OUT = shutil.ignore_patterns(".ipynb_checkpoints", "cases")
"""What a user has, and a clone has not: a test saves a case of its own."""


@pytest.fixture(scope="package")
def workplace(tmp_path_factory):
    """A copy of the notebooks; this Python's version, which JupyterLab writes in, is in already."""
    folder = tmp_path_factory.mktemp("browser") / "notebooks"
    shutil.copytree(ROOT / "notebooks", folder, ignore=LEFT_OUT)
    for path in folder.glob("*.ipynb"):
        book = nbformat.read(path, as_version=4)
        book.metadata.language_info.version = platform.python_version()
        nbformat.write(book, path)
    return folder


@pytest.fixture(scope="package")
def server(browser, workplace):
    with jupyterlab(workplace, workplace.parent / "home") as server:
        yield server


@pytest.fixture(scope="package")
def window(browser):
    """What pages share: their size and the cache."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(30_000)
    yield context
    context.close()


@pytest.fixture(scope="package")
def lab(window, server):
    """JupyterLab in one page, in which every test opens its notebook."""
    lab = Lab(window.new_page(), server)
    lab.start()
    yield lab
    lab.close()


@pytest.fixture(scope="package")
def workbench(lab, workplace):
    """A saved notebook with every kind of control, run."""
    write_workbench(workplace / "workbench.ipynb")
    lab.show("workbench.ipynb")
    lab.run_all(120)
    lab.save()
    return lab


@pytest.fixture(scope="package")
def playground(window, workplace):
    """The playground as a page without code, and the folder in which it saves cases."""
    with voila(workplace / "90_playground.ipynb", workplace.parent / "voila") as server:
        page = window.new_page()
        page.goto(server.url(""), timeout=120_000)  # Voilà runs the notebook first
        expect(page.get_by_test_id("mask-painter-canvas")).to_have_count(2, timeout=120_000)
        yield page
        page.close()


@pytest.fixture(autouse=True)
def sights(request):
    """The last sight of every page stays as a screenshot; a script that failed fails the test."""
    if "window" not in request.fixturenames:
        yield
        return
    window, errors = request.getfixturevalue("window"), []
    window.on("weberror", listener := lambda failed: errors.append(str(failed.error)))
    yield
    window.remove_listener("weberror", listener)
    SHOTS.mkdir(parents=True, exist_ok=True)
    for number, page in enumerate(window.pages):
        page.screenshot(path=SHOTS / f"{request.node.name}-{number}.png")
    assert not errors, f"JavaScript failed: {errors}"
