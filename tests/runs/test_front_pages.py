"""Documents show today's tables, whatever stood there before."""

import pytest

from fsslib.runs.front_pages import documents, with_tables


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.parent.name)
def test_documents_show_todays_tables(path):
    text = path.read_text()
    assert text.count("<!-- end -->") == 1
    assert with_tables(text) == text, "run `fsslib results`"


def test_a_table_takes_the_place_of_another():
    before = "a\n<!-- leaderboard -->\n\n| old |\n\n<!-- end -->\nb\n"
    after = with_tables(before)
    assert "| hdmnet+pi_clip |" in after and "| old |" not in after
    assert after.startswith("a\n<!-- leaderboard -->\n\n|") and after.endswith(
        "|\n\n<!-- end -->\nb\n"
    )
    assert with_tables(after) == after
    with pytest.raises(KeyError):
        with_tables("<!-- others -->\n<!-- end -->")
