"""Prose made by code is Markdown where that is shown, else plain text."""

import pytest

from fsslib.viz.prose import conclude, minus, reveal, table


def test_conclusions_and_answers_are_markdown_and_plain_text():
    bundle = conclude("We saw 12.3 %,\n because of that.")._repr_mimebundle_()
    assert bundle["text/markdown"] == "> **Conclusion.** We saw 12.3\xa0%, because of that."
    assert bundle["text/plain"] == "Conclusion. We saw 12.3\xa0%, because of that."
    bundle = reveal("12.3 %\n\n- and more")._repr_mimebundle_()
    assert bundle["text/markdown"].startswith(
        "<details><summary>What happened</summary>\n\n12.3\xa0%"
    )
    assert bundle["text/plain"] == "What happened: 12.3\xa0% - and more"


def test_tables_align_numbers_and_stay_readable_as_text():
    shown = table(["method", "mIoU", "n"], [["word", 56.64, 3], ["none", -0.5, 12]], "Two methods")
    bundle = shown._repr_mimebundle_()
    assert bundle["text/markdown"].splitlines() == [
        "**Two methods**",
        "",
        "| method | mIoU | n |",
        "| --- | ---: | ---: |",
        "| word | 56.6 | 3 |",
        "| none | \N{MINUS SIGN}0.5 | 12 |",
    ]
    assert bundle["text/plain"].splitlines()[2].split() == ["word", "56.6", "3"]


def test_written_numbers_stand_at_the_right_and_names_at_the_left():
    rows = [["3 names", "+3.2 [2.1, 4.3]", "7 %", "12"], ["40", "", "0.5 %", "-"]]
    lines = table(["row", "gain", "share", "count"], rows).text.splitlines()
    assert lines[1] == "| --- | ---: | ---: | --- |"


def test_a_row_of_another_length_than_the_heads_is_refused():
    with pytest.raises(ValueError, match="argument"):
        table(["a", "b"], [["1"]])


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("-1.2 [-2.0, -0.4], or (-3)", "−1.2 [−2.0, −0.4], or (−3)"),
        ("1-shot, 2-5, x-1, - 5, 2024-11", "1-shot, 2-5, x-1, - 5, 2024-11"),
        ("`lr=-1 -2` and $x -1$ are -1", "`lr=-1 -2` and $x -1$ are −1"),
        ("| -7 |", "| −7 |"),
    ],
)
def test_a_number_below_zero_has_a_minus_sign_and_code_stays_code(written, printed):
    assert minus(written) == printed and printed in conclude(written).text
