"""Pages seen in headless Chromium: what they ask for, what sticks out, what has no text.

A test that calls `open_page` or `new_page` is skipped, with the reason, where Playwright or a
Chromium is missing. The browser resolves no name, so nothing is ever fetched from elsewhere.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ARGUMENTS = [
    "--no-sandbox",  # which the superuser, as who CI runs, can't have
    "--disable-dev-shm-usage",  # a container's /dev/shm is small
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]
OWN_SCHEMES = ("file", "data", "blob", "about", "chrome-extension")

# Elements that reach out of the page to the right and are in no box that scrolls or clips.
OVERFLOWING = """() => {
  const width = document.documentElement.clientWidth;
  const boxed = element => {
    for (let e = element.parentElement; e && e !== document.body; e = e.parentElement) {
      if (getComputedStyle(e).overflowX !== "visible") return true;
    }
    return false;
  };
  const sticksOut = element => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.height > 0 && box.right > width + 1;
  };
  const name = element => {
    const box = element.getBoundingClientRect();
    const text = (element.textContent || "").trim().replace(/\\s+/g, " ").slice(0, 40);
    const label = element.id ? "#" + element.id : "." + [...element.classList].join(".");
    const tag = element.tagName.toLowerCase();
    return `${tag}${label} to ${Math.round(box.right)} of ${width}: ${text}`;
  };
  const found = [...document.body.querySelectorAll("*")].filter(e => sticksOut(e) && !boxed(e));
  const names = found.map(name);
  const wide = document.documentElement.scrollWidth;
  if (!names.length && wide > width + 1) names.push(`the page: ${wide} of ${width}`);
  return names;
}"""

# Boxes that hide a part of what is in them, where no scrolling brings it back.
CUT_OFF = """() => [...document.body.querySelectorAll("*")]
  .filter(e => ["hidden", "clip"].includes(getComputedStyle(e).overflowX)
    && e.clientWidth > 1 && e.scrollWidth > e.clientWidth + 1
    && getComputedStyle(e).textOverflow !== "ellipsis")
  .map(e => `${e.tagName.toLowerCase()}.${[...e.classList].join(".")} hides `
    + `${e.scrollWidth - e.clientWidth} pixels: ${e.textContent.trim().slice(0, 40)}`)"""

# Pictures that a screen reader has no words for. Those inside another picture are part of it.
WITHOUT_ALT = """() => {
  const own = e => (e.getAttribute("alt") || e.getAttribute("aria-label") || "").trim()
    || (e.getAttribute("aria-labelledby") && document.getElementById(
        e.getAttribute("aria-labelledby").split(" ")[0])?.textContent.trim())
    || [...e.children].find(c => c.tagName.toLowerCase() === "title")?.textContent.trim() || "";
  const decoration = e => e.closest("[aria-hidden=true]")
    || ["presentation", "none"].includes(e.getAttribute("role"));
  const pictures = [...document.querySelectorAll("img, svg, canvas, [role=img], object, embed")];
  return pictures
    .filter(e => !decoration(e) && !e.parentElement?.closest("svg, [role=img]"))
    .filter(e => !own(e) || own(e).startsWith("No description has been provided"))
    .map(e => e.outerHTML.replace(/(base64,.{20})[^"]*/, "$1...").slice(0, 200));
}"""

BROKEN_IMAGES = """() => [...document.images]
  .filter(image => image.complete && image.naturalWidth === 0)
  .map(image => image.outerHTML.slice(0, 200))"""


@dataclass
class Seen:
    """What was seen of a page; all lists are empty for a page without a fault.

    Args:
        console_errors: Errors in the console, and exceptions that no script caught.
        console_warnings: Warnings in the console.
        requests: Addresses that the page asked for, other than files and its own server.
        overflowing: Elements wider than the page that no box of their own scrolls.
        cut_off: Boxes that hide a part of what is in them and can't be scrolled.
        images_without_alt: Pictures (images, SVG and canvas) without a text alternative.
        broken_images: Images that could not be shown.
        text: The page's visible text.
        title: The page's title.
        picture: The whole page as PNG.
    """

    console_errors: list[str] = field(default_factory=list)
    console_warnings: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    overflowing: list[str] = field(default_factory=list)
    cut_off: list[str] = field(default_factory=list)
    images_without_alt: list[str] = field(default_factory=list)
    broken_images: list[str] = field(default_factory=list)
    text: str = field(default="", repr=False)
    title: str = ""
    picture: bytes = field(default=b"", repr=False)

    @property
    def faults(self) -> list[str]:
        """All that must not be on any page of ours, each with the kind of fault."""
        kinds = {
            "console": self.console_errors,
            "request": self.requests,
            "overflows": self.overflowing,
            "cut off": self.cut_off,
            "no text alternative": self.images_without_alt,
            "broken image": self.broken_images,
        }
        return [f"{kind}: {fault}" for kind, faults in kinds.items() for fault in faults]

    def screenshot(self, path: str | Path) -> Path:
        """Write the picture of the whole page, and return its path."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.picture)
        return path


def open_page(
    path_or_url: str | Path,
    width: int = 1280,
    *,
    height: int = 900,
    dark: bool = False,
    unfold: bool = True,
    prepare: Callable[[Page], object] | None = None,
) -> Seen:
    """Open a page in a new headless Chromium, look at it, and close the browser.

    Args:
        path_or_url: A file, or an address on this machine.
        width: Of the window, in CSS pixels; 400 is a telephone.
        height: Of the window.
        dark: Whether the reader prefers dark pages.
        unfold: Whether all folded parts are opened before the look.
        prepare: Called with Playwright's page before the look, e.g. to press a button.
    """
    text = str(path_or_url)
    if "://" not in text:
        text = Path(text).resolve().as_uri()
    with new_page(width, height=height, dark=dark, server=text) as (page, seen):
        page.goto(text, wait_until="load")
        if unfold:
            page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true; })")
        if prepare is not None:
            prepare(page)
        page.wait_for_timeout(300)  # scripts that run after loading
        look(page, seen)
    return seen


def look(page: Page, seen: Seen) -> None:
    """Fill in what a page shows now."""
    seen.overflowing = page.evaluate(OVERFLOWING)
    seen.cut_off = page.evaluate(CUT_OFF)
    seen.images_without_alt = page.evaluate(WITHOUT_ALT)
    seen.broken_images = page.evaluate(BROKEN_IMAGES)
    seen.text = page.inner_text("body")
    seen.title = page.title()
    seen.picture = page.screenshot(full_page=True)


@contextmanager
def new_page(
    width: int = 1280, *, height: int = 900, dark: bool = False, server: str = ""
) -> Iterator[tuple[Page, Seen]]:
    """Give an empty page of a new browser, and what is seen of it, growing as it is used.

    Args:
        width: Of the window, in CSS pixels.
        height: Of the window.
        dark: Whether the reader prefers dark pages.
        server: An address whose server the page may ask; requests to others are listed.
    """
    with _browser() as browser:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
        )
        seen = Seen()
        _watch(context, seen, urlsplit(server).netloc)
        yield context.new_page(), seen
        context.close()


def _watch(context: BrowserContext, seen: Seen, server: str) -> None:
    def note(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in OWN_SCHEMES and (not server or parts.netloc != server):
            seen.requests.append(url)

    def note_message(kind: str, text: str, place: str) -> None:
        entry = f"{text} ({place})" if place else text
        if kind == "error":
            seen.console_errors.append(entry)
        elif kind == "warning":
            seen.console_warnings.append(entry)

    context.on("request", lambda request: note(request.url))
    context.on(
        "console",
        lambda message: note_message(message.type, message.text, message.location["url"]),
    )
    context.on("weberror", lambda error: seen.console_errors.append(str(error.error)))


@contextmanager
def _browser() -> Iterator[Browser]:
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: pip install playwright"
    )
    named = os.environ.get("CHROMIUM")
    program = named or next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if program is None:
        pytest.skip("no Chromium: apt-get install chromium, or set CHROMIUM to the program")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()
