"""Photographs of every lesson in JupyterLab, screenful by screenful, for eyes to look at.

    PYTHONPATH=.:tests python -m browser.screens                 all lessons as they were saved
    PYTHONPATH=.:tests python -m browser.screens 03 31 --run     two of them, run first

Each at 1440 and 900 pixels, light and dark, in `build/browser/screens/`: single screens, contact
sheets of six of them, and `index.html`, which shows all.
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from html import escape
from pathlib import Path

from PIL import Image

from browser.chromium import chromium
from browser.lab import Lab
from browser.servers import ROOT, jupyterlab

THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
WIDTHS = {1440: 900, 900: 1200}
"""Widths of the window, and its height for each: a laptop, and half a screen."""
COLUMNS, ROWS, SMALL = 3, 2, 640
"""Of a contact sheet; SMALL is the width in pixels that a screen has there."""
ALL_CELLS = {"notebook-extension/tracker": {"windowingMode": "none"}}
"""Of JupyterLab's settings: cells outside the window are drawn, too."""
SECONDS = 600
"""That a lesson may run."""


def main() -> None:
    options = parser().parse_args()
    lessons = sorted((ROOT / "notebooks").glob("*.ipynb"))
    chosen = [p for p in lessons if not options.lessons or p.stem[:2] in options.lessons]
    with tempfile.TemporaryDirectory() as scratch, chromium() as browser:
        folder = Path(scratch) / "notebooks"
        shutil.copytree(ROOT / "notebooks", folder)
        with jupyterlab(folder, Path(scratch) / "home", ALL_CELLS) as server:
            lab = Lab(browser.new_page(), server)
            lab.start()
            for lesson in chosen:
                shoot(lab, lesson, options)
    index(options.out)
    print(f"open {options.out / 'index.html'}")


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("lessons", nargs="*", help="numbers of lessons, such as 03; none: all")
    parser.add_argument("--run", action="store_true", help="run all cells first")
    parser.add_argument("--theme", choices=THEMES, action="append", help="both if not given")
    parser.add_argument("--width", type=int, choices=WIDTHS, action="append")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "browser" / "screens")
    return parser


def shoot(lab: Lab, lesson: Path, options: argparse.Namespace) -> None:
    """All screens of a lesson and its contact sheets."""
    lab.show(lesson.name, kernel=options.run)
    if options.run:
        lab.run_all(SECONDS)
    for theme in options.theme or THEMES:
        lab.command("apputils:change-theme", theme=THEMES[theme])
        for width in options.width or WIDTHS:
            lab.page.set_viewport_size({"width": width, "height": WIDTHS[width]})
            folder = options.out / lesson.stem / f"{theme}-{width}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            screens = [save(image, folder, n) for n, image in enumerate(screenfuls(lab), 1)]
            for start in range(0, len(screens), COLUMNS * ROWS):
                whole = sheet(screens[start : start + COLUMNS * ROWS])
                whole.save(folder / f"sheet-{1 + start // (COLUMNS * ROWS)}.jpg", quality=80)
            print(f"{lesson.stem}: {len(screens)} screens, {theme}, {width} px", flush=True)
    lab.command("docmanager:close") if not options.run else lab.close()


def screenfuls(lab: Lab) -> Iterator[bytes]:
    """From the top of the open notebook to its end; what is cut by an edge is shown twice."""
    view = lab.panel.locator(".jp-WindowedPanel-outer")
    lab.page.wait_for_timeout(500)  # the theme and the new width settle
    height, whole = view.evaluate("view => [view.clientHeight, view.scrollHeight]")
    top, step = 0, int(0.92 * height)
    while True:
        view.evaluate("(view, top) => { view.scrollTop = top; }", top)
        lab.page.wait_for_timeout(150)
        yield view.screenshot(type="jpeg", quality=80)
        if top + height >= whole:
            return
        top += step


def save(image: bytes, folder: Path, number: int) -> Path:
    path = folder / f"{number:02d}.jpg"
    path.write_bytes(image)
    return path


def sheet(paths: list[Path]) -> Image.Image:
    """Screens beside and below each other, scaled so that figures can be judged."""
    images = [Image.open(path) for path in paths]
    height = max(SMALL * image.height // image.width for image in images)
    whole = Image.new("RGB", (COLUMNS * (SMALL + 8), ROWS * (height + 8)), "#e000e0")
    for number, image in enumerate(images):
        row, column = divmod(number, COLUMNS)
        small = image.resize((SMALL, SMALL * image.height // image.width), Image.Resampling.LANCZOS)
        whole.paste(small, (column * (SMALL + 8), row * (height + 8)))
    return whole


def index(out: Path) -> None:
    """A page with every screen that lies below `out`, by lesson, theme and width."""
    parts = ["<!doctype html><meta charset=utf-8><title>Lessons in JupyterLab</title>"]
    parts.append("<style>img{width:30%;margin:4px;border:1px solid #888}</style>")
    for folder in sorted(path for path in out.glob("*/*") if path.is_dir()):
        name = escape(str(folder.relative_to(out)))
        parts.append(f"<h2>{name}</h2>")
        for path in sorted(folder.glob("[0-9]*.jpg")):
            at = escape(path.relative_to(out).as_posix())
            image = f"<img loading=lazy src='{at}' alt='{name} {path.stem}'>"
            parts.append(f"<a href='{at}'>{image}</a>")
    (out / "index.html").write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
