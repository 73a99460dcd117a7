"""LFSS: few-shot segmentation guided by a word."""

from fsslib.methods.lfss.config import LFSSConfig
from fsslib.methods.lfss.network import LFSS
from fsslib.methods.lfss.pseudo_masks import PseudoMasks, WordMaskBaseline

__all__ = ["LFSS", "LFSSConfig", "PseudoMasks", "WordMaskBaseline"]
