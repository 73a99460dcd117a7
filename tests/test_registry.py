"""Classes by name, and from anywhere."""

import pytest

from fsslib.config import ConfigError
from fsslib.methods import METHODS, PRIORS, FewShotSegmenter, PFENet
from fsslib.registry import source_digest

OUTSIDE = """
from fsslib.methods import FewShotSegmenter, Prediction
from fsslib.methods.base import binary_logits


class Everything(FewShotSegmenter):
    trainable = False
    parts = {}

    def forward(self, episodes):
        return Prediction(binary_logits(episodes.query_mask.new_ones(episodes.query_mask.shape)))


class Unfinished(FewShotSegmenter):
    pass


class Stranger:
    pass
"""


@pytest.fixture
def outside(tmp_path, monkeypatch):
    (tmp_path / "outside_methods.py").write_text(OUTSIDE)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "outside_methods.py"


def test_names_and_classes_lead_to_the_same():
    assert METHODS.get("pfenet") is METHODS.get(PFENet) is PFENet
    assert PFENet.name == "pfenet" and "region" in PRIORS.names()


@pytest.mark.parametrize("kind", ["outside_methods:Everything", "{path}:Everything"])
def test_a_class_of_a_file_is_as_good_as_a_name(outside, kind):
    cls = METHODS.get(kind.format(path=outside))
    assert issubclass(cls, FewShotSegmenter) and cls.name == "Everything"
    assert "Everything" not in METHODS.names()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pfnet", r"method='pfnet': expected one of .*did you mean 'pfenet'\?"),
        ("nowhere:Net", "'nowhere' cannot be imported"),
        ("nowhere.py:Net", r"'nowhere\.py' cannot be imported \(no file nowhere\.py\)"),
        ("outside_methods:Nothing", "defines no 'Nothing'"),
        ("outside_methods:Stranger", "is no subclass of fsslib.methods.base.FewShotSegmenter"),
        ("outside_methods:Unfinished", r"does not define \['forward'\] yet"),
    ],
)
def test_what_is_no_method_is_refused_in_words(outside, name, message):
    with pytest.raises(ConfigError, match=message):
        METHODS.get(name)


def test_a_file_that_fails_fails_again(outside):
    """A kernel asks twice; a module that stopped half-way has no classes to find."""
    outside.write_text(OUTSIDE + "\n\nraise RuntimeError('not finished')\n")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="not finished"):
            METHODS.get(f"{outside}:Later")


def test_the_source_of_a_class_is_part_of_what_it_is(outside):
    assert source_digest("pfenet") is None
    before = source_digest("outside_methods:Everything")
    outside.write_text(OUTSIDE + "\n# changed\n")
    assert source_digest("outside_methods:Everything") != before


def test_a_name_is_given_once():
    with pytest.raises(ValueError, match="method 'pfenet' is PFENet already"):
        METHODS.register("pfenet")(PFENet)
