"""A browser's page of the explorer, with what went wrong on it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

WEB = Path(__file__).parents[1] / "web/src"
CHAPTERS = re.findall(r'entry\(\s*"([\w-]+)"', (WEB / "chapters.ts").read_text("utf-8"))

SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
INFINITE = {"∞": "inf", "-∞": "-inf"}


def number(text: str) -> float:
    """A number as the pages write it, without its unit: "−1,234 nats", "6.4 × 10⁻⁵", "12.5%"."""
    mantissa, _, power = text.replace("−", "-").replace(",", "").partition(" × 10")
    first = mantissa.split()[0].rstrip("%")
    raised = f"e{power.split()[0].translate(SUPERSCRIPTS)}" if power else ""
    return float(INFINITE.get(first, first) + raised)


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
