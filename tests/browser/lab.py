"""What a user does in JupyterLab, and what a test asks it, on one page of a browser."""

from dataclasses import dataclass
from itertools import count
from typing import Any

from playwright.sync_api import Locator, Page

from browser.servers import Server

PANEL = "window.jupyterapp?.shell?.currentWidget"
OPEN = f"path => {PANEL}?.context?.isReady && {PANEL}.context.path === path"
"""The notebook `path` is in front, with all its cells."""

SAVED = f"() => !{PANEL}.context.model.dirty"
WAITS = f"() => {PANEL}.sessionContext.session?.kernel?.status === 'idle'"

STATE = f"""async () => {{
  const frame = () => new Promise(requestAnimationFrame);
  await frame(), await frame();
  const panel = {PANEL}, book = panel.content, cells = book.widgets;
  return {{
    dirty: panel.context.model.dirty,
    cells: cells.map(cell => [cell.model.type, cell.model.sharedModel.getSource()]),
    selected: cells.flatMap((cell, i) => book.isSelectedOrActive(cell) ? [i] : []),
    mode: book.mode,
  }};
}}"""
"""What a key that went astray would change: the dirty flag, the cells, which of them are selected,
and whether keys are commands. Read two frames later, when an event has had its effect."""

NOT_YET_RUN = f"""() => {PANEL}.content.widgets.filter(cell =>
  cell.model.type === 'code' && cell.model.sharedModel.getSource().trim()
  && (cell.model.executionCount === null || cell.model.executionState === 'running')).length"""

ERRORS = f"""() => {PANEL}.content.widgets
  .filter(cell => cell.model.type === 'code')
  .flatMap(cell => cell.model.outputs.toJSON())
  .filter(output => output.output_type === 'error')
  .map(output => output.ename + ': ' + output.evalue)"""

SCROLL = f"""async text => {{
  const book = {PANEL}.content;
  const number = book.widgets.findIndex(cell => cell.model.sharedModel.getSource().includes(text));
  await book.scrollToItem(number);
  return number;
}}"""
"""Asked of the model: the page holds no text of lines that nobody sees."""

COUNTED = f"""text => {PANEL}.content.widgets
  .find(cell => cell.model.sharedModel.getSource().includes(text)).model.executionCount"""
"""Which execution of its kernel a cell was last; null while it has not been, or is."""

KERNEL_KNOWN = f"async () => {{ await {PANEL}.sessionContext.session.kernel.info; }}"
"""The kernel has said what language it speaks, which JupyterLab may write into the notebook."""

WORKSPACES = count()


@dataclass
class Lab:
    """A page with JupyterLab."""

    page: Page
    server: Server

    def start(self) -> None:
        """Open JupyterLab in a workspace of its own, with no notebook."""
        self.page.goto(self.server.url(f"lab/workspaces/test-{next(WORKSPACES)}"))
        self.page.wait_for_function("() => window.jupyterapp", timeout=60_000)
        self.page.evaluate("() => jupyterapp.restored")
        self.command("application:toggle-left-area")

    def show(self, notebook: str, kernel: bool = True) -> None:
        """Open a notebook below the server's folder, with a kernel that waits, or with none."""
        self.page.bring_to_front()  # behind another one it draws no frames, and `state` waits
        preference = {"shouldStart": kernel, "canStart": kernel, "autoStartDefault": kernel}
        self.command("docmanager:open", path=notebook, kernelPreference=preference)
        self.page.wait_for_function(OPEN, arg=notebook)
        if kernel:
            self.page.wait_for_function(WAITS, timeout=60_000)

    def command(self, name: str, **arguments: Any) -> None:
        """A command of JupyterLab, as its palette would run it."""
        run = "([name, options]) => { jupyterapp.commands.execute(name, options); }"
        self.page.evaluate(run, [name, arguments])

    def menu(self, name: str, entry: str) -> None:
        self.page.get_by_role("menuitem", name=name, exact=True).click()
        self.page.get_by_role("menuitem", name=entry, exact=True).click()

    def run_all(self, seconds: float) -> None:
        """Run › Run All Cells, and wait.

        Raises:
            AssertionError: an error cell, with what it says.
        """
        self.page.evaluate("() => jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
        self.menu("Run", "Run All Cells")
        ended = f"() => ({WAITS})() && (({NOT_YET_RUN})() === 0 || ({ERRORS})().length > 0)"
        self.page.wait_for_function(ended, timeout=1000 * seconds)
        errors = self.page.evaluate(ERRORS)
        assert not errors, f"cells failed: {errors}"

    def save(self) -> None:
        self.command("docmanager:save")
        self.page.wait_for_function(SAVED)

    def state(self) -> dict:
        return self.page.evaluate(STATE)

    @property
    def panel(self) -> Locator:
        """The notebook in front."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    def cell(self, text: str) -> Locator:
        """The first cell whose source holds `text`, scrolled into view."""
        number = self.page.evaluate(SCROLL, text)
        return self.panel.locator(f'.jp-Cell[data-windowed-list-index="{number}"]')

    def run(self, text: str) -> None:
        """Run that cell by the keys that everybody uses, and wait."""
        self.cell(text).locator(".cm-content").click()
        before = self.page.evaluate(COUNTED, text)
        self.page.keyboard.press("Shift+Enter")
        condition = (
            f"([text, before]) => ![null, before].includes(({COUNTED})(text)) && ({WAITS})()"
        )
        self.page.wait_for_function(condition, arg=[text, before], timeout=60_000)

    def output(self, text: str) -> str:
        """What that cell has printed."""
        return self.cell(text).locator(".jp-OutputArea-output").inner_text().strip()

    def close(self) -> None:
        """End every kernel that this page started."""
        self.page.evaluate("() => jupyterapp.serviceManager.sessions.shutdownAll()")
