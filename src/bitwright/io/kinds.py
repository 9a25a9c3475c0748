"""What a GGUF file is if it is not a language model, and what to do with it."""

from __future__ import annotations

from bitwright.errors import FileFormatError, UsageError
from bitwright.io.gguf import GGUF
from bitwright.io.gguf_metadata import Metadata

# By general.type (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md)
OTHERS = {
    "adapter": "an adapter (LoRA), not a model: merge it into its base model (llama-export-lora) and give the result",
    "imatrix": "activation statistics, not a model: bitwright quantize takes them as --stats",
    "mmproj": "the projector of a model that sees or hears, not a language model: give the model that lies beside it",
    "clip": "an image encoder, not a language model: give the model that lies beside it",
}


def other_kind(metadata: Metadata) -> str | None:
    """The key in OTHERS of a file that is no language model; None for a model, or if the file does not say."""
    found = metadata.get("general.type"), metadata.get("general.architecture")
    return next((kind for kind in found if isinstance(kind, str) and kind in OTHERS), None)


def check_model(file: GGUF) -> None:
    """Raise UsageError if a file is something else than a language model, FileFormatError if it is one without
    layers."""
    if (kind := other_kind(file.metadata)) is not None:
        raise UsageError(f"{file.path} is {OTHERS[kind]}")
    if "token_embd.weight" in file.tensors and not any(name.startswith("blk.") for name in file.tensors):
        raise FileFormatError(file.path, None, "the layers of a model (tensors named blk.0. and so on)", "none")
