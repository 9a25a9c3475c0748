"""The clients, in one table: the files each reads, and what has to stand in them.

Sources: docs.continue.dev/reference; aider.chat/docs/config; opencode.ai/docs/providers; package.json of llama.vscode
0.0.63; zed.dev/docs/ai; developers.openai.com/codex/config-reference; code.claude.com/docs/en/settings;
docs.cline.bot/provider-config/openai-compatible.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from bitwright.server.connect.asking import Served

Settings = dict[str, Any]
ANSWER = 4  # an answer may take one part in so many of the context
PREFILL = 3_600_000  # milliseconds that a client waits for the first word: a slow machine reads a long prompt


@dataclass(frozen=True)
class File:
    """A file of a client: where it is, json, yaml or toml, and the settings it needs. once: those that only a new file
    needs."""

    path: Path
    format: str
    settings: Settings
    once: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Client:
    """A client: its name as people write it, its files, and what else the user does. calls: it changes files by tools
    that the model calls. first: tokens of its instructions and tools, where they are known to be many
    (benchmarks/results/serve-clients.md)."""

    title: str
    files: Callable[[Served], Sequence[File]]
    notes: Callable[[Served], Sequence[str]]
    calls: bool = False
    first: int = 0

    def lacks(self, served: Served) -> list[str]:
        """What keeps it from working with a model as it is served."""
        found = []
        room = 1 << (2 * self.first).bit_length()  # twice as much, and up to a power of two
        if self.first and served.context < room:
            found.append(f"{self.title} sends {self.first} tokens before you have said anything, and the context has "
                         f"{served.context}: start bitwright serve with --ctx {room >> 10}k, or with a model that was "
                         "trained on as much")  # fmt: skip
        if self.calls and not served.calls:
            found.append(f"{self.title} changes files by calling tools, and {served.model} was not trained to call any")
        return found


def home(name: str, variable: str = "") -> Path:
    """A folder or file in the user's home, unless the environment says that it is elsewhere."""
    return Path(os.environ.get(variable) or Path.home() / name)


def configured() -> Path:
    """Where programs keep their settings that follow XDG on every system."""
    return home(".config", "XDG_CONFIG_HOME")


