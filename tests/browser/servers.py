"""JupyterLab and Voilà as a user starts them: processes of their own, on a leash.

They end when the tests do, however those end: the leash of `fsslib.runs.sweeps` is a pipe that the
system closes. They know nothing of this machine's user: settings, workspaces and running servers
are looked for, and left, in a temporary folder.
"""

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from fsslib.runs.sweeps.leash import kill_tree

ROOT = Path(__file__).resolve().parents[2]
GRACE = 5
"""Seconds that a server has for its kernels when it is told to end."""
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
QUIET = {"apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False}}
"""Of JupyterLab's settings: no window that asks for news."""


@dataclass(frozen=True)
class Server:
    """A server that answers, and what opens it."""

    address: str
    token: str
    folder: Path
    """What it serves."""
    process: subprocess.Popen

    def url(self, path: str, **query: str) -> str:
        pairs = {**query, "token": self.token}
        return f"{self.address}/{path}?" + "&".join(f"{k}={v}" for k, v in pairs.items())


@contextmanager
def jupyterlab(folder: Path, home: Path, settings: dict[str, dict] | None = None):
    """JupyterLab over a folder.

    Args:
        folder: what it shows and may write to.
        home: where it keeps its settings and its log.
        settings: of its extensions, by name, beside `QUIET`.
    """
    for name, values in {**QUIET, **(settings or {})}.items():
        path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    token = secrets.token_hex(16)
    command = ["jupyterlab", "--no-browser", "--expose-app-in-browser", f"--port={free_port()}"]
    command += [f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={token}"]
    command += ["--LabApp.extension_manager=readonly"]  # nobody is asked what is new
    command += ["--allow-root"] * (hasattr(os, "geteuid") and os.geteuid() == 0)
    with _started(command, folder, home, token, "api") as server:
        yield server


@contextmanager
def voila(notebook: Path, home: Path):
    """Voilà with one notebook at its root; arguments as `jupyterlab`."""
    token = secrets.token_hex(16)
    command = ["voila", str(notebook), "--no-browser", f"--port={free_port()}"]
    command += ["--Voila.ip=127.0.0.1", f"--token={token}", f"--Voila.connection_dir_root={home}"]
    home.mkdir(parents=True, exist_ok=True)
    with _started(command, notebook.parent, home, token, "voila/static/voila.js") as server:
        yield server


@contextmanager
def _started(command, folder, home, token, alive):
    """A server that answers at `alive`, until the block ends."""
    log = home / f"{command[0]}.log"
    leash = [sys.executable, "-m", "fsslib.runs.sweeps.leash", str(GRACE)]
    with log.open("wb") as lines:
        process = subprocess.Popen(
            leash + command,
            cwd=folder,
            env=_environment(home),
            stdin=subprocess.PIPE,
            stdout=lines,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the tests, which then let go of the leash
        )
    try:
        address = _answers(process, log, alive, token)
        yield Server(address, token, folder, process)
    finally:
        process.stdin.close()
        try:
            process.wait(2 * GRACE)
        except subprocess.TimeoutExpired:
            kill_tree(process.pid)
            process.wait()


def _environment(home):
    """This clone first, and Jupyter's folders under `home`."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    own |= {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings")}
    folders = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime"}
    folders |= {"JUPYTER_DATA_DIR": "data", "IPYTHONDIR": "ipython"}
    folders |= {"JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    return {**os.environ, **own, **{name: str(home / part) for name, part in folders.items()}}


def _answers(process, log, alive, token, patience=90):
    """The address that the server's log names, once it answers there."""
    last = time.monotonic() + patience
    while time.monotonic() < last and process.poll() is None:
        named = ADDRESS.search(log.read_text(errors="replace"))
        if named:
            try:
                with urlopen(f"{named[0]}/{alive}?token={token}", timeout=5):
                    return named[0]
            except OSError:  # not yet
                pass
        time.sleep(0.2)
    raise RuntimeError(f"no server after {patience} s; its log:\n{log.read_text()[-3000:]}")


def free_port():
    """A port that is free now; both servers try others if it is taken by then."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
