"""A model: its architecture, its tensors and its vocabulary. Nothing here runs; sessions of `engine` do."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitwright.errors import FileFormatError, UsageError
from bitwright.formats import QuantizedTensor
from bitwright.io import kinds
from bitwright.kernels import Step
from bitwright.model import Config, Weights, build
from bitwright.model.architectures.names import EXPERTS

if TYPE_CHECKING:
    from bitwright.io.gguf import GGUF
    from bitwright.model.chat import ChatTemplate
    from bitwright.model.tokenizer import Tokenizer
    from bitwright.progress import Progress


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """An architecture (`config`, and the `step` it computes) over `tensors` by name, with the `metadata` that hold its
    vocabulary. `path` names it in messages; `file` is the open file that tensors are read from, if there is one."""

    path: Path
    config: Config
    step: Step
    tensors: Mapping[str, QuantizedTensor]
    metadata: Mapping[str, Any]
    file: GGUF | None = None

    @classmethod
    def from_gguf(cls, file: GGUF) -> Model:
        """The model in an open file. The tokenizer is built on first use.

        Raises BitwrightError (UsageError, FileFormatError, UnsupportedError) if the file is no model bitwright runs.
        """
        kinds.check_model(file)
        config = Config.from_gguf(file)
        if not file.tensors:
            raise FileFormatError(file.path, None, "the tensors of a model", "none, as in a vocabulary file")
        tensors = Tensors(file)
        return cls(file.path, config, build(config, Weights(tensors, file.path)), tensors, file.metadata, file)

    def __repr__(self) -> str:
        size = f"{self.parameters / 1e6:,.1f} M weights, {self.file_bytes / 1e6:,.1f} MB"
        return f"<Model {self.path.name}: {self.config.architecture}, {size}>"

    @property
    def parameters(self) -> int:
        """Number of weights in all tensors."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors.values())

    @property
    def natural_context(self) -> int:
        """The most tokens for which nothing is given up: what the model was trained on, or for LongRoPE (Phi 3) its
        original context. For more, all of a text is rotated by other factors, with which short texts lose."""
        rope, trained = self.config.rope, self.config.context
        return min(trained, rope.original_context) if "rope_factors_long.weight" in self.tensors else trained

    def within(self, context: int) -> Model:
        """The same model for texts of up to `context` tokens. Only LongRoPE (Phi 3) makes a difference: llama.cpp, too,
        rotates a whole text by what its context may become."""
        is_long = context > self.natural_context
        if is_long == self.config.is_long:
            return self
        config = replace(self.config, is_long=is_long)
        return replace(self, config=config, step=build(config, Weights(self.tensors, self.path)))

    def with_tensors(self, tensors: Mapping[str, QuantizedTensor]) -> Model:
        """The same architecture and vocabulary over other tensors; UsageError if a name or a shape differs."""
        for name, own in self.tensors.items():
            got = tuple(tensors[name].shape) if name in tensors else "no such tensor"
            if got != tuple(own.shape):
                raise UsageError(f"{self.path}: expected a tensor {name} of shape {tuple(own.shape)}, got {got}")
        return replace(self, tensors=tensors)

    @property
    def bytes_per_token(self) -> int:
        """Bytes of weights that decoding one token reads: of every matrix in a product, and of the experts it uses."""
        c = self.config
        sizes = ((name, self.tensors[name].nbytes) for name in (op.weights[0] for op in self.step.ops if op.multiplies))
        return sum(size * c.experts_used // c.experts if EXPERTS in name else size for name, size in sizes)

    @property
    def format(self) -> str:
        """The format that most bytes of the matrices in products have."""
        sizes = Counter[str]()
        for tensor in (self.tensors[op.weights[0]] for op in self.step.ops if op.multiplies):
            sizes[tensor.format.name] += tensor.nbytes
        return max(sizes, key=sizes.__getitem__)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Text to ids and back; UnsupportedError if the vocabulary is of a kind bitwright does not read."""
        from bitwright.model.tokenizer import Tokenizer

        return Tokenizer.from_metadata(self.metadata)

    @cached_property
    def chat_template(self) -> ChatTemplate | None:
        """The template the model was trained with; None if the file has none."""
        from bitwright.model.chat import ChatTemplate

        return ChatTemplate.from_metadata(self.metadata)

    @property
    def file_bytes(self) -> int:
        """Bytes on disk, or of all tensors without a file."""
        return self.file.file_bytes if self.file is not None else sum(t.nbytes for t in self.tensors.values())

    @property
    def is_a_file(self) -> bool:
        """Whether the tensors are those of a GGUF file, as they lie there."""
        from bitwright.io.gguf import GGUF

        return type(self.file) is GGUF and isinstance(self.tensors, Tensors)

    def opened(self) -> GGUF:
        """The open file; UsageError without one."""
        if self.file is None:
            raise UsageError(f"{self.path}: expected a model from a file")
        return self.file

    def sha256(self, progress: Progress | None = None) -> str:
        """SHA-256 of the model's file, or of its tensors' bytes without a file."""
        if self.file is not None:
            return self.file.sha256(progress)
        import hashlib

        digest = hashlib.sha256()
        for name, tensor in sorted(self.tensors.items()):
            digest.update(f"{name} {tensor.shape} {tensor.format.name}".encode())
            digest.update(tensor.data.tobytes())
        return digest.hexdigest()

    def release(self) -> None:
        """Free the memory of the file's pages read so far; later reads fetch them again."""
        if self.file is not None:
            self.file.release()


class Tensors(Mapping[str, QuantizedTensor]):
    """The tensors of an open file, as views of it."""

    def __init__(self, file: GGUF) -> None:
        self.file, self._found = file, dict[str, QuantizedTensor]()

    def __getitem__(self, name: str) -> QuantizedTensor:
        if name not in self._found:
            if name not in self.file.tensors:
                raise KeyError(name)
            self._found[name] = self.file.tensor(name)
        return self._found[name]

    def __contains__(self, name: object) -> bool:
        return name in self.file.tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self.file.tensors)

    def __len__(self) -> int:
        return len(self.file.tensors)


def load(ref: str | Path) -> Model:
    """Open a model: a path, `org/name[:QUANT]` on the Hugging Face hub, or an alias such as `smollm2-135m`.

    Raises BitwrightError saying what is wrong with the file or the name.
    """
    from bitwright.model import files

    return Model.from_gguf(files.open(ref))