def continue_(served: Served) -> list[File]:
    """Continue: chat over OpenAI's interface; completion over llama.cpp's, if the model can fill gaps."""
    chat = {
        "name": "Bitwright", "provider": "openai", "model": served.model, "apiBase": f"{served.url}/v1",
        "apiKey": served.token, "roles": ["chat", "edit", "apply"],
        "defaultCompletionOptions": {"contextLength": served.context, "maxTokens": served.context // ANSWER},
    }  # fmt: skip
    gaps = {
        "name": "Bitwright autocomplete", "provider": "llama.cpp", "model": served.model, "apiBase": f"{served.url}/",
        "apiKey": served.token, "roles": ["autocomplete"],
    }  # fmt: skip
    settings = {"name": "Local Config", "version": "1.0.0", "schema": "v1", "models": [chat, *[gaps] * served.fills]}
    path = home(".continue", "CONTINUE_GLOBAL_DIR") / "config.yaml"
    return [File(path, "yaml", settings, frozenset({"name", "version", "schema"}))]


def aider(served: Served) -> list[File]:
    """aider: its options, and the size of the context."""
    model = f"openai/{served.model}"
    about = {
        "max_input_tokens": served.context, "max_output_tokens": served.context // ANSWER,
        "input_cost_per_token": 0, "output_cost_per_token": 0, "litellm_provider": "openai", "mode": "chat",
    }  # fmt: skip
    options = {"model": model, "openai-api-base": f"{served.url}/v1", "openai-api-key": served.token}
    return [
        File(home(".aider.conf.yml"), "yaml", options),
        File(home(".aider.model.metadata.json"), "json", {model: about}),
    ]


def opencode(served: Served) -> list[File]:
    """OpenCode: a provider of its own, whose model is asked for everything: without that, titles and all else go to a
    model on the network."""
    limit = {"context": served.context, "output": served.context // ANSWER}
    provider = {
        "npm": "@ai-sdk/openai-compatible", "name": "Bitwright",
        "options": {"baseURL": f"{served.url}/v1", "apiKey": served.token},
        "models": {served.model: {"name": served.model, "limit": limit}},
    }  # fmt: skip
    name = f"bitwright/{served.model}"
    settings = {"$schema": "https://opencode.ai/config.json", "model": name, "small_model": name,
                "provider": {"bitwright": provider}}  # fmt: skip
    return [File(configured() / "opencode/opencode.json", "json", settings, frozenset({"$schema"}))]


def llama_vscode(served: Served) -> list[File]:
    """llama.vscode: three addresses in VS Code's settings."""
    settings: Settings = {f"llama-vscode.endpoint{use}": served.url for use in ("", "_chat", "_tools")}
    settings["llama-vscode.ai_model"] = served.model
    if served.key:
        settings |= {f"llama-vscode.api_key{use}": served.key for use in ("", "_chat", "_tools")}
    folder = user_config_path("Code", appauthor=False, roaming=True)
    return [File(folder / "User/settings.json", "json", settings)]


def zed(served: Served) -> list[File]:
    """Zed: a provider of its own; the key is read from the environment."""
    able = {"tools": True, "images": False, "parallel_tool_calls": True, "prompt_cache_key": False}
    model = {
        "name": served.model, "display_name": served.model, "max_tokens": served.context,
        "max_output_tokens": served.context // ANSWER, "capabilities": able,
    }  # fmt: skip
    provider = {"api_url": f"{served.url}/v1", "available_models": [model]}
    settings = {"language_models": {"openai_compatible": {"Bitwright": provider}}}
    return [File(configured() / "zed/settings.json", "json", settings)]


def codex(served: Served) -> list[File]:
    """Codex: a provider of its own; the key is read from the environment."""
    provider = {
        "name": "Bitwright", "base_url": f"{served.url}/v1", "wire_api": "responses", "stream_idle_timeout_ms": PREFILL,
    }  # fmt: skip
    if served.key:
        provider["env_key"] = "BITWRIGHT_API_KEY"
    settings = {
        "model": served.model, "model_provider": "bitwright", "model_context_window": served.context,
        "model_providers": {"bitwright": provider},
    }  # fmt: skip
    return [File(home(".codex", "CODEX_HOME") / "config.toml", "toml", settings)]


def claude(served: Served) -> list[File]:
    """Claude Code: its environment. The header that names each request would come before the prompt and keep the
    server from knowing the rest of it again."""
    sizes = ("HAIKU", "SONNET", "OPUS")
    environment = {
        "ANTHROPIC_BASE_URL": served.url, "ANTHROPIC_AUTH_TOKEN": served.token, "ANTHROPIC_MODEL": served.model,
        **{f"ANTHROPIC_DEFAULT_{size}_MODEL": served.model for size in sizes},
        "CLAUDE_CODE_AUTO_COMPACT_WINDOW": str(served.context), "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "API_TIMEOUT_MS": str(PREFILL),
    }  # fmt: skip
    return [File(home(".claude", "CLAUDE_CONFIG_DIR") / "settings.json", "json", {"env": environment})]


def no_file(served: Served) -> list[File]:
    """A client whose settings only it can write."""
    return []


def cline_notes(served: Served) -> list[str]:
    """What to type in Cline's settings, or to call its program with."""
    typed = {"API Provider": "OpenAI Compatible", "Base URL": f"{served.url}/v1", "API Key": served.token,
             "Model ID": served.model, "Context Window Size (Model Configuration)": served.context,
             "Max Output Tokens": served.context // ANSWER}  # fmt: skip
    fields = [f"{name}: {value}" for name, value in typed.items()]
    options = shlex.join(["-p", "openai", "-k", served.token, "-m", served.model, "-b", f"{served.url}/v1"])
    return ["In VS Code, open Cline's settings (the gear) and enter:", *fields, "For its program in a terminal:",
            f"cline auth {options}"]  # fmt: skip


def continue_notes(served: Served) -> list[str]:
    """What Continue needs besides its file."""
    if not served.fills:
        return [f"{served.model} has no tokens for filling gaps: it chats, and completes no code while you type"]
    return ["Continue chooses its prompt for completion by the model's name: keep the family in it, as in "
            "qwen2.5-coder (serve --alias)"]  # fmt: skip


def llama_vscode_notes(served: Served) -> list[str]:
    """Why llama.vscode would show nothing."""
    return [] if served.fills else [f"{served.model} has no tokens for filling gaps: it only chats"]


def zed_notes(served: Served) -> list[str]:
    """How Zed gets the key."""
    key = "that key" if served.key else "any text"
    return [f"Zed reads the key from its environment: start it with BITWRIGHT_API_KEY set to {key}, or enter it in "
            "the agent's settings; then choose the model in the agent panel"]  # fmt: skip


def codex_notes(served: Served) -> list[str]:
    """How Codex gets the key."""
    return ["Codex reads the key from its environment: export BITWRIGHT_API_KEY"] if served.key else []


def claude_notes(served: Served) -> list[str]:
    """What changes for Claude Code."""
    return ["With these settings every session of Claude Code asks this server; remove them to go back"]


def nothing(served: Served) -> list[str]:
    """Nothing else to do."""
    return []


CLIENTS = {
    "continue": Client("Continue", continue_, continue_notes),
    "aider": Client("aider", aider, nothing),
    "cline": Client("Cline", no_file, cline_notes, calls=True, first=5_600),
    "opencode": Client("OpenCode", opencode, nothing, calls=True, first=7_600),
    "llama-vscode": Client("llama.vscode", llama_vscode, llama_vscode_notes),
    "zed": Client("Zed", zed, zed_notes, calls=True),
    "codex": Client("Codex", codex, codex_notes, calls=True, first=9_200),
    "claude": Client("Claude Code", claude, claude_notes, calls=True, first=20_300),
}
