"""What notebooks show: every figure with a text for those who cannot see it, and nothing that
JupyterLab would want to save as soon as a lesson is opened."""

import pytest
from repository_files import LESSONS, SOLUTIONS, each, outputs, read

PICTURES = ("image/png", "image/jpeg")
WIDGET = "application/vnd.jupyter.widget-view+json"
LANGUAGE = ("name", "version", "mimetype", "file_extension", "codemirror_mode", "pygments_lexer")


@each(LESSONS + SOLUTIONS)
def test_figures_have_alternative_text(path):
    missing = [
        kind
        for output in outputs(path)
        for kind in PICTURES
        if kind in output.get("data", {})
        and not output.get("metadata", {}).get(kind, {}).get("alt", "").strip()
    ]
    assert not missing, f"{len(missing)} figures without alternative text: use_sharp_figures()"


@each(LESSONS + SOLUTIONS)
def test_widgets_show_a_picture_where_no_kernel_is(path):
    views = [output.data for output in outputs(path) if WIDGET in output.get("data", {})]
    bare = [data["text/plain"] for data in views if not any(kind in data for kind in PICTURES)]
    assert not bare, f"without a kernel these show as text: {bare}"


@each(LESSONS + SOLUTIONS)
def test_opening_a_notebook_leaves_it_as_it_is(path):
    """JupyterLab writes what is missing of these, and marks the notebook as changed."""
    metadata = read(path).metadata
    language = metadata.get("language_info", {})
    missing = [key for key in LANGUAGE if key not in language]
    assert not missing, f"language_info has no {missing}: run the notebook and save its metadata"
    assert metadata.kernelspec.display_name and metadata.kernelspec.language == "python"
    version = read(path).nbformat, read(path).nbformat_minor
    assert version >= (4, 5), f"nbformat {version} has no cell ids, which would be added"


@pytest.mark.parametrize("word", ["Dropdown(", "patch_picker", "set_matplotlib_formats"])
def test_lessons_use_what_is_for_them(word):
    using = [
        path.name for path in LESSONS + SOLUTIONS for c in read(path).cells if word in c.source
    ]
    assert not using, f"{word} in {using}: see fsslib/viz"
