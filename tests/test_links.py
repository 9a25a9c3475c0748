"""What the documents name exists: linked files and headings, paths, and in the guides names in the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = sorted([*ROOT.glob("*.md"), *DOCS, ROOT / "benchmarks/results/README.md"])
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]*)`")
FOLDERS = ("src", "native", "tests", "benchmarks")
SOURCES = {".py", ".cpp", ".h", ".inl"}
CALLED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
NAMED = re.compile(r"(?:src/bitwright|native|tests|benchmarks|docs|tools|examples)/[\w./-]+|test_\w+\.py")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ +(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return FENCED.sub("", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_link_targets_exist(page: Path) -> None:
    text = INLINE.sub("", prose(page))
    broken = []
    for link in LINK.findall(text):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken, f"{page.relative_to(ROOT)} links to what is not there: {', '.join(broken)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_paths_exist(page: Path) -> None:
    named = [name for name in INLINE.findall(prose(page)) if NAMED.fullmatch(name)]
    missing = [n for n in named if not ((ROOT / n).exists() if "/" in n else any((ROOT / "tests").rglob(n)))]
    assert not missing, f"{page.relative_to(ROOT)} names what is not there: {', '.join(missing)}"


@pytest.mark.parametrize("guide", sorted((ROOT / "docs").glob("adding-*.md")), ids=lambda guide: guide.stem)
def test_names_in_guides_exist_in_the_code(guide: Path) -> None:
    """For `Rule.fit(values)`, `fit` must appear somewhere in the sources."""
    files = [p for folder in FOLDERS for p in (ROOT / folder).rglob("*") if p.suffix in SOURCES]
    words = {word for p in files for word in re.findall(r"\w+", p.read_text(encoding="utf-8"))}
    named = {found[0].split(".")[-1]: text for text in INLINE.findall(prose(guide)) if (found := CALLED.match(text))}
    missing = [text for name, text in named.items() if name not in words]
    assert not missing, f"{guide.name} names what the code has not: {', '.join(missing)}"


def test_the_index_names_every_page() -> None:
    index = ROOT / "docs/README.md"
    named = {(index.parent / link).resolve() for link in LINK.findall(index.read_text(encoding="utf-8"))}
    assert {page for page in DOCS if page != index} <= named


def test_every_result_is_linked() -> None:
    """Tables with a fixed name are in the list of results."""
    index = ROOT / "benchmarks/results/README.md"
    named = set(LINK.findall(index.read_text(encoding="utf-8")))
    results = {page.name for page in index.parent.glob("[a-z]*.md")}
    assert results <= named
