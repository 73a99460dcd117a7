"""What the suite starts, started by a process that a test kills.

    PYTHONPATH=.:tests python -m browser.left_behind FOLDER

says the process ids of its browser, server and kernel, then waits to be killed.
"""

import sys
import time
from pathlib import Path

import psutil

from browser.chromium import chromium
from browser.lab import Lab
from browser.servers import jupyterlab

NOTEBOOK = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'


def main() -> None:
    folder = Path(sys.argv[1])
    (folder / "notebooks").mkdir(parents=True)
    (folder / "notebooks" / "empty.ipynb").write_text(NOTEBOOK)
    with jupyterlab(folder / "notebooks", folder / "home") as server, chromium() as browser:
        lab = Lab(browser.new_page(), server)
        lab.start()
        lab.show("empty.ipynb")
        print(*(child.pid for child in psutil.Process().children(recursive=True)), flush=True)
        time.sleep(600)


if __name__ == "__main__":
    main()
