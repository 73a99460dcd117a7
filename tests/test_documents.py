"""Documents say what is true, git tracks what it should, one file lists the dependencies."""

import re
import shlex
import tomllib
from functools import cache

import yaml
from packaging.requirements import Requirement
from repository_files import (
    DOCUMENTS,
    LESSONS,
    MODULES,
    PACKAGE,
    PLAYGROUND,
    REPORTS,
    ROOT,
    SOLUTIONS,
    TEMPLATES,
    absolute_paths,
    each,
    shown,
    tracked,
)

from fsslib.runs.config import parse

TOP_LEVEL = {
    *("notebooks", "fsslib", "papermill_runs", "tests", ".ci"),
    *("pyproject.toml", "environment.yml", "constraints.txt", "Makefile", ".gitignore"),
    *("README.md", "CONTRIBUTING.md", "TROUBLESHOOTING.md", "LICENSE", "CITATION.cff"),
}


def commands(prefix):
    """Command lines in the code blocks of all documents that start with `prefix`."""
    for document in DOCUMENTS:
        text = document.read_text().replace("\\\n", " ")
        for block in re.findall(r"^ *```[a-z]*\n(.*?)^ *```", text, re.S | re.M):
            for line in block.splitlines():
                if line.strip().startswith(prefix):
                    yield document, line.split("#")[0].strip()


def test_documents_name_true_make_targets():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    readme = (ROOT / "README.md").read_text()
    assert {"demo", "test", "check", "lab"} <= targets, f"the Makefile has {sorted(targets)}"
    for name in ("demo", "test", "check", "lab"):
        assert f"make {name}" in readme, f"README.md does not speak of `make {name}`"
    for document, line in commands("make "):
        words = [word for word in line.split()[1:] if "=" not in word and word[0] != "-"]
        wrong = set(words) - targets - {"&&", "make"}
        assert not wrong, f"{shown(document)}: `{line}` names targets that are not there: {wrong}"


def test_documents_name_true_commands():
    """Every run in a document would start: its parameters pass the check that comes first."""
    for document, line in commands("python -m fsslib"):
        words = shlex.split(line)
        main = PACKAGE.joinpath(*words[2].split(".")[1:], "__main__.py")
        assert main.is_file(), f"{shown(document)}: `{line}`: there is no such command"
        if words[2:4] != ["fsslib.runs", "run"]:
            continue
        pairs = [words[i + 1].partition("=") for i, word in enumerate(words) if word == "-p"]
        if document.name != "EXTENDING.md":  # its files are made, and run, by a test of its own
            parse(words[4], {name: yaml.safe_load(value) for name, _, value in pairs})


def test_documents_list_every_notebook():
    """Lessons in README.md, templates in that of the runs."""
    files = {shown(path) for path in [*LESSONS, PLAYGROUND, *REPORTS, *SOLUTIONS, *TEMPLATES]}
    pages = [ROOT / "README.md", ROOT / "papermill_runs" / "README.md"]
    texts = "".join(page.read_text() for page in pages)
    named = set(re.findall(r"notebooks/[\w/]+\.ipynb", texts))
    assert named == files, f"only in the pages: {named - files}; not in them: {files - named}"


def test_the_front_page_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_map_lists_every_module():
    files = {str(p.relative_to(PACKAGE)) for p in MODULES if p.name != "__init__.py"}
    named = set(re.findall(r"`([\w/]+\.py)`", (PACKAGE / "README.md").read_text()))
    assert named == files, f"only in fsslib/README.md: {named - files}; not in it: {files - named}"


@each(DOCUMENTS)
def test_links_lead_somewhere(path):
    links = re.findall(r"\]\(([^)#\s]+)", path.read_text())
    local = [link for link in links if not link.startswith(("http:", "https:", "mailto:"))]
    broken = [link for link in local if not (path.parent / link).exists()]
    assert not broken, f"links to files that are not there: {broken}"


def test_nothing_unexpected_at_the_top():
    unknown = sorted({path.parts[0] for path in tracked()} - TOP_LEVEL)
    assert not unknown, f"{unknown} at the top level; allowed are {sorted(TOP_LEVEL)}"


def test_no_photographs_are_tracked():
    photographs = [str(p) for p in tracked() if p.suffix.lower() in (".jpg", ".jpeg")]
    assert not photographs, f"photographs keep their owners' licences; remove {photographs[:5]}"


def test_nothing_is_left_to_do():
    mark = re.compile("|".join((r"\bTO" + r"DO\b", r"\bFIX" + r"ME\b", "<" + r"<[A-Z_]+>>")))
    kinds = {".py", ".md", ".ipynb", ".toml", ".yml", ".cff", ".txt", ""}
    files = [ROOT / path for path in tracked() if path.suffix in kinds]
    left = [
        f"{shown(path)}:{number}: {line.strip()[:80]}"
        for path in files
        if path.is_file()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if mark.search(line)
    ]
    assert not left, "marked as unfinished:\n" + "\n".join(left)


def test_published_results_speak_of_no_machine():
    files = sorted((ROOT / "papermill_runs" / "published").rglob("*"))
    texts = [p for p in files if p.suffix in (".json", ".jsonl", ".yaml", ".txt")]
    offending = [shown(path) for path in texts if absolute_paths([path.read_text()])]
    assert not offending, f"absolute paths in {offending}; publish without them"


@cache
def requirements():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {"": project["dependencies"], **project["optional-dependencies"]}


def test_pyproject_is_the_only_list_of_dependencies():
    names = {"setup.py", "setup.cfg", "Pipfile", "poetry.lock", "uv.lock"}
    others = [
        str(path)
        for path in tracked()
        if path.name in names or re.fullmatch(r".*requirements.*\.txt", path.name)
    ]
    assert not others, f"second lists of dependencies: {others}; pyproject.toml is the one"
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    rest = [entry for entry in conda if not str(entry).startswith("python=")]
    assert rest == ["pip", {"pip": ["-e .[notebooks,test,cluster,book]"]}], (
        f"environment.yml lists {rest}"
    )


def test_constraints_pin_what_pyproject_asks_for():
    lines = [line.split("#")[0].strip() for line in (ROOT / "constraints.txt").open()]
    lines = [line for line in lines if line]
    wrong = [line for line in lines if not re.fullmatch(r"[\w.-]+==[0-9][0-9.]*", line)]
    assert not wrong, f"constraints.txt holds versions only, `name==1.2.3`; got {wrong}"
    pins = {normal(line.split("==")[0]): line.split("==")[1] for line in lines}
    required = [Requirement(r) for extra in requirements() for r in requirements()[extra]]
    for requirement in required:
        pin = pins.get(normal(requirement.name))
        assert pin, f"constraints.txt does not pin {requirement.name}"
        assert pin in requirement.specifier, f"{requirement} is pinned at {pin}"
    torch = next(r for r in required if r.name == "torch")
    assert {s.operator for s in torch.specifier} == {">="}, f"{torch}: no upper pin on torch"


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()
