"""Claims: rules on made-up differences, the papers' numbers against their tables, verdicts by what
is published."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml
from golden import GOLDEN
from simulated import World

from fsslib.config import ConfigError
from fsslib.evaluation.episode_table import write_table
from fsslib.runs import claim_scores, studies
from fsslib.runs import study as study_files
from fsslib.runs.__main__ import main
from fsslib.runs.claim_rules import CONTRADICTED, FAILS, HOLDS, OPEN, Measured, states, verdict
from fsslib.runs.claim_scores import Term, measure
from fsslib.runs.claims import judge, judged, read_claims, signed_terms
from fsslib.runs.claims_command import claims_table
from fsslib.runs.results import published_folder
from fsslib.runs.study import load_study
from fsslib.viz.evidence import claims_figure

CLAIMS = read_claims()


@pytest.fixture(scope="module")
def known():
    """Claims by their ids, judged by what is published."""
    claim_scores.published_rows.cache_clear()
    return {each.claim.id: each for each in judged(CLAIMS)}


@pytest.mark.parametrize(
    ("rule", "margin", "differences", "expected"),
    [
        ("higher", 0, [(2.0, 1.0)], HOLDS),
        ("higher", 0, [(1.9, 1.0)], OPEN),
        ("higher", 0, [(-2.0, 1.0)], FAILS),
        ("higher", 0, [(9.0, 1.0), (1.0, 1.0)], OPEN),
        ("higher", 0, [(9.0, 1.0), (-2.0, 1.0)], OPEN),  # -2 is not enough for one of two
        ("higher", 0, [(9.0, 1.0), (-2.5, 1.0)], FAILS),
        ("equal", 3, [(0.9, 1.0)], HOLDS),
        ("equal", 1, [(0.0, 1.0)], OPEN),
        ("equal", 1, [(-4.0, 1.0)], FAILS),
        ("not_lower", 3, [(-1.0, 1.0)], HOLDS),
        ("not_lower", 3, [(-6.0, 1.0)], FAILS),
        ("higher", 0, [], OPEN),
    ],
)
def test_rules(rule, margin, differences, expected):
    assert verdict(rule, [Measured(*each) for each in differences], margin) == expected


def test_a_claim_without_any_effect_is_seldom_said_to_hold_or_fail():
    """Of three differences that are truly 0, one fails in at most one of twenty draws."""
    rng = np.random.default_rng(0)
    verdicts = [
        verdict("higher", [Measured(x, 1) for x in rng.normal(size=3)]) for _ in range(2000)
    ]
    assert verdicts.count(FAILS) / 2000 < 0.05 and verdicts.count(HOLDS) / 2000 < 0.001


def test_what_a_paper_states_of_its_numbers_is_so_up_to_rounding():
    assert states(10.41, "=", 10.4) and not states(2.6, "=", 2.4)
    assert states(60.2, ">", 60.1) and not states(60.1, ">", 60.1)
    assert not states(48.1, "!=", 48.1)


def at(tables, place):
    """What stands at a place of a paper's tables; a list's entry by its number or what it holds."""
    for step in place.split("/"):
        if isinstance(tables, dict):
            tables = tables[step]
        elif step.isdigit():
            tables = tables[int(step)]
        else:
            words = set(step.split(","))
            (tables,) = [row for row in tables if words <= {str(value) for value in row.values()}]
    return tables


@pytest.mark.parametrize("paper", CLAIMS.of)
def test_numbers_are_those_of_the_papers_tables(paper):
    tables = json.loads((GOLDEN / "claims" / f"{paper}.json").read_text())
    for name, (value, place) in CLAIMS.of[paper].numbers.items():
        assert value == at(tables, place), f"{name}: {place}"
    stated = " ".join(s for claim in CLAIMS.all if claim.paper == paper for s in claim.own)
    unused = set(CLAIMS.of[paper].numbers) - set(stated.split())
    assert not unused, f"numbers that no claim speaks of: {unused}"


def test_every_claim_of_pi_clips_text_is_borne_out_by_its_tables(known):
    """The spec's list of twelve, with the differences that its tables give."""
    listed = json.loads((GOLDEN / "claims" / "pi_clip.json").read_text())["claims"]
    own = [s for claim in CLAIMS.all if claim.paper == "pi_clip" for s in claim.own]
    sides = {abs(float(s.rpartition(" = ")[2])) for s in own if " = " in s}
    assert {abs(each["value"]) for each in listed} <= sides
    assert not any(each.wrong for each in known.values() if each.claim.paper == "pi_clip")


