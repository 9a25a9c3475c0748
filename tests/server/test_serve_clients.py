"""The first requests of editors and agents, as benchmarks/serve_clients.py has recorded them, shortened."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from scripted import Scripted, call

from bitwright.model.chat import ChatTemplate

REFUSING = """{%- set said = namespace(last="") -%}{%- for m in messages -%}
{%- if m.role == "system" and not loop.first or m.role == said.last -%}{{ raise_exception("roles must alternate") }}
{%- endif -%}{%- set said.last = m.role -%}[{{ m.role }}]{{ m.content }}{%- endfor -%}"""
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "required": ["content", "filePath"],
    "properties": {"content": {"description": "The content", "type": "string"}, "filePath": {"type": "string"}},
    "additionalProperties": False,
}  # fmt: skip
OPENCODE = {
    "model": "replay", "max_tokens": 8192, "stream": True, "stream_options": {"include_usage": True},
    "messages": [
        {"role": "system", "content": "You are a title generator."},
        {"role": "user", "content": "Generate a title for this conversation:\n"},
        {"role": "user", "content": '"Write hello.py"'},
    ],
}  # fmt: skip
CODEX: dict[str, Any] = {
    "model": "replay", "stream": True, "tool_choice": "auto", "parallel_tool_calls": True, "store": False,
    "reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"], "prompt_cache_key": "01a2",
    "client_metadata": {"x-codex-window-id": "01a2:0", "session_id": "01a2"},
    "tools": [
        {"type": "function", "name": "exec_command", "description": "Runs a command.", "strict": False,
         "parameters": SCHEMA},
        {"type": "namespace", "name": "multi_agent_v1", "description": "Sub-agents.", "tools": [
            {"type": "function", "name": "close_agent", "strict": False, "parameters": SCHEMA}]},
        {"type": "web_search", "external_web_access": True},
    ],
    "input": [
        {"type": "message", "id": "msg_1", "role": "developer",
         "content": [{"type": "input_text", "text": "You are a coding agent."}]},
        {"type": "message", "id": "msg_2", "role": "developer",
         "content": [{"type": "input_text", "text": "<skills_instructions>"}]},
        {"type": "message", "id": "msg_3", "role": "user",
         "content": [{"type": "input_text", "text": "<environment_context>"}]},
        {"type": "message", "id": "msg_4", "role": "user",
         "content": [{"type": "input_text", "text": "Write hello.py"}]},
    ],
}  # fmt: skip
CLAUDE = {
    "model": "replay", "max_tokens": 32000, "stream": True, "thinking": {"type": "adaptive"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "output_config": {"effort": "high"}, "metadata": {"user_id": '{"device_id":"ca33","account_uuid":""}'},
    "system": [
        {"type": "text", "text": "You are a Claude agent.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "You help.", "cache_control": {"type": "ephemeral"}},
    ],
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "<system-reminder>\nToday\n</system-reminder>"},
            {"type": "text", "text": "Write hello.py", "cache_control": {"type": "ephemeral"}}]},
        {"role": "system", "content": "Available agent types"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "Write", "input": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "content": "No", "is_error": True, "tool_use_id": "toolu_1",
             "cache_control": {"type": "ephemeral"}}]},
        {"role": "system", "content": "Available skills"},
    ],
    "tools": [{"name": "Write", "description": "Writes a file.", "input_schema": SCHEMA}],
}  # fmt: skip
TURNS = {
    "/v1/chat/completions": "[system]You are a title generator.[user]Generate a title for this conversation:\n\n\n"
    '"Write hello.py"',
    "/v1/responses": "[system]You are a coding agent.\n\n<skills_instructions>"
    "[user]<environment_context>\n\nWrite hello.py",
    "/v1/messages": "[system]You are a Claude agent.\nYou help."
    "[user]<system-reminder>\nToday\n</system-reminder>\nWrite hello.py\n\n"
    "<system-reminder>\nAvailable agent types\n</system-reminder>"
    "[assistant][tool]No[user]<system-reminder>\nAvailable skills\n</system-reminder>",
}


class Seen(ChatTemplate):
    """A template that keeps what it wrote."""

    text = ""

    def render(self, *args: Any, **kwargs: Any) -> str:
        self.text = super().render(*args, **kwargs)
        return self.text


@pytest.fixture
def seen(scripted: tuple[Scripted, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a template wrote for a request, which must be answered."""
    service, address = scripted

    def ask(path: str, asked: Any, source: str, script: str = "Done.", answered: str = "Done") -> str:
        template = Seen({"default": source}, {})
        monkeypatch.setattr(service, "template", template)
        monkeypatch.setattr(service, "script", script)
        answer = httpx2.post(address + path, json=asked, timeout=120)
        assert answer.status_code == 200 and answered in answer.text and '"error": {' not in answer.text
        return template.text

    return ask


ASKED = (("/v1/chat/completions", OPENCODE), ("/v1/responses", CODEX), ("/v1/messages", CLAUDE))


@pytest.mark.parametrize(("path", "asked"), ASKED)
def test_a_template_that_wants_turns_gets_turns(path: str, asked: Any, seen: Any) -> None:
    assert seen(path, asked, REFUSING) == TURNS[path]


def test_another_template_gets_what_was_sent(seen: Any) -> None:
    roles = [seen(path, asked, "{% for m in messages %}{{ m.role[0] }}{% endfor %}") for path, asked in ASKED]
    assert roles == ["suu", "suu", "susats"]


def test_functions_of_a_namespace_are_offered_and_called(seen: Any) -> None:
    """Codex groups the tools of each MCP server so."""
    offered = "{% for tool in tools %}{{ tool.function.name }} {% endfor %}"
    item = '"namespace": "multi_agent_v1", "name": "close_agent", "arguments": "{}", "status": "completed"}'
    names = seen("/v1/responses", CODEX, offered, call("multi_agent_v1.close_agent", "{}"), item)
    assert names == "exec_command multi_agent_v1.close_agent "
    made = {"type": "function_call", "call_id": "call_1", "namespace": "multi_agent_v1", "name": "close_agent"}
    returned = {"type": "function_call_output", "call_id": "call_1", "output": "Closed"}
    again = {**CODEX, "input": [*CODEX["input"], made, returned]}
    assert (
        seen("/v1/responses", again, "{{ messages[-2].tool_calls[0].function.name }}") == "multi_agent_v1.close_agent"
    )
