"""The shape of notebooks and package: agreed on once, and kept by these rules."""

import ast
import json
from collections import Counter

from repository_files import (
    LESSONS,
    MODULES,
    PACKAGE,
    PLAYGROUND,
    PUBLISHED,
    REPORTS,
    ROOT,
    SOLUTIONS,
    TEMPLATES,
    absolute_paths,
    each,
    outputs,
    parsed,
    read,
    shown,
)

from fsslib.data.benchmark import BENCHMARKS
from fsslib.methods import METHODS

HEADINGS = (
    "## Goals",
    "## Before you start",
    "## Where the paper and its code differ",
    "## Our trained result",
    "## Exercises",
    "## Quiz",
    "## What to try next",
    "## References",
)
LARGEST = 1_000_000
TEMPLATE_CELLS, LESSON_LINES = 12, 25
LANGUAGE = {"codemirror_mode", "file_extension", "mimetype", "name", "nbconvert_exporter"}
LANGUAGE |= {"pygments_lexer", "version"}
GRAMMAR = {"answered", "found", "gone", "got", "had", "heard", "here", "kept", "once", "said"}
GRAMMAR |= {"asked", "beside", "given", "sure", "taken", "there", "told", "wanted", "whose"}
TERMS = {  # what a word of these is the name of
    "ahead.py": {"beside"},  # the next batch is made beside a step
    "questions.py": {"asked"},  # an episode, asked with one thing changed
    "teachers.py": {"found"},  # FOUND, the method
    "diagrams.py": {"here"},  # "you are here"
    "stages.py": {"once"},  # computed once: a cache's method
}
TESTS = sorted((ROOT / "tests").rglob("*.py"))

# A room may import from those before it, and from what lies at the root of the package.
ROOMS = (
    *("data", "encoders", "priors", "layers", "methods"),
    *("training", "evaluation", "interop", "runs", "viz", "bench"),
    *("predict", "own_pictures", "__main__"),
)
SHARED = {"config", "fp32", "grammar", "settings", "registry", "files", "lazy", "command_line"}
SHARED |= {"__version__"}
BELOW_ALL = {
    "settings": {"config", "grammar"},
    "grammar": {"config"},
    "registry": {"config"},
    "files": {"config"},
    "__init__": {"own_pictures"},  # when `fsslib.segment` is first asked for
}
KNOWS_NOTHING_OF = {
    "encoders": {"data"},
    "priors": {"data", "encoders", "files"},
    "methods": {"training"},
    "interop": {"training"},
    "viz": {"training"},
}


@each([*LESSONS, PLAYGROUND, *REPORTS, *SOLUTIONS, *TEMPLATES, *PUBLISHED])
def test_notebook_runs_anywhere(path):
    kernel = read(path).metadata.get("kernelspec", {}).get("name")
    assert kernel == "python3", f"kernel {kernel!r}; every notebook names 'python3'"
    size = path.stat().st_size
    assert size <= LARGEST, f"{size} bytes; at most {LARGEST}: lower the figures' dpi"


@each([*LESSONS, PLAYGROUND, *REPORTS, *SOLUTIONS, *TEMPLATES])
def test_opening_a_notebook_changes_nothing(path):
    """JupyterLab writes what it misses of these, and calls the notebook changed."""
    metadata = read(path).metadata
    assert metadata.kernelspec.display_name == "Python 3 (ipykernel)", metadata.kernelspec
    missing = LANGUAGE - set(metadata.language_info)
    assert not missing, f"metadata.language_info lacks {sorted(missing)}; save it in JupyterLab"


@each([*LESSONS, PLAYGROUND, *REPORTS, *SOLUTIONS, *TEMPLATES, *PUBLISHED])
def test_notebook_speaks_of_no_machine(path):
    book = read(path)
    texts = [cell.source for cell in book.cells]
    texts += [json.dumps(m) for m in (book.metadata, *(cell.metadata for cell in book.cells))]
    for output in outputs(path):
        # Only text: the base64 of a picture may hold anything.
        data = {k: v for k, v in output.get("data", {}).items() if k[:6] != "image/" or "svg" in k}
        texts += [str(output.get("text", "")), *map(str, data.values())]
    paths = absolute_paths(texts)
    assert not paths, f"absolute paths, which exist on one machine only: {paths}"


@each([*LESSONS, PLAYGROUND, *REPORTS, *SOLUTIONS, *TEMPLATES, *PUBLISHED])
def test_notebook_is_clean(path):
    assert "widgets" not in read(path).metadata, "saved widget state; remove metadata.widgets"
    errors = [o.get("evalue") for o in outputs(path) if o.output_type == "error"]
    assert not errors, f"error outputs {errors}; mend the cell and run the notebook again"
    timed = [i for i, cell in enumerate(read(path).cells) if "execution" in cell.metadata]
    assert path in PUBLISHED or not timed, f"cells {timed} hold execution times; strip them"


