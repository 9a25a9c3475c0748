"""The public names: lazy, complete, and cheap to import."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import bitwright as bw


def test_every_public_name_exists() -> None:
    for name in bw.__all__:
        assert getattr(bw, name) is not None
    assert set(bw.__all__) <= set(dir(bw))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'quantise'"):
        bw.quantise  # noqa: B018


def test_importing_bitwright_imports_nothing_heavy() -> None:
    code = (
        "import sys, bitwright; heavy = {'numpy', 'gguf', 'tokenizers', 'huggingface_hub', 'typer', 'rich', 'jinja2'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_one_place_names_the_version() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
    assert "version" not in project["project"] and project["project"]["dynamic"] == ["version"]
    [version] = [entry for entry in project["tool"]["dynamic-metadata"] if entry["field"] == "version"]
    assert bw.__version__ in (Path(__file__).parents[1] / version["input"]).read_text("utf-8")
