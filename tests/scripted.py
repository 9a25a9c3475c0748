"""A server whose model writes what a test says, so that answers can hold what SmolLM2 never writes by itself."""

from __future__ import annotations

from typing import Any

from bitwright.engine import Sampler
from bitwright.model.replies import reply_format
from bitwright.server.generation import Settings
from bitwright.server.service import Service

SIGNS = "<think></think><tool_call>"  # of a template for reasoning and Hermes calls


class Script(Sampler):
    """Draws the ids of a text, whatever the logits are, then the token that ends it."""

    def __init__(self, ids: list[int]) -> None:
        super().__init__(0)
        self._ids = iter(ids)

    def __call__(self, logits: Any) -> int:
        return next(self._ids)


class Scripted(Service):
    """A service that answers every request with `script`."""

    script = ""

    def __init__(self, service: Service) -> None:
        super().__init__(service.engine, "scripted", parallel=2, cache=1 << 28)
        self.format = reply_format(SIGNS)

    def settings(self, *args: Any, **kwargs: Any) -> Settings:
        found = super().settings(*args, **kwargs)
        found.sampler = Script([*self.tokenizer.encode(self.script, False), min(self.tokenizer.end_of_generation)])
        return found


def call(name: str, arguments: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'
