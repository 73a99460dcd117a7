"""What settings of every training obey, told without a network: which batches can be cut into
parts, and which settings change no weight."""

from __future__ import annotations

CHANGES_NOTHING = frozenset(
    {"workers", "checkpoint_every", "log_every", "monitor_every", "accumulate"}
)
"""Settings that a run may be continued with others of: they are of the machine, and change no
weight. (`accumulate` changes the order in which gradients are added, and with it their last bits;
where it changes more, because BatchNorm learns, the engine says so in the fingerprint.)"""
COMPARES = (
    "this loss compares all pictures of a batch with each other, so that parts would be another "
    "loss"
)
"""Why a batch stays whole."""


def require_parts(batch_size: int, accumulate: int, processes: int = 1) -> None:
    """ValueError where a batch cannot be cut into so many equal parts."""
    if batch_size % (accumulate * processes):
        setting = f"accumulate={accumulate}"
        if processes > 1:
            setting = f"processes={processes}" + (f" with {setting}" if accumulate > 1 else "")
        raise ValueError(
            f"{setting}: batch_size={batch_size} does not divide into so many equal "
            "parts; choose a divisor of it"
        )
