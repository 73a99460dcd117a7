"""Scenes a second on one core: `python tests/benchmarks/bench_scenes.py [count]`."""

from __future__ import annotations

import sys
import time

from fsslib.data.scenes import plan_scene, render_scene


def main(count: int) -> None:
    """Print plans a second, and scenes a second at 96 and at 128 pixels."""
    started = time.perf_counter()
    for index in range(10 * count):
        plan_scene("benchmark", 0, index)
    print(f"plans: {10 * count / (time.perf_counter() - started):.0f} a second")
    for index in range(50):  # loads the photographs
        render_scene("warm-up", 0, index, 32)
    for size in (96, 128):
        started = time.perf_counter()
        for index in range(count):
            render_scene("benchmark", 0, index, size)
        print(f"{size} px: {count / (time.perf_counter() - started):.0f} scenes a second")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
