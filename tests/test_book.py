"""The book builds without a warning, its links lead somewhere, it needs nothing from outside."""

import importlib.util
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
import yaml
from repository_files import LESSONS, ROOT

BOOK = ROOT / "notebooks" / "book"
COURSE = yaml.safe_load((BOOK / "course.yaml").read_text())
BUILDS = pytest.mark.skipif(importlib.util.find_spec("myst_nb") is None, reason="no extra `book`")


def test_the_course_is_that_of_the_lessons():
    needs = {n: of for chapter in COURSE["chapters"] for n, of in chapter["lessons"].items()}
    assert sorted(needs) == [path.name[:2] for path in LESSONS]
    for number, of in needs.items():
        assert set(of) <= set(needs), f"{number} builds on lessons that there are not: {of}"
        assert all(need < number for need in of), f"{number} builds on later ones: {of}"
    assert len(COURSE["routes"]) == 3
    for route in COURSE["routes"]:
        assert set(route["lessons"]) <= set(needs), route["name"]


def test_the_front_page_shows_the_drawings_of_today(monkeypatch):
    monkeypatch.syspath_prepend(BOOK)
    import systems

    readme = (ROOT / "README.md").read_text()
    for name in systems.SYSTEMS:
        path = BOOK / "drawings" / f"{name}.svg"
        assert f"]({path.relative_to(ROOT).as_posix()})" in readme
        assert systems.source(name) in path.read_text(), "run python notebooks/book/systems.py"


class Page(HTMLParser):
    """What a page refers to, its anchors, and its pictures without an alternative text."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loaded, self.anchors, self.bare = [], [], set(), []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        of = dict(attributes)
        self.anchors |= {of[name] for name in ("id", "name") if of.get(name)}
        if tag == "a" and "href" in of:
            self.links.append(of["href"])
        if tag == "link" and of.get("rel") in ("stylesheet", "icon"):
            self.loaded.append(of["href"])
        if tag in ("img", "script", "iframe", "video") and "src" in of:
            self.loaded.append(of["src"])
        if tag == "img" and not (of.get("alt") or "").strip():
            self.bare.append(of["src"][:80])


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("book")
    completed = subprocess.run(
        [sys.executable, BOOK / "build.py", folder], capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, (completed.stdout + completed.stderr)[-4000:]
    assert "WARNING" not in completed.stdout + completed.stderr
    html = folder / "html"
    skipped = ("_static", "_sources", "_downloads")
    paths = [p for p in html.rglob("*.html") if p.relative_to(html).parts[0] not in skipped]
    return {path: Page(path) for path in paths}


@BUILDS
@pytest.mark.slow
def test_every_lesson_paper_and_room_has_its_page(pages):
    names = {path.name for path in pages}
    assert {f"{path.stem}.html" for path in LESSONS} <= names
    assert {"pi_clip.html", "lfss.html", "qgnet.html", "clip_dinoiser.html"} <= names
    assert {"glossary.html", "faq.html", "methods.html", "course.html", "encoders.html"} <= names


@BUILDS
@pytest.mark.slow
def test_links_lead_to_pages_and_anchors(pages):
    broken = []
    for path, page in pages.items():
        for link in (*page.links, *page.loaded):
            name, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", link):
                continue
            target = (path.parent / unquote(name).split("?")[0]).resolve() if name else path
            if not target.exists():
                broken.append(f"{path.name}: {link}")
            elif anchor and target in pages and unquote(anchor) not in pages[target].anchors:
                broken.append(f"{path.name}: {link} (no such place)")
    assert not broken, f"{len(broken)} links lead nowhere: {broken[:20]}"


@BUILDS
@pytest.mark.slow
def test_nothing_is_loaded_from_outside(pages):
    remote = {
        f"{path.name}: {link}"
        for path, page in pages.items()
        for link in page.loaded
        if re.match(r"(https?:)?//", link)
    }
    assert not remote, f"read from file:// these are missing: {sorted(remote)[:10]}"


@BUILDS
@pytest.mark.slow
def test_pictures_have_alternative_texts(pages):
    bare = {path.name: page.bare for path, page in pages.items() if page.bare}
    assert not bare, f"pictures without an alternative text: {list(bare.items())[:10]}"
