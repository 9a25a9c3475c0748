"""Commands in the documents use verbs and options that the command line has, and source files they name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs/cli.md"  # tests/cli/test_reference.py compares it with the code
PAGES = [page for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")] if page != REFERENCE]
CODE = re.compile(r"^ *```\w*\n.*?^ *```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?<![\w.-])(?<!import )(?<!from )bitwright ([a-z]+)\b([^`\n|#]*)")
SOURCE = re.compile(r"`([a-z0-9_/]+\.(?:py|h|cpp|inl))`")
OPTION = re.compile(r"(?<![\w-])--?[a-z][\w-]*")


def options() -> dict[str, set[str]]:
    """The options of each verb."""
    sections = re.split(r"^## bitwright ", REFERENCE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {text.split()[0]: set(OPTION.findall(text)) for text in sections}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_exist(page: Path) -> None:
    known, wrong = options(), []
    for code in CODE.findall(page.read_text(encoding="utf-8")):
        for verb, rest in COMMAND.findall(code):
            unknown = [verb] if verb not in known else sorted(set(OPTION.findall(rest)) - known[verb])
            wrong += [f"bitwright {verb} {' '.join(unknown)}"] if unknown else []
    assert not wrong, f"{page.relative_to(ROOT)}: no such command or option: {'; '.join(wrong)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_source_files_exist(page: Path) -> None:
    rooms = [ROOT / name for name in ("src", "native", "tests", "benchmarks")]
    files = [file.as_posix() for room in rooms for file in room.rglob("*.*")]
    named = set(SOURCE.findall(page.read_text(encoding="utf-8")))
    missing = sorted(name for name in named if not any(file.endswith(f"/{name}") for file in files))
    assert not missing, f"{page.relative_to(ROOT)} names files that do not exist: {', '.join(missing)}"
