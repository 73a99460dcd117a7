"""The protocol laboratory: which rows are a switch of which method, moves, orders and lists."""

import numpy as np
import pytest
from simulated import World

from fsslib.evaluation.episode_table import write_table
from fsslib.runs.switches import lists, methods_of, moves, orders, switches_of
from fsslib.viz.evidence import lists_figure, moves_figure


def result(miou, half=0.02, file=None):
    about = {"fold": 0, "seed": 0, "miou": miou, "miou_interval": [miou - half, miou + half]}
    return [about | {"protocol": {"shot": 1}, "file": file}]


@pytest.fixture
def rows(tmp_path):
    """Two methods, one switch on the same list, one on another, three lists."""
    plain, other = World(5, better=1.0, seed=1).lists(np.random.default_rng(0), 200)
    made = {}
    for row, table, miou in (("a+b", plain, 0.3), ("a+b_border", other, 0.4)):
        write_table(table, tmp_path / f"{row}.episodes.csv.gz")
        made[row] = result(miou, file=tmp_path / f"{row}.json")
    bare = {"a": 0.35, "a_border": 0.33, "a_first": 0.5, "a+b_first": 0.45}
    bare |= {"a_list_1": 0.37, "a_list_2": 0.47, "trained_drop": 0.9}
    return made | {row: result(miou, file=tmp_path / row) for row, miou in bare.items()}


def test_rows_are_switches_of_methods(rows):
    assert methods_of(rows) == ["a+b", "a"]
    assert switches_of(rows) == ["border", "first"], "lists are no switches"


def test_moves_are_paired_on_the_same_list_alone(rows):
    known = {(move.method, move.switch): move for move in moves(rows)}
    assert set(known) == {("a+b", "border"), ("a", "border"), ("a+b", "first"), ("a", "first")}
    paired = known["a+b", "border"]
    assert (
        paired.paired
        and paired.significant
        and paired.interval[0] < paired.points < paired.interval[1]
    )
    apart = known["a", "first"]
    assert not apart.paired and apart.points == pytest.approx(15) and apart.significant
    assert apart.interval == pytest.approx((15 - 2 * 2**0.5, 15 + 2 * 2**0.5))
    assert not known["a", "border"].significant


def test_orders_name_the_pairs_that_change_places(rows):
    border, first = orders(rows)
    assert border.switch == "border" and border.methods == ("a+b", "a")
    assert border.swapped == (("a", "a+b"),), "as scored everywhere a is better"
    assert first.swapped == () and first.methods == ("a", "a+b")


def test_lists_say_how_far_one_list_reaches(rows):
    (one,) = lists(rows)
    assert one.scores == pytest.approx((35, 37, 47)) and one.half == pytest.approx(2)
    assert one.covered == 0.5, "two points are within two times the root of two, twelve are not"
    assert one.spread == pytest.approx(np.std([35, 37, 47], ddof=1))


def test_figures_show_every_move_and_list(rows):
    figure = moves_figure(moves(rows), "moves")
    assert [axis.get_title() for axis in figure.axes] == ["border", "first"]
    # Of each move its interval and its point, and the line at zero.
    assert [len(axis.lines) for axis in figure.axes] == [5, 5]
    drawn = lists_figure(lists(rows), "lists").axes[0]
    assert [text.get_text() for text in drawn.get_yticklabels()] == ["a"]
