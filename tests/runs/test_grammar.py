"""One grammar for what can be set, and an identity that the machine does not decide."""

import nbformat
import pytest
import yaml

from fsslib.config import ConfigError
from fsslib.grammar import format_group, parse_group
from fsslib.runs.__main__ import main
from fsslib.runs.config import CONFIGS, command_of, parse, parse_card, portable, run_id
from fsslib.runs.describe import TOPICS, parameters_cell, template_help
from fsslib.runs.executing import template_path
from fsslib.settings import field_notes
from fsslib.training.recipe import TrainConfig

GROUPS = [
    ("scenes", {}),
    ("bam", {"dim": 128, "ensemble": False, "rates": [2, 4]}),
    (None, {"weights": "a file.pth", "lr": 1e-4}),
    ("x", {"text": "1", "none": None, "quote": "it's"}),
]


@pytest.mark.parametrize(("head", "changes"), GROUPS)
def test_what_is_written_is_what_is_read(head, changes):
    assert parse_group("group", format_group(head, changes)) == (head, changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scenes dim", "expected changes as name=value"),
        ("scenes dim=1 dim=2", "'dim' is given twice"),
        ("scenes path='a b", "No closing quotation; quote values"),
        ("scenes dim=[1", "the value is no YAML"),
    ],
)
def test_groups_that_cannot_be_read_are_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_group("recipe", text)


@pytest.mark.parametrize("template", sorted(CONFIGS))
def test_parameters_cells_are_those_of_the_dataclasses(template):
    book = nbformat.read(template_path(template), 4)
    (cell,) = [c for c in book.cells if "parameters" in c.metadata.get("tags", ())]
    assert cell.source == parameters_cell(template), "python -m fsslib.runs templates writes them"
    namespace: dict = {"Optional": None}
    exec(cell.source, namespace)
    defaults = {note.name: note.default for note in field_notes(CONFIGS[template])}
    assert {name: namespace[name] for name in defaults} == defaults
    assert len(defaults) <= 19


@pytest.mark.parametrize("template", sorted(CONFIGS))
def test_help_names_everything_that_can_be_given(template, capsys):
    assert main(["run", template, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.strip() == template_help(template).strip()
    for note in field_notes(CONFIGS[template]):
        assert f"  {note.name} (" in text
    for kind in CONFIGS[template].groups.values():
        assert all(note.name in text for note in field_notes(kind))


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_topics_are_printed(topic, capsys):
    assert main([topic]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 5


def test_nothing_of_a_recipe_is_out_of_reach():
    parameters = {"optimizer": "sgd", "schedule": "cosine", "warmup": 5, "slow": 0.1}
    parameters |= {"augment_last": "resize", "max_grad_norm": 1}
    training = parse("train", parameters).training
    assert {name: getattr(training, name) for name in parameters} == parameters
    text = "hdmnet " + " ".join(f"{name}={value}" for name, value in parameters.items())
    grouped = parse("train", {"recipe": text}).training
    assert grouped == TrainConfig.preset("hdmnet", workers=1, **parameters)


@pytest.mark.parametrize(
    ("alone", "grouped"),
    [
        ({"lr": "1e-4", "steps": 9}, {"recipe": "scenes lr=1e-4 steps=9"}),
        ({"benchmark": "pascal5i", "fit": "stretch"}, {"protocol": "pascal5i fit=stretch"}),
        ({"method": "bam", "settings": "dim=32"}, {"method": "bam dim=32"}),
        ({"preset": "official"}, {"method": "pfenet preset=official"}),
        ({"weights": "random"}, {"backbone": "scenes-resnet weights=random"}),
        (
            {"prior": "pi_clip", "pi_clip": "official vvp=false", "fit": "stretch"},
            {"prior": "pi_clip preset=official vvp=false", "protocol": "scenes10i fit=stretch"},
        ),
        ({"method": "bam", "base": "b.pt"}, {"method": "bam", "parts": "base=b.pt"}),
        ({"episode_seed": 3}, {"protocol": "scenes10i seed=3"}),
    ],
)
def test_what_a_group_holds_can_be_given_alone(alone, grouped):
    one, other = parse("train", alone), parse("train", grouped)
    assert one.decisive() == other.decisive() and run_id(one) == run_id(other)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"lr": 1, "recipe": "scenes lr=2"}, "'lr' is given there and alone"),
        ({"benchmark": "coco20i", "protocol": "pascal5i"}, "its name is also given as 'coco20i'"),
        ({"protocol": "scenes10i fold=1"}, "fold is a parameter of its own"),
        ({"recipe": "scenes seed=1"}, "seed is a parameter of its own"),
        ({"base": "b.pt"}, "method 'pfenet' reads none; leave it out"),
        ({"clip_model": "ViT-B-16"}, "method 'pfenet' has none; leave it out"),
        ({"words": "paper"}, "reads no word"),
        ({"pi_clip": "official"}, "with prior='own': nobody reads it"),
        ({"method": "panet", "prior": "constant"}, "method 'panet' reads no prior"),
        ({"method": "nowhere:Net"}, "cannot be imported"),
        ({"prior": "constant value=2"}, "value=2.*expected 0 to 1"),
        ({"prior": "pfenet+constant valeu=1"}, "unknown parameter 'valeu'"),
    ],
)
def test_what_nobody_would_read_is_refused(parameters, message):
    with pytest.raises(ConfigError, match=message):
        parse("train", parameters)


