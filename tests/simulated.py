"""Simulated test lists with a truth that is known: for tests and measurements of intervals.

The IoU of an episode has its class's quality, the luck of its query picture, which all episodes of
that picture and all methods share, and luck of its own.
"""

import numpy as np

from fsslib.evaluation.episode_table import EpisodeTable


class World:
    """Classes of some qualities and sizes, from which any number of lists can be drawn.

    Args:
        better: by how much more the second method of a pair knows of each class (log odds).
    """

    def __init__(self, classes, better=0.2, seed=0):
        rng = np.random.default_rng(seed)
        self.classes, self.better = classes, better
        self.quality = rng.uniform(-1.4, 1.4, classes)
        self.size = rng.uniform(5, 8, classes)
        self.gain = better * rng.uniform(0, 2, classes)

    def lists(self, rng, episodes, methods=2):
        """Tables of some methods on one drawn list; every picture is asked twice."""
        pictures = episodes // 2
        owner = np.repeat(np.arange(pictures), 2)
        classes = rng.permutation(np.arange(2 * pictures) % self.classes)
        luck = rng.normal(0, 0.8, pictures)[owner]
        union = np.exp(self.size[classes] + rng.normal(0, 0.6, len(owner))).astype(int) + 1
        return [self._table(rng, classes, owner, luck, union, m) for m in range(methods)]

    def _table(self, rng, classes, owner, luck, union, method):
        odds = self.quality[classes] + method * self.gain[classes] + luck
        odds = odds + rng.normal(0, 0.4, len(owner))
        hit = np.rint(union / (1 + np.exp(-odds))).astype(int)
        ones = np.stack([hit, union, (hit + union) // 2], 1)
        pixels = 20_000
        background = np.stack([pixels - union, pixels - hit, pixels - ones[:, 2]], 1)
        areas = np.stack([background, ones, ones], 1).astype(np.int64)
        queries = tuple(f"p{number}" for number in owner)
        supports = tuple(((f"s{i}",),) for i in range(len(owner)))
        return EpisodeTable(queries, supports, classes[:, None].astype(np.int64) + 1, areas)

    def truth(self, methods=2, episodes=200_000):
        """Tables of a list that is so long that its scores are the true ones."""
        return self.lists(np.random.default_rng(12345), episodes, methods)
