"""`bitwright connect`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.support import Outcome
from serving import serving

from bitwright.cli import exit_code
from bitwright.cli.connect import NAMES
from bitwright.engine import load
from bitwright.server.connect.clients import CLIENTS
from bitwright.server.service import Service

Call = Callable[..., Outcome]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home."""
    for variable in ("XDG_CONFIG_HOME", "CODEX_HOME", "CLAUDE_CONFIG_DIR", "CONTINUE_GLOBAL_DIR", "BITWRIGHT_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def connect(address: str, home: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls `bitwright connect CLIENT` for the running server."""

    def call(client: str, *arguments: str, url: str = address) -> Outcome:
        capsys.readouterr()
        return Outcome(exit_code(["connect", client, "--url", url, *arguments]), *capsys.readouterr())

    return call


def test_settings_are_printed_to_paste(connect: Call, address: str, home: Path) -> None:
    found = connect("opencode")
    provider = json.loads(found.out)["provider"]["bitwright"]
    assert found.code == 0 and str(home / ".config/opencode/opencode.json") in found.err
    assert provider["options"]["baseURL"] == f"{address}/v1"
    assert provider["models"] == {"smollm2": {"name": "smollm2", "limit": {"context": 1024, "output": 256}}}
    assert json.loads(found.out)["model"] == json.loads(found.out)["small_model"] == "bitwright/smollm2"
    assert list(home.iterdir()) == []


def test_settings_are_written_with_a_backup(connect: Call, home: Path) -> None:
    path = home / ".claude/settings.json"
    path.parent.mkdir()
    path.write_text('{"theme": "dark", "env": {"MINE": "1"}}')
    found = connect("claude", "--write")
    assert found.code == 0 and f"wrote {path}" in found.out and f"{path}.bak" in found.out
    settings = json.loads(path.read_text())
    assert settings["theme"] == "dark" and settings["env"]["MINE"] == "1"
    assert settings["env"]["ANTHROPIC_MODEL"] == "smollm2"
    assert Path(f"{path}.bak").read_text() == '{"theme": "dark", "env": {"MINE": "1"}}'
    assert "has these settings already" in connect("claude", "--write").out
    assert sorted(own.name for own in path.parent.iterdir()) == ["settings.json", "settings.json.bak"]


def test_a_file_with_comments_is_left_and_the_text_printed(connect: Call, home: Path) -> None:
    path = home / ".config/zed/settings.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"theme": "dark"} // mine\n')
    found = connect("zed", "--write")
    assert found.code == 1 and "comments" in found.err and str(path) in found.err
    assert json.loads(found.out)["language_models"]["openai_compatible"]["Bitwright"]["available_models"]
    assert path.read_text() == '{"theme": "dark"} // mine\n' and list(path.parent.iterdir()) == [path]


def test_settings_that_cannot_be_written_are_printed(connect: Call, home: Path) -> None:
    (home / ".codex").touch()  # a file where the folder would be
    found = connect("codex", "--write")
    assert found.code == 1 and f"cannot write {home}/.codex/config.toml" in found.err
    assert 'model_provider = "bitwright"' in found.out


def test_of_two_files_none_is_written_if_one_cannot_be(connect: Call, home: Path) -> None:
    (home / ".aider.model.metadata.json").write_text("{,}")
    assert connect("aider", "--write").code == 1
    assert not (home / ".aider.conf.yml").exists()


def test_a_client_without_a_file_is_told_in_words(connect: Call, address: str) -> None:
    found = connect("cline")
    assert f"Base URL: {address}/v1" in found.out and "Model ID: smollm2" in found.out
    assert f"cline auth -p openai -k none -m smollm2 -b {address}/v1\n" in found.out
    refused = connect("cline", "--write")
    assert refused.code == 2 and "no file to write" in refused.err


def test_checks_decide_the_exit_code(connect: Call) -> None:
    found = connect("aider", "--check")
    assert (found.code, found.out) == (0, "what it needs  ok\nchat           ok\n")
    failed = connect("llama-vscode", "--check", "--json")
    assert failed.code == 1 and [own["ok"] for own in failed.json["checks"]] == [True, False, False, True, True, True]


def test_what_a_client_needs_and_the_model_lacks_is_said(connect: Call) -> None:
    said = connect("opencode").err
    assert "sends 7600 tokens" in said and "--ctx" in said and "smollm2 was not trained to call any" in said
    found = connect("opencode", "--check", "--json")
    assert found.code == 1 and [own["ok"] for own in found.json["checks"]] == [False, True]
    assert "not trained" not in connect("aider").err


def test_a_key_is_sent_and_put_where_the_client_reads_it(connect: Call, smollm2: Path) -> None:
    with serving(Service(load(smollm2, context=64), "keyed", parallel=1, cache=0), "sk-1") as address:
        refused = connect("codex", url=address)
        assert refused.code == 1 and "401" in refused.err and "--api-key" in refused.err
        keyed = connect("continue", "--api-key", "sk-1", url=address)
        assert keyed.code == 0 and "apiKey: sk-1\n" in keyed.out
        codex = connect("codex", "--api-key", "sk-1", url=address)
        assert 'env_key = "BITWRIGHT_API_KEY"' in codex.out and "sk-1" not in codex.out


def test_the_help_names_all_clients() -> None:
    assert ", ".join(CLIENTS) == NAMES


def test_what_is_wrong_is_said(connect: Call) -> None:
    assert connect("emacs").code == 2
    gone = connect("codex", url="http://127.0.0.1:1")
    assert gone.code == 1 and "bitwright serve" in gone.err