MACHINES = [
    *({"workers": 2}, {"device": "cpu"}, {"feature_cache": 4}, {"batch_size": 3}),
    *({"checkpoint_every": 7}, {"log_every": 3}, {"machine": "cpu workers=3 clip_cache=9"}),
]


@pytest.mark.parametrize("parameters", MACHINES, ids=str)
def test_the_machine_does_not_decide_where_a_run_goes(parameters):
    assert run_id(parse("train", parameters)) == run_id(parse("train", {}))


@pytest.mark.parametrize(
    "parameters", [{"lr": 1e-4}, {"seed": 1}, {"fold": 1}, {"prior": "none"}], ids=str
)
def test_what_changes_a_result_does(parameters):
    assert run_id(parse("train", parameters)) != run_id(parse("train", {}))


def test_files_of_one_name_in_two_places_are_two(tmp_path, monkeypatch):
    ids = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "base.safetensors").write_bytes(b"")
        monkeypatch.chdir(tmp_path / name)
        parameters = {"method": "bam", "base": "base.safetensors"}
        config = parse("train", parameters)
        ids.add(run_id(config))
        assert portable(config)["parts"] == "base=base.safetensors"
    assert len(ids) == 2


@pytest.mark.parametrize(
    "parameters",
    [
        {"method": "lfss", "settings": "dps=false window=1", "workers": 3},
        {"prior": "pi_clip vvp=false+region dim=8", "lr": 1e-4},
        {"benchmark": "pascal5i", "backbone": "resnet50 weights=imagenet", "root": "voc"},
    ],
    ids=str,
)
def test_a_command_makes_the_same_run(parameters):
    import shlex

    config = parse("train", parameters)
    words = shlex.split(command_of(config))
    pairs = [words[i + 1].partition("=") for i, word in enumerate(words) if word == "-p"]
    again = parse(words[4], {name: yaml.safe_load(value) for name, _, value in pairs})
    assert again.decisive() == config.decisive()
    assert parse_card("train", portable(config)).decisive() == config.decisive()


def test_cards_of_older_versions_are_still_read():
    older = {"method": "hdmnet", "preset": "scenes", "settings": "dim=16", "clip": 1.0, "lr": 1e-3}
    older |= {"clip_model": None, "clip_weights": "scenes", "extractor_weights": "scenes"}
    older |= {"prior": "own", "pi_clip": "scenes", "train_batch_size": 4, "head": None}
    config = parse_card("train", older)
    assert config.training.max_grad_norm == 1.0 and config.training.batch_size == 4
    assert config.method_settings.dim == 16


def test_a_description_does_not_end_at_an_abbreviation():
    """`Eqs. 1-4` has a full stop that ends no sentence."""
    (line,) = (line for line in TOPICS["priors"]().splitlines() if line.startswith("pfenet:"))
    assert "Eqs. 1-4)" in line and not line.endswith("(Eqs")


@pytest.mark.parametrize("settings", ["scenes", "scenes vvp=false", "scenes vtp=false"])
def test_names_are_read_where_the_words_map_is_made(settings):
    config = parse("evaluate", {"method": "clip_prior", "pi_clip": settings})
    assert config.class_names_read == ("vtp=false" not in settings)
