"""A model that is ready to run: its configuration, its weights as they lie in the file, and the step they take."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bitwright import kernels
from bitwright.engine.session import Session
from bitwright.errors import FileFormatError, UnknownNameError, UsageError
from bitwright.io import gguf, hub
from bitwright.model import Config, build, load_weights

if TYPE_CHECKING:
    from bitwright.model.chat import ChatTemplate
    from bitwright.model.tokenizer import Tokenizer

DEFAULT_CONTEXT = 4096  # tokens, where the model was trained on more: a cache for all of them may not fit


class Model:
    """An opened model. Nothing runs until there is a `session`; the tokenizer is built when it is first asked for.

    `context` is the number of tokens a sequence may have, `kv` the format of their keys and values (kernels.KV),
    `activations` how inputs are rounded (kernels.ACTIVATIONS). Raises FileFormatError, UnsupportedError or
    BitwrightError where the file is not a model bitwright runs, UsageError where the context is larger than the model
    was trained on or there is no such cache or rounding.
    """

    def __init__(
        self,
        file: gguf.GGUF,
        context: int | None = None,
        threads: int | None = None,
        tier: str | None = None,
        kv: str = "f16",
        activations: str = "int8",
    ) -> None:
        self.file, self.threads = file, threads or kernels.usable_cores()
        self.forced_tier = tier
        if kv.lower() not in kernels.KV:
            raise UnknownNameError("key-value cache", kv, kernels.KV)
        if activations not in kernels.ACTIVATIONS:
            raise UnknownNameError("rounding of activations", activations, kernels.ACTIVATIONS)
        self.kv, self.activations = kv.lower(), activations
        self.config = Config.from_gguf(file)
        self.context = min(self.config.context, DEFAULT_CONTEXT) if context is None else context
        if not 1 <= self.context <= self.config.context:
            limit = f"{self.config.context} tokens (what the model was trained on)"
            raise UsageError(f"expected a context of 1 to {limit}, got {context}")
        if not file.tensors:
            raise FileFormatError(file.path, None, "the tensors of a model", "none, as in a file of a vocabulary alone")
        weights = load_weights(file)
        self.weights = weights.tensors
        self.step = build(self.config, weights)

    @property
    def path(self) -> Path:
        return self.file.path

    @property
    def tier(self) -> str:
        """The instruction set the kernels use."""
        return self.forced_tier or kernels.tier()

    @property
    def bytes_per_token(self) -> int:
        """Bytes of weights that decoding one token reads: every matrix that is multiplied by."""
        return sum(self.weights[op.weights[0]].nbytes for op in self.step.ops if op.kind == "linear")

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Text to ids and back; UnsupportedError where the file's vocabulary is of a kind bitwright does not read."""
        from bitwright.model.tokenizer import Tokenizer

        return Tokenizer.from_gguf(self.file)

    @cached_property
    def chat_template(self) -> ChatTemplate | None:
        """How the model wants a conversation written, or None where the file does not say."""
        from bitwright.model.chat import ChatTemplate

        return ChatTemplate.from_gguf(self.file)

    def session(self, sequences: int = 1) -> Session:
        """A key-value cache to run `sequences` independent texts in, each of up to `context` tokens."""
        return Session(self, sequences)


def load(
    ref: str | Path,
    context: int | None = None,
    threads: int | None = None,
    tier: str | None = None,
    kv: str = "f16",
    activations: str = "int8",
) -> Model:
    """Open a model: a path, `org/name[:QUANT]` on the Hugging Face hub, or an alias such as `smollm2-135m`.

    `context` is in tokens (default: what the model was trained on, at most 4096), `threads` defaults to this machine's
    cores, `tier` to its best instruction set. `kv` is the format of the key-value cache: f16, bf16, q8_0 (half of
    their size) or q4_0 (a quarter). `activations` "ggml" rounds the inputs of quantized weights as llama.cpp
    does: it loses more, and shows what the file will do there. Raises BitwrightError saying what is wrong with the
    file or the name.
    """
    return Model(gguf.open(hub.resolve(ref)), context, threads, tier, kv, activations)
