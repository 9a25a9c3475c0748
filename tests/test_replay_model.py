"""The model that says what it shall, with which editors and agents are tried (benchmarks/serve_clients.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from test_benchmarks import run

import bitwright as bw


def test_a_replay_model_says_what_it_shall(smollm2: Path, tmp_path: Path) -> None:
    call, text = '<tool_call>\n{"name": "write", "arguments": {}}\n</tool_call>', "The file is written, as you asked."
    for name, own in (("call", call), ("text", text)):
        (tmp_path / name).write_text(own)
    target = tmp_path / "replay.gguf"
    run("replay_model.py", smollm2, target, "--call", tmp_path / "call", "--text", tmp_path / "text")
    engine = bw.load(target, context=512)

    def said(*results: str, **more: Any) -> str:
        messages = [{"role": "user", "content": "Hi"}, *({"role": "tool", "content": own} for own in results)]
        ids = engine.chat_template.encode(engine.tokenizer, messages, **more)
        return engine.tokenizer.decode(list(bw.generate(engine.session(), ids, max_tokens=30)))

    tools = [{"type": "function", "function": {"name": "write", "parameters": {}}}]
    assert said() == said("Written", tools=tools) == text
    assert said(tools=tools) == call
