"""Settings of Sphinx for the book; `build.py` calls it."""

import json
from pathlib import Path

from docutils import nodes

project = "fsslib"
author = "the maintainers of fsslib"
copyright = "the maintainers of fsslib, MIT licence"
extensions = ["myst_nb", "sphinx.ext.mathjax", "sphinx-mathjax-offline", "sphinx_copybutton"]
html_theme = "furo"
html_title = "fsslib: few-shot segmentation, taught and reproduced"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
exclude_patterns = ["_build"]

smartquotes = False  # -- is an option's
nb_execution_mode = "off"
nb_ipywidgets_js = {}  # widgets are shown by their static pictures
nb_render_markdown_format = "myst"
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header", "misc.highlighting_failure", "mystnb.unknown_mime_type"]
suppress_warnings += ["ref.python"]  # two classes of one name in two rooms
copybutton_exclude = ".linenos, .gp, .go"


def alternative_texts(app, doctree):
    """Pictures of notebooks are named by their digest, which leads to their alternative texts."""
    texts = json.loads((Path(app.srcdir) / "alternatives.json").read_text())
    for image in doctree.findall(nodes.image):
        if not image.get("alt"):
            image["alt"] = texts.get(Path(image["uri"]).stem, "")


def setup(app):
    app.connect("doctree-read", alternative_texts)
