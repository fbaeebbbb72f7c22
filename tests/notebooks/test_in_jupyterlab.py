"""Notebook 01 in JupyterLab in a real browser: what a student sees who presses Run All Cells."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from browser import new_page
from nbformat import NotebookNode

from cifar_lab.cli.notebook_parameters import set_parameters
from notebooks.done import HANDOUTS, done, quick_parameters, read, tagged

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

MINUTES_TO_RUN = 20  # on a busy machine; alone it takes two to four
WIDTH, HEIGHT = 1280, 900
# Nothing that JupyterLab asks of servers elsewhere, or of a user's own settings.
SETTINGS = {
    "apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
    "notebook-extension/tracker": {"windowingMode": "none"},  # all cells on the page at once
}
IMAGES = 2_000  # of the training set: enough for progress bars to be seen
SERVER_OPTIONS = [
    "--no-browser",
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.port=0",  # a free one
    "--ServerApp.allow_root=True",
    "--LabApp.extension_manager=readonly",
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
]

# Notes down every text that an output of the notebook shows while it looks like a progress bar.
WATCH_PROGRESS = """() => {
  window.bars = new Set();
  window.setInterval(() => {
    for (const output of document.querySelectorAll(".jp-OutputArea-output")) {
      const text = output.textContent;
      if (/\\d%\\|/.test(text)) window.bars.add(text);
    }
  }, 50);
}"""
PROMPTS = """() => [...document.querySelectorAll(".jp-CodeCell")]
  .map(cell => cell.querySelector(".jp-InputPrompt").textContent.trim())"""
PICTURES = """() => [...document.querySelectorAll(".jp-OutputArea-output img")]
  .map(image => [image.naturalWidth, image.alt])"""
WIDE_OUTPUTS = """() => [...document.querySelectorAll(".jp-OutputArea-output")]
  .filter(output => output.scrollWidth > output.clientWidth + 1)
  .map(output => output.textContent.slice(0, 80))"""
REMOTE_IMAGE = re.compile(r"!\[[^\]]*\]\((https?://[^)]+)\)")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # all but line breaks and tabs


@contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """Run JupyterLab on this machine only, with settings of its own; give its address."""
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed: pip install jupyterlab")
    own, token = folder / "jupyter", secrets.token_hex(16)
    places = {
        "JUPYTER_CONFIG_DIR": own / "config",
        "JUPYTER_DATA_DIR": own / "data",
        "JUPYTER_RUNTIME_DIR": own / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": own / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": own / "workspaces",
        "IPYTHONDIR": own / "ipython",
    }
    for name, values in SETTINGS.items():
        path = own / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    work = folder / "work"
    work.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "jupyterlab", *SERVER_OPTIONS]
    command += [f"--ServerApp.root_dir={work}", f"--IdentityProvider.token={token}"]
    environment = os.environ | {name: str(place) for name, place in places.items()}
    with (folder / "jupyterlab.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield f"{_address(server, own / 'runtime', folder / 'jupyterlab.log')}?token={token}"
        finally:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _address(server: subprocess.Popen[bytes], runtime: Path, log: Path) -> str:
    """Return where JupyterLab answers, as it writes it down itself; wait for that."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        for path in runtime.glob("jpserver-*.json"):
            try:
                return f"{json.loads(path.read_text())['url']}lab"
            except ValueError:  # half written
                continue
        time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


def open_notebook(page: Page, address: str, name: str) -> None:
    """Open a notebook of JupyterLab's folder, and wait for its kernel."""
    page.goto(address.replace("/lab?", f"/lab/tree/{name}?"))
    page.locator(".jp-StatusBar-Left", has_text="| Idle").wait_for(timeout=120_000)
    page.locator(".jp-NotebookPanel .jp-Cell").nth(3).wait_for(timeout=120_000)


def choose(page: Page, menu: str, entry: str) -> None:
    """Choose an entry of the menu bar."""
    page.locator(".lm-MenuBar-item", has_text=re.compile(f"^{menu}$")).click()
    page.locator(".lm-Menu-item", has_text=re.compile(f"^{entry}")).first.click()


def run_all(page: Page) -> None:
    """Press Run All Cells, and wait until no cell runs or waits: all have run, or one failed."""
    page.evaluate(WATCH_PROGRESS)
    choose(page, "Run", "Run All Cells")
    deadline, looks_at_rest = time.monotonic() + 60 * MINUTES_TO_RUN, 0
    while looks_at_rest < 4:  # between two cells it may look so for a moment
        page.wait_for_timeout(500)
        prompts = page.evaluate(PROMPTS)  # a folded cell shows none
        has_begun = any(re.fullmatch(r"\[\d+\]:", prompt) for prompt in prompts)
        looks_at_rest = looks_at_rest + 1 if has_begun and "[*]:" not in prompts else 0
        if time.monotonic() > deadline:
            pytest.fail(f"after {MINUTES_TO_RUN} minutes the cells show {' '.join(prompts)}")


def save(page: Page, path: Path) -> NotebookNode:
    """Save the notebook through the menu, and return what is in its file then."""
    before = path.stat().st_mtime_ns
    choose(page, "File", "Save Notebook")
    deadline = time.monotonic() + 60
    while path.stat().st_mtime_ns == before and time.monotonic() < deadline:
        page.wait_for_timeout(200)
    page.wait_for_timeout(1000)  # to be whole
    return read(path)


def printed(cell: NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.get("outputs", []))


def test_notebook_01_done_runs_by_run_all_cells_and_looks_as_it_should(tmp_path: Path) -> None:
    notebook = done(HANDOUTS[0])
    set_parameters(notebook, quick_parameters(notebook) | {"images": IMAGES})
    path = tmp_path / "work" / "lesson.ipynb"
    path.parent.mkdir()
    nbformat.write(notebook, path)
    badges = REMOTE_IMAGE.findall("".join(cell.source for cell in notebook.cells))
    with (
        jupyterlab(tmp_path) as address,
        new_page(WIDTH, height=HEIGHT, server=address) as (page, seen),
    ):
        open_notebook(page, address, path.name)
        run_all(page)
        page.screenshot(path=tmp_path / "at-the-end.png")
        bars, pictures = page.evaluate("[...window.bars]"), page.evaluate(PICTURES)
        shown = page.locator(".jp-OutputArea-output").all_text_contents()
        wide = page.evaluate(WIDE_OUTPUTS)
        saved = save(page, path)

    cells = [cell for cell in saved.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert [output for output in outputs if output.output_type == "error"] == []
    assert [output.text for output in outputs if output.get("name") == "stderr"] == [], "red boxes"
    checks = {cell.id: printed(cell) for cell in tagged(saved, "check")}
    assert {name: text for name, text in checks.items() if set("✗○") & set(text)} == {}
    assert all("✓" in text for text in checks.values())
    assert re.search(r"\d+ of \d+ points \(\d+ passed, 1 not made\)", printed(cells[-1]))

    assert bars, "training shows a progress bar"
    assert [text for text in bars if text.count("%|") != 1 or CONTROL.search(text)] == []
    assert [text for text in shown if "%|" in text or CONTROL.search(text)] == []
    assert [output for output in outputs if CONTROL.search(output.get("text", ""))] == []
    assert wide == [], "outputs that must be scrolled to be read"

    assert len(pictures) >= 20
    assert [alt for width, alt in pictures if not width or not alt] == []
    # Without a network the badges of Colab and Kaggle are words; nothing else asks for any.
    assert set(seen.requests) == set(badges)
    assert [error for error in seen.console_errors if not any(url in error for url in badges)] == []
