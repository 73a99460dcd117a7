"""What notebooks show: every figure with a text for those who cannot see it, every widget with a
picture for pages that have no kernel, and the sentences that their cells write today."""

import ast
import re

import nbformat
import pytest
from repository_files import LESSONS, REPORTS, SOLUTIONS, each, outputs, parsed, read

PICTURES = ("image/png", "image/jpeg")
NARROW = 86
"""Characters that a window of 900 pixels shows before it breaks a printed line."""

WIDGET = "application/vnd.jupyter.widget-view+json"


@each(LESSONS + REPORTS + SOLUTIONS)
def test_figures_have_alternative_text(path):
    missing = [
        kind
        for output in outputs(path)
        for kind in PICTURES
        if kind in output.get("data", {})
        and not output.get("metadata", {}).get(kind, {}).get("alt", "").strip()
    ]
    assert not missing, f"{len(missing)} figures without alternative text: use_sharp_figures()"


@each(LESSONS + REPORTS + SOLUTIONS)
def test_widgets_show_a_picture_where_no_kernel_is(path):
    views = [output.data for output in outputs(path) if WIDGET in output.get("data", {})]
    bare = [data["text/plain"] for data in views if not any(kind in data for kind in PICTURES)]
    assert not bare, f"without a kernel these show as text: {bare}"


@each(LESSONS + REPORTS)
def test_printed_lines_fit_a_narrow_page(path):
    lines = [line for output in outputs(path) for line in output.get("text", "").splitlines()]
    wide = [line for line in lines if len(line) > NARROW]
    assert not wide, f"longer than {NARROW} characters: {wide}; use fsslib.viz.prose.table or wrap"


def plain(text):
    """Text without its markup, as it is compared: one kind of space, one kind of minus."""
    return re.sub(r"\s+", " ", re.sub(r"[`*]", "", text)).replace("\N{MINUS SIGN}", "-").strip()


def written_sentences(source):
    """The constant parts of what a cell hands to `conclude` and `reveal`."""
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("conclude", "reveal"):
            parts = getattr(node.args[0], "values", [node.args[0]])
            yield from (plain(part.value) for part in parts if isinstance(part, ast.Constant))


@each(LESSONS + REPORTS + SOLUTIONS)
def test_stored_sentences_are_those_of_their_cells(path):
    stale = [
        sentence
        for cell in read(path).cells
        if cell.cell_type == "code"
        for sentence in written_sentences(cell.source)
        if sentence
        not in plain(" ".join(o.data["text/plain"] for o in cell.outputs if "data" in o))
    ]
    assert not stale, f"the stored output lacks {stale}: execute the notebook"


def test_a_sentence_that_was_edited_later_is_noticed():
    source = 'conclude(f"""One *point* more,\n{gain:.1f} in pairs.""")'
    assert list(written_sentences(source)) == ["One point more,", "in pairs."]
    assert "One point more," not in plain("Conclusion. One point less, 0.3 in pairs.")


def unanswered(cells):
    """Predictions without a folded answer before the next one; those that say where it stands
    later are answered there."""
    waiting, postponed, left = [], [], []
    for cell in cells:
        if cell.cell_type == "code":
            if "reveal(" in cell.source:
                (waiting or postponed or [None]).pop()
            continue
        for prediction in re.findall(r"\*\*Predict(?!\*\* stands).*", cell.source, re.DOTALL):
            left += waiting
            later = re.search(r"(?i)answer (below|comes)|cell after the last", prediction)
            waiting, postponed = (
                ([], [*postponed, prediction]) if later else ([prediction], postponed)
            )
    return left + waiting + postponed


@each(LESSONS)
def test_predictions_have_folded_answers(path):
    assert not unanswered(read(path).cells)


def test_a_prediction_without_an_answer_is_noticed():
    def cells(*kinds):
        sources = {
            "P": ("markdown", "**Predict:** how many?"),
            "L": ("markdown", "**Predict:** in which order? (The answer comes with the table.)"),
            "R": ("code", 'reveal("Two.")'),
            "C": ("code", 'conclude("Two.")'),
        }
        return [
            nbformat.NotebookNode(cell_type=kind, source=source)
            for kind, source in (sources[key] for key in kinds)
        ]

    assert not unanswered(cells(*"PRCPR")) and not unanswered(cells(*"LPRR"))
    assert len(unanswered(cells(*"PCPR"))) == 1 and len(unanswered(cells(*"PRPC"))) == 1
    assert len(unanswered(cells(*"LPR"))) == 1


@pytest.mark.parametrize("word", ["Dropdown(", "patch_picker", "set_matplotlib_formats"])
def test_lessons_use_what_is_for_them(word):
    using = [
        path.name for path in LESSONS + SOLUTIONS for c in read(path).cells if word in c.source
    ]
    assert not using, f"{word} in {using}: see fsslib/viz"
