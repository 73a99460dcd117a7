"""Scores, their intervals, and what two evaluations of one list differ by."""

from fsslib.evaluation.comparison import Comparison, Difference, compare, holm
from fsslib.evaluation.episode_table import EpisodeTable, read_table, write_table

__all__ = [
    "Comparison",
    "Difference",
    "EpisodeTable",
    "compare",
    "holm",
    "read_table",
    "write_table",
]
