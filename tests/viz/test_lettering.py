"""Titles fold where a reader would fold them."""

from fsslib.viz.lettering import folded, font


def test_a_score_stays_in_one_line():
    text = "and of grounds: IoU 47 %"
    width = int(font(20).getlength("and of grounds: IoU 47"))  # all but the sign has room
    lines = folded(text, width, 20)
    assert [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines] == [
        "and of grounds:",
        "IoU 47 %",
    ]


def test_breaks_of_the_text_stay():
    assert folded("support\nquery", 1000, 20) == ["support", "query"]
    assert folded("", 1000, 20) == []
