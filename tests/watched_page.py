"""A browser's page of the explorer, with what went wrong on it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

WEB = Path(__file__).parents[1] / "web"
CHAPTERS = re.findall(r'entry\(\s*"([\w-]+)"', (WEB / "src/chapters.ts").read_text("utf-8"))
AXE = WEB / "node_modules/axe-core/axe.min.js"

SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
INFINITE = {"∞": "inf", "-∞": "-inf"}


def number(text: str) -> float:
    """A number as the pages write it, without its unit: "−1,234 nats", "6.4 × 10⁻⁵", "12.5%"."""
    mantissa, _, power = text.replace("−", "-").replace(",", "").partition(" × 10")
    first = mantissa.split()[0].rstrip("%")
    raised = f"e{power.split()[0].translate(SUPERSCRIPTS)}" if power else ""
    return float(INFINITE.get(first, first) + raised)


def violations(page: Any) -> list[tuple[str, Any]]:
    """What axe finds wrong on a page, in light and dark, with the first places."""
    page.evaluate(AXE.read_text("utf-8"))  # through the debugger, which the page's policy does not bind
    found = []
    for scheme, options in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
        page.emulate_media(color_scheme=scheme)
        run = "(options) => axe.run(document, {resultTypes: ['violations'], ...options})"
        found += page.evaluate(run, options)["violations"]
    page.emulate_media(color_scheme="light")
    return [(v["id"], [n["target"] for n in v["nodes"]][:3]) for v in found]


class Watched:
    """A page, with what went wrong on it: errors, messages of the console, requests to other places."""

    def __init__(self, page: Any, site: str) -> None:
        self.page, self.site, self.wrong = page, site, list[str]()
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("console", lambda m: m.type in ("error", "warning") and self.wrong.append(f"console: {m.text}"))
        page.on("request", lambda asked: asked.url.startswith(site) or self.wrong.append(f"request: {asked.url}"))

    def open(self, chapter: str) -> Any:
        """The page at a chapter (with values, if wanted), once it is there."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.site}#{chapter}")
        self.page.wait_for_selector(f"html[data-chapter={chapter.partition('?')[0]}]")
        self.page.wait_for_selector("main h1")
        self.page.wait_for_selector("main .waiting", state="detached", timeout=300_000)
        return self.page

    def value(self, name: str) -> str:
        """What a figure shows under a name."""
        return str(self.page.locator(f"[data-value='{name}']").first.inner_text())
