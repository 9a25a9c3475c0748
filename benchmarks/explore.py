"""The explorer as a visitor meets it: how large it is, and how soon a chapter answers.

    python benchmarks/explore.py smollm2-135m

Exports the site, serves it with Python's own file server, and opens every chapter in Chromium with an empty cache. A
chapter is ready when its figures are there and its first control has answered. Needs playwright and Chromium.
"""

from __future__ import annotations

import argparse
import gzip
import http.server
import re
import shutil
import statistics
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright
from reporting import HERE

from bitwright.cli import models, output
from bitwright.explorer.app import STATIC
from bitwright.explorer.exhibits import Documents
from bitwright.explorer.export import export
from bitwright.explorer.subject import Subject

ENTRY = re.compile(r'entry\(\s*"([\w-]+)"')


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A file server that does not log."""

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def ready(browser: Browser, site: str, chapter: str) -> tuple[float, int, list[str]]:
    """Seconds until a chapter answers, bytes that were sent for it, and what went wrong."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page, sent, wrong = context.new_page(), [0], list[str]()
    page.on("response", lambda r: sent.__setitem__(0, sent[0] + int(r.headers.get("content-length", 0))))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda m: m.type == "error" and wrong.append(m.text))
    page.on("request", lambda asked: asked.url.startswith(site) or wrong.append(asked.url))
    started = time.monotonic()
    page.goto(f"{site}#{chapter}")
    page.wait_for_selector("main figure")
    page.wait_for_selector("main .waiting", state="detached")
    control = page.locator("main [data-control]").first
    if control.count():
        control.focus()
    taken = time.monotonic() - started
    context.close()
    return taken, sent[0], wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="smollm2-135m")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    bundle = [gzip.compress(p.read_bytes()) for p in STATIC.iterdir() if p.suffix in (".js", ".css", ".html", ".svg")]
    print(f"bundle: {sum(map(len, bundle)) / 1000:.0f} kB compressed, in {len(bundle)} files")
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        with output.progress("exporting") as report:
            documents = Documents(Subject(models.resolve(args.model), args.model, live=False))
            size = export(documents, Path(folder), report)
        print(f"site: {size / 1e6:.1f} MB, exported in {time.monotonic() - started:.0f} s")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        site = f"http://127.0.0.1:{server.server_address[1]}/"
        chapters = ENTRY.findall((HERE.parent / "web/src/chapters.ts").read_text("utf-8"))
        rows = []
        with sync_playwright() as p:
            browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for chapter in chapters:
                found = [ready(browser, site, chapter) for _ in range(args.rounds)]
                seconds = statistics.median(taken for taken, *_ in found)
                wrong = sorted({text for *_, texts in found for text in texts})
                rows.append([chapter, f"{seconds:.2f}", f"{found[0][1] / 1000:.0f}", "; ".join(wrong) or "nothing"])
            browser.close()
        output.print_table(["chapter", ">seconds", ">kB sent", "went wrong"], rows)


if __name__ == "__main__":
    main()
