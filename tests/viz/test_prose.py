"""Prose made by code is Markdown where that is shown, else plain text."""

from fsslib.viz.prose import conclude, reveal


def test_conclusions_and_answers_are_markdown_and_plain_text():
    bundle = conclude("We saw 12.3 %,\n because of that.")._repr_mimebundle_()
    assert bundle["text/markdown"] == "> **Conclusion.** We saw 12.3 %, because of that."
    assert bundle["text/plain"] == "Conclusion. We saw 12.3 %, because of that."
    bundle = reveal("12.3 %\n\n- and more")._repr_mimebundle_()
    assert bundle["text/markdown"].startswith("<details><summary>What happened</summary>\n\n12.3 %")
    assert bundle["text/plain"] == "What happened: 12.3 % - and more"