@each(LESSONS)
def test_lesson_has_its_headings(path):
    text = "\n".join(c.source for c in read(path).cells if c.cell_type == "markdown")
    lines = [line.strip() for line in text.splitlines()]
    missing = [heading for heading in HEADINGS if heading not in lines]
    assert not missing, f"required headings missing: {missing}"


@each(LESSONS)
def test_lesson_has_solutions(path):
    solutions = path.parent / "solutions" / f"{path.name[:2]}_solutions.ipynb"
    assert solutions in SOLUTIONS, f"no {shown(solutions)} for the exercises of {path.name}"


@each(LESSONS)
def test_lesson_cells_are_short(path):
    lengths = {
        i: len(cell.source.splitlines())
        for i, cell in enumerate(read(path).cells)
        if cell.cell_type == "code"
    }
    long = {i: n for i, n in lengths.items() if n > LESSON_LINES}
    assert not long, f"cells with more than {LESSON_LINES} lines (index: lines): {long}"


@each(TEMPLATES)
def test_template_has_one_cell_of_literal_parameters(path):
    cells = [c for c in read(path).cells if "parameters" in c.metadata.get("tags", ())]
    assert len(cells) == 1, f"{len(cells)} cells tagged 'parameters'; papermill needs exactly one"
    for statement in ast.parse(cells[0].source).body:
        line = ast.unparse(statement)
        assert isinstance(statement, ast.AnnAssign), f"{line!r} is no annotated assignment"
        ast.literal_eval(statement.value)  # ValueError: papermill would leave derived values stale


@each(TEMPLATES)
def test_template_is_short_and_stripped(path):
    count = len(read(path).cells)
    assert count <= TEMPLATE_CELLS, f"{count} cells, at most {TEMPLATE_CELLS}: logic is for fsslib"
    counts = [c.execution_count for c in read(path).cells if c.cell_type == "code"]
    stripped = not outputs(path) and not any(counts)
    assert stripped, f"outputs in a run template; run `nbstripout {shown(path)}`"


def _strings(node):
    return {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and type(n.value) is str}


@each(MODULES)
def test_nobody_compares_with_a_methods_or_benchmarks_name(path):
    """What a method or a benchmark needs, its class says: no branch on names, no list of them
    elsewhere. `prototype` and `folder` are words of their own as well."""
    tree = ast.parse(path.read_text())
    known = {*METHODS.names(), *BENCHMARKS.names()}
    own = {name for name in known if f'register("{name}")' in path.read_text()}
    names = known - own - {"prototype", "folder"}
    kinds = (ast.Compare, ast.MatchValue, ast.Tuple, ast.List, ast.Set)
    offending = [
        f"line {node.lineno}: {sorted(_strings(node) & names)}"
        for node in ast.walk(tree)
        if isinstance(node, kinds) and _strings(node) & names
    ]
    assert not offending, f"names of methods in {offending}; let the class declare what it needs"


def imports(path):
    """Dotted fsslib modules that a file imports anywhere, lazily too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{shown(path)}: relative import; write fsslib.… in full"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "fsslib")


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@each(MODULES)
def test_imports_go_downwards_only(path):
    room, known = room_of(path), {*ROOMS, *SHARED, "__init__"}
    assert room in known, f"room {room!r} is not in the design's table; known: {sorted(known)}"
    may = (
        SHARED | set(ROOMS[: ROOMS.index(room) + 1])
        if room in ROOMS
        else BELOW_ALL.get(room, set())
    )
    may -= KNOWS_NOTHING_OF.get(room, set())
    named = {name: name.split(".")[1] for name in imports(path) if name != "fsslib"}
    wrong = sorted(name for name, target in named.items() if target not in may)
    assert not wrong, f"{room} may not import {wrong}; it may import from {sorted(may)}"


def test_no_two_test_modules_share_a_name():
    """pytest imports them by it, since folders of tests are no packages."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert not [name for name, count in names.items() if count > 1]


def own_names(tree):
    """(name, line) of each variable, parameter, function and class that is defined."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node.lineno


@each([*MODULES, *TESTS, *LESSONS, *SOLUTIONS, *TEMPLATES, *REPORTS, PLAYGROUND])
def test_names_are_of_the_field(path):
    """No verb forms and adverbs in the place of what a value is."""
    sources = [path.read_text()]
    if path.suffix == ".ipynb":
        sources = [c.source for c in read(path).cells if c.cell_type == "code"]
    names = [name for source in sources for name in own_names(parsed(source))]
    odd = [(name, line) for name, line in names if name in GRAMMAR - TERMS.get(path.name, set())]
    assert not odd, f"(name, line) of its code: {odd}; say what the value is"
