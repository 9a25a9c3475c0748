"""The import rules of ARCHITECTURE.md, checked in the source: packages import only downwards."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import bitwright

ROOT = Path(bitwright.__file__).parent
# From the top down; packages on one line may import each other.
LAYERS = [
    {"cli", "reports", "explorer", "server"},
    {"views"},
    {"fit"},
    {"hardware", "measure"},
    {"bench"},
    {"engine", "quantizers"},
    {"recipes"},
    {"calibration"},
    {"model", "io"},
    {"kernels"},
    {"formats", "statistics"},
    {"errors", "escapes", "names", "progress", "system", "windows"},
]
OPEN = {"__init__", "__main__"}  # the public names reach everywhere, lazily; `python -m bitwright` is the command line
LEVEL = {package: level for level, packages in enumerate(LAYERS) for package in packages}
FILES = sorted(ROOT.rglob("*.py"))
MOST_LINES = 260  # a file beyond this holds two ideas


@cache
def imports(path: Path) -> list[str]:
    """Every module that `path` imports anywhere, as an absolute dotted name."""
    return list(imported(path))


def imported(path: Path) -> Iterator[str]:
    package = ["bitwright", *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *((node.module or "").split("."))]).strip(".")
            yield from (f"{module}.{alias.name}" for alias in node.names)


def names(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_every_package_has_a_layer() -> None:
    found = {p.parent.name for p in ROOT.glob("*/__init__.py")} | {p.stem for p in ROOT.glob("*.py")} - OPEN
    assert found <= set(LEVEL), f"give {found - set(LEVEL)} a place in LAYERS"


@pytest.mark.parametrize("path", FILES, ids=names)
def test_imports_point_down(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if own in OPEN:
        return
    for module in imports(path):
        parts = module.split(".")
        if parts[0] != "bitwright" or len(parts) < 2 or parts[1] not in LEVEL:
            continue
        assert LEVEL[parts[1]] >= LEVEL[own], f"{names(path)} imports {module}: {own} lies below {parts[1]}"


@pytest.mark.parametrize("package", ["statistics", "measure", "fit", "bench", "views", "reports"])
def test_no_circles(package: str) -> None:
    """Modules can be ordered so that each imports only earlier ones, including imports within functions."""
    left = {".".join(["bitwright", *p.relative_to(ROOT).with_suffix("").parts]): p for p in FILES}
    left = {name: p for name, p in left.items() if name.startswith(f"bitwright.{package}.")}
    needs = {name: {m for m in left if m != name for i in imports(p) if f"{i}.".startswith(f"{m}.")}
             for name, p in left.items()}  # fmt: skip
    while free := [name for name, found in needs.items() if not found & needs.keys()]:
        for name in free:
            del needs[name]
    assert not needs, f"these import each other: {sorted(needs)}"


@pytest.mark.parametrize("path", FILES, ids=names)
def test_only_kernels_import_the_compiled_module(path: Path) -> None:
    if path.relative_to(ROOT).parts[0] == "kernels":
        return
    assert not [m for m in imports(path) if "_core" in m.split(".")]


@pytest.mark.parametrize("path", [f for f in FILES if f.is_relative_to(ROOT / "formats")], ids=names)
def test_formats_need_numpy_only(path: Path) -> None:
    import sys

    foreign = {m.split(".")[0] for m in imports(path)} - set(sys.stdlib_module_names)
    assert foreign <= {"numpy", "bitwright"}


def test_files_stay_short() -> None:
    top = Path(__file__).parents[1]
    sources = [p for folder in ("src", "native", "tests") for p in (top / folder).rglob("*")]
    lines = {
        p.relative_to(top).as_posix(): p.read_text(encoding="utf-8").count("\n")
        for p in sources
        if p.suffix in {".py", ".cpp", ".h", ".inl"}
    }
    too_long = {name: n for name, n in lines.items() if n > MOST_LINES}
    assert not too_long, f"split these files by idea: more than {MOST_LINES} lines"


def test_names_of_test_files_are_unique() -> None:
    """pytest imports them by name: of two with the same one, the second is an error of the whole run."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
