"""What each client asks first, asked of a running server, and what it needs the answer to be.

The questions are those that the clients send: tools where they send tools, their parameters, their roles, short limits.
Sources: Continue, core/llm/llms; Cline, src/core/api/providers/openai.ts; llama.vscode, src/llama-server.ts; Codex,
codex-rs/codex-api; docs.anthropic.com/en/api/messages-streaming; platform.openai.com/docs/api-reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bitwright.server.connect.asking import AskError, Served, Server

WORDS = 12  # tokens of an answer
FUNCTION: dict[str, Any] = {
    "name": "read_file", "description": "Reads a file.",
    "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
}  # fmt: skip
TOOL = {"type": "function", "function": FUNCTION}
SYSTEM = {"role": "system", "content": "You are a coding assistant."}
ASKED = "Say hello."
PLAIN: list[dict[str, Any]] = [SYSTEM, {"role": "user", "content": ASKED}]
PARTS: list[dict[str, Any]] = [SYSTEM, {"role": "user", "content": [{"type": "text", "text": ASKED}]}]
BEFORE, AFTER = "def add(a, b):\n    ", "\n\nprint(add(1, 2))\n"

Check = Callable[[Server, Served], None]


@dataclass(frozen=True)
class Outcome:
    """What came of one question: what it was, and what is wrong with the answer, if anything."""

    request: str
    problem: str | None


class WrongError(AskError):
    """An answer that its client cannot use."""


def need(held: object, what: str) -> None:
    """Raises WrongError unless it holds."""
    if not held:
        raise WrongError(f"expected {what}")


def run(client: str, server: Server, served: Served) -> Iterator[Outcome]:
    """What comes of each question of a client."""
    for request, check in CHECKS[client]:
        try:
            check(server, served)
        except AskError as error:
            yield Outcome(request, str(error))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            yield Outcome(request, f"the answer has another shape: {type(error).__name__}: {error}")
        else:
            yield Outcome(request, None)


def models(server: Server, served: Served) -> None:
    """The list of models names the one that is served, and its context."""
    (model,) = [own for own in server.get("/v1/models")["data"] if own["id"] == served.model]
    need(model["object"] == "model" and model["meta"]["n_ctx"] == served.context, "the model and its context")


def chat(messages: Sequence[dict[str, Any]], usage: bool, limit: str = "max_tokens", **more: Any) -> Check:
    """A streamed chat: who speaks, text or calls, why it ended, the count if it was asked for, and the end."""

    def check(server: Server, served: Served) -> None:
        body = {"model": served.model, "messages": messages, "stream": True, limit: WORDS, **more}
        if usage:
            body["stream_options"] = {"include_usage": True}
        events = list(server.events("/v1/chat/completions", body))
        need(events and events[-1].data == "[DONE]", "the stream to end with [DONE]")
        chunks = [event.json() for event in events[:-1]]
        need(all("error" not in chunk for chunk in chunks), f"no error, got {chunks[-1:]}")
        need(all(own["object"] == "chat.completion.chunk" for own in chunks), "chunks of a chat")
        counted = [own["usage"] for own in chunks if own.get("usage")]
        need(bool(counted) == usage, f"{'a' if usage else 'no'} chunk with the usage")
        need(all(own["total_tokens"] for own in counted), "the tokens to be counted")
        choices = [own["choices"][0] for own in chunks if own["choices"]]
        need(choices[0]["delta"]["role"] == "assistant", "the first chunk to say that the assistant speaks")
        need(choices[-1]["finish_reason"] in ("stop", "length", "tool_calls"), "a reason for the end")
        need(all(own["finish_reason"] is None for own in choices[:-1]), "one reason for the end, in the last chunk")
        pieces = [_said(own["delta"]) for own in choices]
        need(any(pieces), "an answer")

    return check


def _said(delta: dict[str, Any]) -> bool:
    """Whether a piece of a chat says anything; calls need an index and a name."""
    calls = delta.get("tool_calls") or []
    for call in calls:
        need(isinstance(call["index"], int), "calls of tools with an index")
    return bool(delta.get("content") or delta.get("reasoning_content") or calls)


def completion(server: Server, served: Served) -> None:
    """llama.cpp's streamed completion of a prompt that the client itself has made."""
    body = {"prompt": BEFORE, "stream": True, "n_predict": WORDS, "stop": ["\n\n"], "top_k": 40, "temperature": 0.01}
    chunks = [event.json() for event in server.events("/completion", body)]
    need(all(isinstance(own["content"], str) for own in chunks), "text in every chunk")
    need(
        [own["stop"] for own in chunks] == [False] * (len(chunks) - 1) + [True], "the last chunk, and it alone, to stop"
    )


def warm(server: Server, served: Served) -> None:
    """The question that only lets the server read what is around a gap."""
    found = server.post("/infill", {**GAP, "n_predict": 0, "samplers": [], "t_max_predict_ms": 1})
    need(found["content"] == "", "no text")


