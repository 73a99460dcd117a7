"""fsslib: few-shot segmentation, taught and reproduced.

The map of the package is `fsslib/README.md`; the lessons are in `notebooks/`.
"""

__version__ = "0.1.0"
