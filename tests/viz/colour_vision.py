"""How different colours look, to people with and without green-sensitive cones.

Deuteranopia by the matrix of Machado, Oliveira and Fernandes 2009 (severity 1), in linear RGB;
differences by CIEDE2000, of which one is what a trained eye just notices.
"""

import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

DEUTERANOPIA = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)


def seen(rgb, deuteranope=False):
    """(…,3) uint8 as L*a*b* of a viewer."""
    share = np.asarray(rgb, float) / 255
    if deuteranope:
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        linear = np.clip(linear @ DEUTERANOPIA.T, 0, 1)
        share = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb2lab(share)


def difference(a, b, deuteranope=False):
    """CIEDE2000 of two arrays of colours (…,3) uint8."""
    return deltaE_ciede2000(seen(a, deuteranope), seen(b, deuteranope))
