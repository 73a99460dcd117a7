"""After a crash of the tests nothing of theirs runs on."""

import subprocess
import sys

import psutil

from browser.servers import ROOT

PATIENCE = 30
"""Seconds until the last process is gone; the leash alone gives JupyterLab five."""


def test_a_crash_leaves_no_process_behind(browser, tmp_path):
    command = [sys.executable, "-m", "browser.left_behind", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT / "tests", stdout=subprocess.PIPE, text=True) as crash:
        started = [psutil.Process(int(pid)) for pid in crash.stdout.readline().split()]
        names = " ".join(process.name() for process in started)
        crash.kill()
    assert "chrom" in names and len(started) >= 5, f"started {names}"
    _, alive = psutil.wait_procs(started, PATIENCE)
    alive = [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    assert not alive, f"still there: {alive}"