def infill(server: Server, served: Served) -> None:
    """Three proposals for a gap."""
    asked = {"n_predict": WORDS, "n_cmpl": 3, "top_k": 40, "top_p": 0.99, "stream": False,
             "samplers": ["top_k", "top_p", "infill"]}  # fmt: skip
    found = server.post("/infill", {**GAP, **asked})
    need(isinstance(found, list) and len(found) == 3, "three proposals")
    for own in found:
        need(isinstance(own["content"], str), "text")
        need(own["timings"]["prompt_n"] >= 0 and own["timings"]["predicted_ms"] >= 0, "timings")


GAP = {"id_slot": 0, "input_prefix": BEFORE, "input_suffix": AFTER, "prompt": "", "cache_prompt": True,
       "input_extra": [{"filename": "main.py", "text": "import add\n"}], "t_max_prompt_ms": 500}  # fmt: skip


def responses(server: Server, served: Served) -> None:
    """A streamed response with tools: it is created, its items are done, and it is completed with the usage."""
    body = {
        "model": served.model, "instructions": SYSTEM["content"], "stream": True, "store": False, "tool_choice": "auto",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": ASKED}]}],
        "tools": [{"type": "function", "strict": False, **FUNCTION}], "parallel_tool_calls": False, "include": [],
        "max_output_tokens": WORDS,
    }  # fmt: skip
    events = [event.json() for event in server.events("/v1/responses", body) if event.data != "[DONE]"]
    kinds = [event["type"] for event in events]
    need(kinds[:1] == ["response.created"], "response.created first")
    need(kinds[-1] in ("response.completed", "response.incomplete"), f"the response to be completed, got {kinds[-1]}")
    need("response.output_item.done" in kinds, "an item of the answer that is done")
    last = events[-1]["response"]
    need(last["id"] and last["usage"]["total_tokens"] > 0, "an id and the tokens counted")


MESSAGES: dict[str, Any] = {
    "system": [{"type": "text", "text": SYSTEM["content"], "cache_control": {"type": "ephemeral"}}],
    "messages": [{"role": "user", "content": [{"type": "text", "text": ASKED}]}],
    "tools": [{"name": FUNCTION["name"], "description": FUNCTION["description"],
               "input_schema": FUNCTION["parameters"]}],
}  # fmt: skip


def messages(server: Server, served: Served) -> None:
    """A streamed message with tools: named events, blocks that open and close, why it stopped, and the usage."""
    body = {"model": served.model, "max_tokens": WORDS, "stream": True, **MESSAGES}
    events = [event for event in server.events("/v1/messages", body) if event.name != "ping"]
    found = [event.json() for event in events]
    need([event.name for event in events] == [own["type"] for own in found], "events named by their type")
    kinds = [own["type"] for own in found]
    need(
        kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"], "a message from start to stop"
    )
    need(found[0]["message"]["usage"]["input_tokens"] >= 0, "the tokens of the prompt")
    need(found[-2]["delta"]["stop_reason"] and found[-2]["usage"]["output_tokens"] > 0, "why it stopped, and the usage")
    need(kinds.count("content_block_start") == kinds.count("content_block_stop"), "blocks that are closed")
    for own in found:
        if own["type"] == "content_block_delta" and own["delta"]["type"] == "input_json_delta":
            need(isinstance(own["delta"]["partial_json"], str), "arguments as text")


def count_tokens(server: Server, served: Served) -> None:
    """How many tokens a message has."""
    found = server.post("/v1/messages/count_tokens", {"model": served.model, **MESSAGES})
    need(isinstance(found["input_tokens"], int) and found["input_tokens"] > 0, "a number of tokens")


def tokens(server: Server, served: Served) -> None:
    """The conversation as text, its tokens, and the context."""
    text = server.post("/apply-template", {"messages": PLAIN})["prompt"]
    need(ASKED in text, "the conversation in the template")
    need(server.post("/tokenize", {"content": text})["tokens"], "tokens")
    need(server.get("/props")["default_generation_settings"]["n_ctx"] == served.context, "the context")


LIST = ("list of models", models)
WITH_TOOLS: dict[str, Any] = {"tools": [TOOL], "tool_choice": "auto"}
GAPS = (("warm-up of a gap", warm), ("proposals for a gap", infill))
CHECKS: dict[str, Sequence[tuple[str, Check]]] = {
    "continue": (("chat", chat(PLAIN, False)), ("completion", completion)),
    "aider": (("chat", chat(PLAIN, True, temperature=0)),),
    "cline": (("chat", chat(PARTS, True, temperature=0)), ("chat with tools", chat(PARTS, True, **WITH_TOOLS))),
    "opencode": (("chat with tools", chat(PLAIN, True, **WITH_TOOLS)),),
    "llama-vscode": (*GAPS, LIST, ("tokens", tokens), ("chat with tools", chat(PLAIN, False, **WITH_TOOLS))),
    "zed": (("chat with tools", chat(PARTS, True, "max_completion_tokens", parallel_tool_calls=True, **WITH_TOOLS)),),
    "codex": (LIST, ("response with tools", responses)),
    "claude": (("message with tools", messages), ("count of tokens", count_tokens)),
}
