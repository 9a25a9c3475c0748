"""A model and its run options; opens sessions."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitwright import kernels
from bitwright.engine.session import Session
from bitwright.errors import UnknownNameError, UsageError
from bitwright.kernels import Program
from bitwright.kernels.backend import Backend, Cpu
from bitwright.model.model import Model
from bitwright.model.model import load as load_model

if TYPE_CHECKING:
    from bitwright.io.packed import PackedFile
    from bitwright.model import Config
    from bitwright.model.chat import ChatTemplate
    from bitwright.model.tokenizer import Tokenizer

DEFAULT_CONTEXT = 4096  # tokens, if the model was trained on more: the same on every machine (hardware.room chooses)


@dataclass(frozen=True)
class RunOptions:
    """How a model is run.

    `context` is the number of tokens a sequence may have (default: the model's own, at most 4096).
    `threads` defaults to the fast cores this process may use (kernels.best_threads), `tier` to this machine's best
    instruction set. `kv` is the format of keys and values (kernels.KV), `activations` how the inputs of quantized
    weights are rounded (kernels.ACTIVATIONS). `cache_packed` keeps packed weights in a file of the cache (io.packed),
    for models of GGUF files. `room` is the most bytes that the texts of a session may take together (default: no
    limit); one of them may always fill the context.
    """

    context: int | None = None
    threads: int | None = None
    tier: str | None = None
    kv: str = "f16"
    activations: str = "int8"
    cache_packed: bool = False
    room: int | None = None


class Engine:
    """Opens sessions of a model. Those that are open at the same time share one program and its packed weights.

    Raises UsageError if the context is larger than the model was trained on, UnknownNameError for an unknown cache
    format or rounding.
    """

    def __init__(self, model: Model, options: RunOptions | None = None) -> None:
        options = options or RunOptions()
        if options.kv.lower() not in kernels.KV:
            raise UnknownNameError("key-value cache", options.kv, kernels.KV)
        if options.activations not in kernels.ACTIVATIONS:
            raise UnknownNameError("rounding of activations", options.activations, kernels.ACTIVATIONS)
        trained = model.config.context
        context = min(trained, DEFAULT_CONTEXT) if options.context is None else options.context
        if not 1 <= context <= trained:
            limit = f"{trained} tokens (what the model was trained on)"
            raise UsageError(f"expected a context of 1 to {limit}, got {context}")
        threads = kernels.best_threads() if options.threads is None else options.threads
        self.model = model.within(context)
        self.options = replace(options, context=context, threads=threads, kv=options.kv.lower())
        self.context, self.threads = context, threads
        self.backend: Backend = Cpu(options.tier, threads)
        self._program: weakref.ref[Program] | None = None

    def __repr__(self) -> str:
        threads = f"{self.threads} thread{'s' * (self.threads != 1)}"
        options = f"context {self.context}, {threads}, {self.tier}, {self.options.kv} cache"
        return f"<Engine {self.path.name}: {self.config.architecture}, {options}>"

    @property
    def path(self) -> Path:
        """The name of the model in messages."""
        return self.model.path

    @property
    def config(self) -> Config:
        """The model's architecture."""
        return self.model.config

    @property
    def weights(self) -> int:
        """Bytes of the weights that products read, as they are packed."""
        names = {op.weights[0] for op in self.model.step.ops if op.multiplies}
        tensors = (self.model.tensors[name] for name in names)
        return sum(kernels.packed_bytes(tensor.format, tensor.shape, self.tier) for tensor in tensors)

    @property
    def tokenizer(self) -> Tokenizer:
        """Text to ids and back."""
        return self.model.tokenizer

    @property
    def chat_template(self) -> ChatTemplate | None:
        """The template the model was trained with; None if the file has none."""
        return self.model.chat_template

    @property
    def tier(self) -> str:
        """The instruction set the kernels use."""
        return self.backend.name

    def replace(self, **options: Any) -> Engine:
        """The same model with other options: fields of RunOptions."""
        return Engine(self.model, replace(self.options, **options))

    def program(self) -> Program:
        """The compiled step over packed weights. It lives as long as someone holds it; sessions do."""
        program = None if self._program is None else self._program()
        if program is None:
            bank, activations = self.backend.bank(self._store()), self.options.activations
            program = self.backend.compile(self.model.step, self.model.tensors, bank, activations)
            self._program = weakref.ref(program)
            self.model.release()  # the bank has packed the matrices
        return program

    def _store(self) -> PackedFile | None:
        if not self.options.cache_packed:
            return None
        from bitwright.io.packed import PackedFile

        if not self.model.is_a_file:
            raise UsageError(f"{self.path}: only the packed weights of a GGUF file can be cached; convert it first")
        return PackedFile(self.model.opened().paths, self.tier)

    def session(self, sequences: int = 1) -> Session:
        """Memory for `sequences` independent texts, each of up to `context` tokens, with the model to run over it."""
        return Session(self, sequences)


def load(
    ref: str | Path,
    context: int | None = None,
    threads: int | None = None,
    tier: str | None = None,
    kv: str = "f16",
    activations: str = "int8",
    cache_packed: bool = False,
) -> Engine:
    """Open a model to run it: a path, `org/name[:QUANT]` on the Hugging Face hub, or an alias such as `smollm2-135m`.

    `context` is in tokens (default: the model's own, at most 4096), `threads` defaults to this machine's
    fast cores, `tier` to its best instruction set. `kv` is the format of the key-value cache: f16, bf16, q8_0 (half of
    their size) or q4_0 (a quarter). `activations` "ggml" rounds the inputs of quantized weights as llama.cpp
    does: that loses more, and shows what the file will do in llama.cpp. `cache_packed` keeps packed weights in a file
    of the cache, from which a model opens faster, and runs if memory does not hold it. Raises BitwrightError saying
    what is wrong with the file or the name.
    """
    return Engine(load_model(ref), RunOptions(context, threads, tier, kv, activations, cache_packed))