def test_rows_of_claims_are_rows_of_studies_and_published(known):
    terms = [Term.parse(n) for c in CLAIMS.all for d in c.ours for _, n in signed_terms(d)]
    rows = {(term.study, term.row) for term in terms if term.row}
    assert {row for study, row in rows if row not in load_study(study).rows} == set()
    missing = [difference for each in known.values() for difference in each.measured.values()]
    assert [difference for difference in missing if isinstance(difference, str)] == []


def test_verdicts_of_the_papers_own_slips(known):
    slips = {name for name, each in known.items() if each.verdict == CONTRADICTED}
    assert slips == {"L1", "L9", "L13", "Q3", "Q4", "Q6"}
    assert [known[name].verdict for name in ("P1", "L8", "L5")] == [HOLDS, FAILS, OPEN]


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A study of rows of simulated episodes: `better` knows more than `plain`, `lonely` kept no
    episodes."""
    monkeypatch.setattr(study_files, "sweeps_folder", lambda: tmp_path)
    monkeypatch.setattr(studies, "published_folder", lambda: tmp_path / "published")
    rows = {
        name: {"template": "evaluate", "method": "prototype"}
        for name in ("plain", "better", "lonely")
    }
    content = {"about": "a test", "folds": [0, 1], "rows": rows}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(content))
    study, folder = load_study("small"), tmp_path / "published" / "small"
    for fold in (0, 1):
        tables = World(5, better=0.8, seed=fold).lists(np.random.default_rng(fold), 200)
        for name, table in zip(("plain", "better", "lonely"), (*tables, tables[1]), strict=True):
            put(folder, f"{name}_f{fold}_s0", table, name != "lonely")
    claim_scores.published_rows.cache_clear()
    yield folder
    claim_scores.published_rows.cache_clear()
    assert study.rows


def put(folder, name, table, keeps):
    folder.mkdir(parents=True, exist_ok=True)
    sums = table.by_class().sum(0)
    miou = float((sums[:, 0] / sums[:, 1]).mean())
    result = {"miou": miou, "miou_interval": [miou - 0.04, miou + 0.04], "protocol": {"shot": 1}}
    (folder / f"{name}.json").write_text(json.dumps(result))
    if keeps:
        write_table(table, folder / f"{name}.episodes.csv.gz")


def claim(*ours, **changes):
    about = {"id": "T", "paper": "x", "where": "here", "claim": "so", "ours": tuple(ours)}
    return replace(CLAIMS.all[0], own=(), text="", **about, **changes)


def of(*ours):
    return judge(claim(*ours), CLAIMS.of["lfss"])


def test_rows_with_episodes_are_paired_and_others_are_not(world):
    paired = of("small/better - small/plain")
    apart = of("small/lonely - small/plain")
    (one,), (other,) = paired.measured.values(), apart.measured.values()
    assert paired.verdict == HOLDS and one.paired and not other.paired
    assert other.error == pytest.approx(100 * 0.04 / 1.95996, 1e-4)  # sqrt(2 rows / 2 folds)
    assert one.error < other.error and one.estimate == pytest.approx(other.estimate)
    assert "°" not in claims_table([paired]).splitlines()[2]
    assert "°" in claims_table([apart]).splitlines()[2]


def test_a_deleted_result_leaves_the_claim_open(world):
    assert of("small/better - small/plain").verdict == HOLDS
    for path in world.glob("better*"):
        path.unlink()
    claim_scores.published_rows.cache_clear()
    judged = of("small/better - small/plain")
    assert judged.verdict == OPEN
    assert "not published: small/better" in claims_table([judged])
    shutil.rmtree(world)
    claim_scores.published_rows.cache_clear()
    assert of("small/better - small/plain").verdict == OPEN


def test_folds_that_only_one_row_has_are_left_out(world):
    (world / "better_f1_s0.json").unlink()
    claim_scores.published_rows.cache_clear()
    (one,) = of("small/better - small/plain").measured.values()
    folds = claim_scores.runs_of("small", "better")
    assert set(folds) == {(0, 0)} and isinstance(one, Measured)
    (world / "plain_f0_s0.json").unlink()
    claim_scores.published_rows.cache_clear()
    (reason,) = of("small/better - small/plain").measured.values()
    assert reason == "no fold that all of these rows have"


def test_seeds_are_part_of_an_unpaired_error(world):
    for fold in (0, 1):
        path = world / f"lonely_f{fold}_s0.json"
        for seed, more in ((1, 0.02), (2, -0.02)):
            result = json.loads(path.read_text())
            result["miou"] += more
            (world / f"lonely_f{fold}_s{seed}.json").write_text(json.dumps(result))
    study = world.parents[1] / "small.yaml"
    content = yaml.safe_load(study.read_text())
    content["rows"]["lonely"] |= {"seeds": [0, 1, 2]}
    study.write_text(yaml.safe_dump(content))
    claim_scores.published_rows.cache_clear()
    one = measure([(1, Term("small", "lonely")), (-1, Term(constant=0.0))])
    assert one.error == pytest.approx(np.sqrt(((4 / 1.95996) ** 2 + 4 / 3) / 2), 1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"paper": "lfs"}, "paper='lfs': expected one of"),
        ({"ours": ["lfss/lfs - lfss/pfenet"]}, "row='lfs'"),
        ({"ours": ["lfs/lfss - lfss/pfenet"]}, "study='lfs'"),
        ({"ours": ["lfss - lfss/pfenet"]}, "expected STUDY/ROW"),
        ({"ours": ["lfss/lfss lfss/pfenet"]}, "expected names with"),
        ({"own": ["voc_r50_lfss > voc"]}, "number='voc'"),
        ({"own": ["voc_r50_lfss"]}, "expected two sides"),
        ({"rule": "equal"}, "margin=0.0 with rule 'equal'"),
        ({"rule": "lower"}, "rule='lower'"),
        ({"verdict": "holds"}, "unknown parameter 'verdict'"),
        ({"id": "L2"}, "claim 'L2' is there twice"),
    ],
)
def test_wrong_files_are_refused_in_a_sentence(tmp_path, changes, message):
    content = yaml.safe_load((published_folder().parent / "claims.yaml").read_text())
    content["claims"] = [content["claims"][0] | changes, content["claims"][1]]
    (tmp_path / "claims.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=message):
        read_claims(tmp_path / "claims.yaml")


def test_files_that_are_none_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"claims.yaml cannot be read"):
        read_claims(tmp_path / "claims.yaml")
    (tmp_path / "claims.yaml").write_text("papers: {x: {title: x, numbers: {a: 3}}}\nclaims: []\n")
    with pytest.raises(ConfigError, match=r"number 'a': 3; expected \[value, place\]"):
        read_claims(tmp_path / "claims.yaml")


def test_labels_of_the_figure_name_a_shared_study_once(known):
    axis = claims_figure([known["P1"]], "P1").axes[0]
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert "P1: pfenet+pi_clip \N{MINUS SIGN} pfenet" in labels
    assert "P1: pfenet+pi_clip \N{MINUS SIGN} pfenet (main)" in labels


def test_the_command_prints_one_paper_or_all(capsys):
    assert main(["claims", "qgnet"]) == 0
    text = capsys.readouterr().out
    assert "| Q1 | Table I |" in text and "| L1 |" not in text and "13 claims:" in text
    assert main(["claims", "qgnett"]) == 2
    assert "paper='qgnett': expected one of" in capsys.readouterr().err
