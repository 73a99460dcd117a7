"""Every system has one drawing, whose blocks are where arrows say, apart and inside of the page."""

from itertools import combinations

import pytest

from fsslib.config import ConfigError
from fsslib.viz import diagrams
from fsslib.viz.diagrams import HEIGHT, WIDTH, diagram, load_system, systems
from fsslib.viz.display import chart_png


@pytest.mark.parametrize("name", systems())
def test_blocks_stand_apart_on_a_page(name):
    system = load_system(name)
    for (_, one), (_, other) in combinations(system.blocks.items(), 2):
        off = abs(one.centre - other.centre)
        assert off[0] >= WIDTH or off[1] >= HEIGHT, f"{one.text} and {other.text} overlap"
    first = next(iter(system.blocks))
    _, facts = chart_png(diagram(name, here=first))
    assert facts["width"] <= 1000
    assert (
        " ".join(system.blocks[first].text.split()) in facts["alt"] and system.title in facts["alt"]
    )


def test_what_a_drawing_lacks_is_named(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="diagram 'fpenet': expected one of"):
        diagram("fpenet")
    with pytest.raises(ConfigError, match=r"here=\['pior'\], expected some of"):
        diagram("pfenet", here="pior")
    (tmp_path / "x.yaml").write_text(
        "title: x\nblocks: {a: {at: [0, 0], text: a}}\narrows: [{from: a, to: b}]\n"
    )
    monkeypatch.setattr(diagrams, "FOLDER", tmp_path)
    with pytest.raises(ConfigError, match=r"arrows name \['b'\]"):
        diagram("x")


def test_the_title_names_what_is_lit_without_what_it_does(tmp_path, monkeypatch):
    (tmp_path / "x.yaml").write_text(
        'title: X\nblocks: {a: {at: [0, 0], text: "circle: the support first"}, '
        'b: {at: [2, 0], text: "FEM, ASPP"}}\narrows: [{from: a, to: b}]'
    )
    monkeypatch.setattr(diagrams, "FOLDER", tmp_path)
    titles = [diagram("x", lit).axes[0].get_title(loc="left") for lit in ([], "a", ["a", "b"])]
    assert titles == ["X", "X. Here: circle", "X. Here: circle and FEM"]
