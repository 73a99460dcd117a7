"""Absent objects: scores, thresholds from other classes, and what refusing is worth."""

import numpy as np
import pytest
import torch
from toy import crowded

from fsslib.data.protocol import Protocol
from fsslib.data.sampler import test_episodes
from fsslib.evaluation.absence import Answers, absence, answers_of
from fsslib.evaluation.evaluator import evaluate
from fsslib.evaluation.meter import Meter
from fsslib.methods.base import FewShotSegmenter, Prediction


class Sees(FewShotSegmenter):
    """Knows the ground truth, marks it, and the corner everywhere; half sure of the corner."""

    trainable = False

    def forward(self, episodes):
        score = torch.where(episodes.query_mask == 1, 4.0, -4.0)
        score[:, :4, :4] = score[:, :4, :4].clamp(min=0.1)
        return Prediction(torch.stack([torch.zeros_like(score), score], 1))


def protocol(**changes) -> Protocol:
    small = {"image_size": 33, "minimum_object_pixels": 4, "episodes": 20, "fit": "stretch"}
    return Protocol.preset("pascal5i", **{**small, **changes})


def scored(kind):
    benchmark, chosen = crowded(images=80), protocol(queries="half_absent")
    return evaluate(Sees(), benchmark, chosen, test_episodes(benchmark, chosen, kind)).meter


def test_a_method_that_knows_is_believed_and_refuses():
    novel, base = scored("novel"), scored("base")
    facts = absence(novel, base, "base")
    assert facts["auroc"] == facts["auroc_base"] == 1
    assert facts["auroc_interval"] == [1, 1]
    assert facts["present_believed"] == facts["absent_refused"] == 1
    assert 0 < facts["marked_when_absent"] < 0.05, "the corner"
    assert facts["miou_refusing"] > novel.miou(), "what is marked in vain costs, unless refused"
    assert facts["miou_present_refusing"] == facts["miou_present"]
    assert len(facts["sureness"]["present"]) == len(facts["sureness"]["absent"]) == 10


def test_nothing_is_asked_of_lists_without_absent_objects():
    benchmark, chosen = crowded(images=80), protocol()
    scores = evaluate(Sees(), benchmark, chosen, test_episodes(benchmark, chosen))
    assert not scores.meter.sureness and "absence" not in scores.to_dict()


def test_refused_episodes_count_as_empty_ones():
    meter, target = Meter(), torch.zeros(4, 4, dtype=torch.uint8)
    target[:2] = 1
    for number, (truth, confidence) in enumerate(((target, 0.2), (target * 0, 0.9))):
        meter.add(torch.ones_like(target), truth, [1])
        meter.sureness[number] = confidence
    base = Meter()
    base.classes, base.counts, base.sureness = meter.classes, meter.counts, {0: 0.8, 1: 0.4}
    facts = absence(meter, base, "held_out")
    assert facts["threshold"] == pytest.approx(0.6) and facts["auroc"] == 0
    # The first is refused: nothing of 8 pixels is hit; the second is believed: 16 in vain.
    assert meter.miou() == 8 / 32 and facts["miou_refusing"] == 0
    assert facts["miou_present"] == 0.5 and facts["miou_present_refusing"] == 0
    assert facts["marked_when_absent"] == 1


def test_intervals_hold_the_true_auroc():
    """Normal scores a standard deviation apart: the AUROC is 0.760."""
    rng, hits = np.random.default_rng(0), 0
    for _ in range(1000):
        low, high = Answers(rng.normal(1, 1, 50), rng.normal(0, 1, 50)).interval()
        hits += low < 0.7602 < high
    assert 0.92 < hits / 1000 < 0.97


def test_scores_that_are_all_equal_refuse_nothing():
    same = Answers(np.ones(3), np.ones(3))
    assert same.auroc == 0.5 and same.right(same.best_threshold()) == (1, 0)


def test_scores_come_in_the_order_of_the_list():
    meter = scored("novel")
    answers = answers_of(meter)
    assert answers.present.min() > answers.absent.max()
