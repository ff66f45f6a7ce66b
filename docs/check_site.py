"""Look at the built documentation in a browser, and say what is wrong with it.

    python docs/check_site.py                      every page, at two widths
    python docs/check_site.py --only api --shots shots

It serves `docs/_build/html`, opens each page in a Chromium at the width of a desktop and of a
phone, and reports pages that scroll sideways, links and images that lead nowhere, errors in the
browser's console, and code blocks that have no button to copy them. It needs the extra
`docs-check` and a Chromium, the one on PATH or that of `--chromium`. It exits with status 1 if
something is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.server
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

HTML = Path(__file__).parent / "_build" / "html"
WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--no-sandbox"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
#: What the page itself says about it.
LOOK = """() => {
  const copied = (block) =>
    block.querySelector("button.copybtn") || block.closest(".highlight-text");
  const wide = [];
  if (document.documentElement.scrollWidth > window.innerWidth)
    for (const element of document.querySelectorAll("article *, .page *")) {
      const box = element.getBoundingClientRect();
      if (box.right > window.innerWidth + 1 && box.width > 0)
        wide.push(`${element.tagName}.${element.className} to ${Math.round(box.right)}`);
    }
  return {
    width: document.documentElement.scrollWidth,
    inner: window.innerWidth,
    wide: wide.slice(0, 3),
    links: [...document.querySelectorAll("a[href]")].map((link) => link.href),
    ids: [...document.querySelectorAll("[id]")].map((element) => element.id),
    images: [...document.images].filter((image) => image.complete && !image.naturalWidth)
      .map((image) => image.src),
    uncopied: [...document.querySelectorAll("article div.highlight")]
      .filter((block) => !copied(block)).map((block) => block.textContent.trim().slice(0, 40)),
  };
}"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of requests."""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port of this machine."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


def pages(folder: Path, only: str) -> list[str]:
    """The pages that are looked at, whose names contain `only`."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*.html"))
    return sorted(name for name in names if only in name and not name.startswith("_"))


def check(
    browser: Any, base: str, names: list[str], shots: Path | None
) -> tuple[list[str], dict[str, set[str]], set[str]]:
    """What is wrong with pages, the anchors of each, and where links go, as `page -> link`."""
    faults: list[str] = []
    anchors: dict[str, set[str]] = {}
    links: set[str] = set()
    for device, (width, height) in WIDTHS.items():
        context = browser.new_context(viewport={"width": width, "height": height})
        tab = context.new_page()
        said: list[str] = []
        tab.on("console", lambda m, said=said: said.append(m.text) if m.type == "error" else None)
        tab.on("pageerror", lambda error, said=said: said.append(str(error)))
        tab.on("requestfailed", lambda request, said=said: said.append(f"failed: {request.url}"))
        for name in names:
            said.clear()
            tab.goto(base + name, wait_until="load")
            found = tab.evaluate(LOOK)
            anchors[name] = set(found["ids"])
            links |= {f"{name} -> {link}" for link in found["links"]}
            where = f"{name} ({device})"
            if found["width"] > found["inner"]:
                wide = "; ".join(found["wide"])
                faults.append(f"{where}: {found['width']} px wide, of {found['inner']}: {wide}")
            faults += [f"{where}: console: {text}" for text in said]
            faults += [f"{where}: no such image: {image}" for image in found["images"]]
            faults += [f"{where}: no copy button: {text!r}" for text in found["uncopied"]]
            if shots is not None:
                shots.mkdir(parents=True, exist_ok=True)
                file = f"{name.removesuffix('.html').replace('/', '-')}-{device}.png"
                tab.screenshot(path=str(shots / file))
        context.close()
    return faults, anchors, links


def broken(
    folder: Path, base: str, links: set[str], anchors: dict[str, set[str]]
) -> tuple[list[str], list[str]]:
    """Links within the site that lead nowhere, and the addresses outside it."""
    faults, outside = [], set()
    for entry in sorted(links):
        page, _, address = entry.partition(" -> ")
        target, anchor = urldefrag(urljoin(base + page, address))
        if not target.startswith(base):
            outside.add(target)
            continue
        name = unquote(target.removeprefix(base)).partition("?")[0] or "index.html"
        if not (folder / name).is_file():
            faults.append(f"{page}: no such page: {name}")
        elif anchor and name in anchors and unquote(anchor) not in anchors[name]:
            faults.append(f"{page}: no such place: {name}#{anchor}")
    return faults, sorted(outside)


def main() -> int:
    """Look at the pages."""
    parser = argparse.ArgumentParser(description="Look at the documentation in a browser.")
    parser.add_argument("--html", type=Path, default=HTML, help="the folder of built pages")
    parser.add_argument("--chromium", help="the browser; by default the one on PATH")
    parser.add_argument("--only", default="", help="pages whose names contain this")
    parser.add_argument("--shots", type=Path, help="a folder for pictures of the pages")
    options = parser.parse_args()
    program = options.chromium or next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        parser.error("there is no Chromium on PATH; name one with --chromium")
    names = pages(options.html, options.only)
    if not names:
        parser.error(f"there are no such pages in {options.html}; make docs builds them")

    from playwright.sync_api import sync_playwright

    with served(options.html) as base, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        faults, anchors, links = check(browser, base, names, options.shots)
        browser.close()
        wrong, outside = broken(options.html, base, links, anchors)
    for fault in [*faults, *wrong]:
        sys.stdout.write(f"{fault}\n")
    sys.stdout.write(f"{len(names)} pages at {len(WIDTHS)} widths, {len(faults + wrong)} faults\n")
    sys.stdout.write("".join(f"outside: {address}\n" for address in outside))
    return int(bool(faults or wrong))


if __name__ == "__main__":
    sys.exit(main())
