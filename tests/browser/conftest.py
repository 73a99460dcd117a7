"""One browser, one JupyterLab and one folder for the tests in this folder.

They end with the last of these tests, not with the session: while Playwright runs, no other test
could start an event loop.
"""

import shutil
from pathlib import Path

import pytest

from browser.chromium import MISSING, chromium, executable
from browser.controls import write_workbench
from browser.lab import Lab
from browser.servers import ROOT, jupyterlab

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


@pytest.fixture(scope="package")
def workplace(tmp_path_factory):
    """A copy of the notebooks, as they are in git."""
    folder = tmp_path_factory.mktemp("browser") / "notebooks"
    shutil.copytree(ROOT / "notebooks", folder, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
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


@pytest.fixture(autouse=True)
def sights(request):
    """The last sight of every page stays as a screenshot; a script that failed fails the test."""
    if "window" not in request.fixturenames:
        yield
        return
    window, errors = request.getfixturevalue("window"), []
    window.on("weberror", heard := lambda failed: errors.append(str(failed.error)))
    yield
    window.remove_listener("weberror", heard)
    SHOTS.mkdir(parents=True, exist_ok=True)
    for number, page in enumerate(window.pages):
        page.screenshot(path=SHOTS / f"{request.node.name}-{number}.png")
    assert not errors, f"JavaScript failed: {errors}"
