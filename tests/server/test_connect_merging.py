"""Settings put into files of clients: what else is in them stays, or nothing is changed."""

from __future__ import annotations

import errno
import json
import os
import stat
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bitwright.errors import BitwrightError
from bitwright.server.connect import files
from bitwright.server.connect.asking import Served
from bitwright.server.connect.clients import CLIENTS, File
from bitwright.server.connect.merging import CannotMergeError, merge, merged, written

PARSE: dict[str, Any] = {"json": json.loads, "yaml": yaml.safe_load, "toml": tomllib.loads}
SERVED = Served("http://127.0.0.1:9931", "sk-'\"\\ü", 'org/a "b": c', 4096, True, True)
ALL = [pytest.param(own, id=f"{name}-{own.format}") for name in CLIENTS for own in CLIENTS[name].files(SERVED)]
HELD = {
    "json": '{\n    "theme": "dark",\n    "env": {"A": "1"}\n}\n',
    "yaml": "rules:\n- be brief\nmodels:\n- name: Mine\n  model: x\n",
    "toml": '# mine\nmodel = "gpt"  # old\napproval_policy = "never"\n\n[mcp.a]\ncommand = "x"  # keep\n',
}


@pytest.mark.parametrize("file", ALL)
def test_a_new_file_says_the_settings(file: File) -> None:
    assert PARSE[file.format](merge("", file.settings, file.format, file.once)) == file.settings
    assert PARSE[file.format](written(file.settings, file.format)) == file.settings


@pytest.mark.parametrize("file", ALL)
def test_what_was_there_stays_and_a_second_time_changes_nothing(file: File) -> None:
    held = HELD[file.format]
    once = merge(held, file.settings, file.format, file.once)
    assert PARSE[file.format](once) == merged(PARSE[file.format](held), file.settings)
    assert merge(once, file.settings, file.format, file.once) == once


def test_maps_merge_by_key_and_named_entries_by_name() -> None:
    old = {"a": {"x": 1, "y": 2}, "models": [{"name": "m", "p": 1, "q": 2}, {"name": "n"}], "plain": [1]}
    new = {"a": {"y": 3}, "models": [{"name": "m", "p": 5}, {"name": "o"}], "plain": [2]}
    assert merged(old, new) == {
        "a": {"x": 1, "y": 3},
        "models": [{"name": "m", "p": 5, "q": 2}, {"name": "n"}, {"name": "o"}],
        "plain": [2],
    }


def test_comments_and_order_stay_in_toml() -> None:
    new = {"model": "m", "context": 5, "model_providers": {"bitwright": {"name": "B", "port": 1}}}
    found = merge(HELD["toml"], new, "toml")
    assert found == (
        '# mine\nmodel = "m"\napproval_policy = "never"\ncontext = 5\n\n[mcp.a]\ncommand = "x"  # keep\n\n'
        '[model_providers.bitwright]\nname = "B"\nport = 1\n'
    )
    again = merge(found.replace("port = 1", "port = 2\nmine = true"), new, "toml")
    assert again == found.replace("port = 1", "port = 1\nmine = true")
    assert tomllib.loads(merge("[a]\nb = 1\n", new, "toml")) == {"a": {"b": 1}, **new}


def test_comments_stay_in_yaml_of_plain_values() -> None:
    held = "# mine\n#model: x\nmodel: y  # old\ndark-mode: true # keep\n"
    assert merge(held, {"model": "m", "n": 1}, "yaml") == (
        '# mine\n#model: x\nmodel: "m"\ndark-mode: true # keep\nn: 1\n'
    )
    assert merge("# only a comment\n", {"model": "m"}, "yaml") == '# only a comment\nmodel: "m"\n'


def test_a_setting_for_new_files_is_not_changed() -> None:
    found = merge("name: Mine\n", {"name": "Local", "models": []}, "yaml", frozenset({"name"}))
    assert yaml.safe_load(found) == {"name": "Mine", "models": []}


def test_json_keeps_its_indentation() -> None:
    assert merge('{\n\t"a": 1\n}', {"ü": 2}, "json") == '{\n\t"a": 1,\n\t"ü": 2\n}\n'


def test_json_keeps_the_comments_before_it_and_may_have_a_comma_after_the_last_value() -> None:
    held = '// Zed settings\n//\n\n{\n  "theme": {\n    "dark": "a,]\\",}",\n  },\n  "list": [1, 2,],\n}\n'
    found = merge(held, {"n": 1}, "json")
    assert found.startswith('// Zed settings\n//\n\n{\n  "theme"') and merge(found, {"n": 1}, "json") == found
    assert json.loads(found.partition("\n\n")[2]) == {"theme": {"dark": 'a,]",}'}, "list": [1, 2], "n": 1}


