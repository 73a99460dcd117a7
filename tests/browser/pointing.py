"""What a hand does with the mouse: drag a handle, paint a stroke and see frames meanwhile."""

import math
from time import perf_counter

from playwright.sync_api import Locator, Page

MOVES = 120
"""Of the pointer in a stroke, each sent as soon as the page has heard the last."""

COUNT = """() => {
  window.strokeFrames = [];
  const next = time => {
    if (!window.strokeFrames) return;
    window.strokeFrames.push(time);
    requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
}"""
STOP = "() => { const times = window.strokeFrames; window.strokeFrames = null; return times; }"


def drag(page: Page, handle: Locator, right: float) -> None:
    """Take a slider's handle, move it to the right by pixels, let go."""
    x, y = middle(handle)
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 11):
        page.mouse.move(x + right * step / 10, y)
    page.mouse.up()


def middle(target: Locator) -> tuple[float, float]:
    target.scroll_into_view_if_needed()
    box = target.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def stroke(page: Page, target: Locator, radius: float = 0.25) -> float:
    """Draw a circle round the middle of a canvas; frames per second that the page drew meanwhile.

    Args:
        radius: of the circle, in heights of the canvas.
    """
    x, y = middle(target)
    length = radius * target.bounding_box()["height"]
    turns = [2 * math.pi * i / MOVES for i in range(MOVES + 1)]
    points = [(x + length * math.cos(turn), y + length * math.sin(turn)) for turn in turns]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.evaluate(COUNT)
    begin = perf_counter()
    for point in points:
        page.mouse.move(*point)
    seconds = perf_counter() - begin
    times = page.evaluate(STOP)
    page.mouse.up()
    return len(times) / seconds