@pytest.mark.parametrize(
    ("format", "text", "says"),
    [
        ("json", '{\n  // mine\n  "a": 1\n}', "comments"),
        ("json", '{"a": 1 /* mine */}', "comments"),
        ("json", '// mine\n{"a": 1} // mine, too', "comments"),
        ("json", "{,}", "no JSON"),
        ("json", "// mine\n[1,,]", "no JSON"),
        ("json", "{", "no JSON"),
        ("json", "[1]", "list"),
        ("json", '{"a": 1, "a": 2}', "twice"),
        ("yaml", "models: # mine\n- name: a\n", "comments"),
        ("yaml", "a: [", "no YAML"),
        ("yaml", "just text", "str"),
        ("yaml", "rules:\n- on\n", "differently"),
        ("yaml", "at: 12:30\n", "differently"),
        ("json", '{"a": "\\ud800"}', "without loss"),
        ("json", '{"a": 1e999}', "without loss"),
        ("json", '{"a": NaN}', "no number"),
        ("toml", "a = ", "no TOML"),
        ("toml", 'model = """\nx\n"""\n', "without loss"),
        ("toml", 'model_providers = { bitwright = { name = "x" } }\n', "without loss"),
        ("toml", 'text = """\nmodel = 1\n"""\n', "without loss"),
    ],
)  # fmt: skip
def test_what_would_be_lost_is_refused(format: str, text: str, says: str) -> None:
    new = {"model": "m", "model_providers": {"bitwright": {"name": "B"}}}
    with pytest.raises(CannotMergeError, match=says):
        merge(text, new, format)


def test_a_number_sign_in_a_value_is_no_comment() -> None:
    held = 'colour: "#fff"\nrooms:\n- c#\n- |\n  # text\n'
    assert yaml.safe_load(merge(held, {"a": {"b": 1}}, "yaml")) == {**yaml.safe_load(held), "a": {"b": 1}}


def test_a_file_is_written_with_a_backup_beside_it_each_time(tmp_path: Path) -> None:
    path = tmp_path / "new/settings.json"
    for turn, copy in enumerate((None, "settings.json.bak", "settings.json.bak2")):
        file = File(path, "json", {"turn": turn})
        before = path.read_text() if path.exists() else None
        text = files.changed(file)
        assert text is not None
        kept = files.write(file, text)
        assert json.loads(path.read_text()) == {"turn": turn} and files.changed(file) is None
        assert (kept and kept.name) == copy and (kept is None or kept.read_text() == before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600  # it may hold a key
        assert kept is None or stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_permissions_and_symbolic_links_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "dotfiles.json", tmp_path / "settings.json"
    real.write_text("{}")
    real.chmod(0o640)
    link.symlink_to(real)
    files.write(File(link, "json", {}), '{"a": 1}')
    assert link.is_symlink() and real.read_text() == '{"a": 1}' and stat.S_IMODE(real.stat().st_mode) == 0o640
    assert not (tmp_path / "settings.json.bak").is_symlink()


@pytest.mark.parametrize("file", ALL)
def test_ends_of_lines_and_a_mark_at_the_beginning_stay(file: File, tmp_path: Path) -> None:
    path = tmp_path / "settings"
    path.write_bytes(b"\xef\xbb\xbf" + HELD[file.format].replace("\n", "\r\n").encode())
    text = files.changed(replace(file, path=path))
    assert text == "\ufeff" + merge(HELD[file.format], file.settings, file.format, file.once).replace("\n", "\r\n")
    path.write_text(text, newline="")
    assert files.changed(replace(file, path=path)) is None


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(CannotMergeError, match="no regular file"):
            files.changed(File(tmp_path / name, "json", {"a": 1}))


def test_a_full_disk_leaves_no_half_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "settings.json"
    path.write_text("{}")

    def full(source: Path, copy: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source))

    monkeypatch.setattr(files.shutil, "copy2", full)
    with pytest.raises(BitwrightError, match=f"cannot write {path}: No space left"):
        files.write(File(path, "json", {}), '{"a": 1}')
    assert list(tmp_path.iterdir()) == [path] and path.read_text() == "{}"


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xff{}")
    with pytest.raises(CannotMergeError, match="UTF-8"):
        files.changed(File(tmp_path / "a.json", "json", {"a": 1}))
