"""Which of the files in a folder or a repository is the model that a user means."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence

from bitwright.errors import UsageError
from bitwright.io.gguf import FIRST_PART, PART
from bitwright.io.safetensors import INDEX, SUFFIX, weight_files

DEFAULT_QUANT = "Q4_K_M"

# A quantization in a file's name, m-Q4_K_M.gguf or m.UD-Q4_K_XL-00001-of-00002.gguf, or in a folder's, Q8_0/m.gguf.
_BEFORE, _AFTER = r"(?:^|[-._/])", r"(?:-\d{5}-of-\d{5})?\.gguf$"
_QUANT = r"((?:UD-)?(?:I?Q|TQ|BF|F|MXFP|NVFP)\d\w*)"
_LABELS = [re.compile(_BEFORE + _QUANT + after, re.IGNORECASE) for after in (_AFTER, "(?=/)")]
# What lies beside models: parts of them, and files made from or for them.
_NEVER = re.compile(_BEFORE + r"mmproj(?=[-._/])", re.IGNORECASE)
_BESIDE = re.compile(_BEFORE + r"(?:mmproj|lora|adapter|mtp|draft)(?=[-._/])", re.IGNORECASE)
_PICKLED = (".bin", ".pth", ".pt")  # weights that PyTorch pickled
_IMATRIX = re.compile(_BEFORE + r"imatrix(?=[-._/])", re.IGNORECASE)

# Of a checkpoint besides its weights: what it computes, its vocabulary, how to talk to it, and what is known of it.
CONFIG, ADAPTER = "config.json", "adapter_config.json"
_OF_CHECKPOINT = re.compile(
    r"(?:adapter_|generation_|tokenizer_)?config\.json|tokenizer\.(?:json|model)|added_tokens\.json|README\.md"
    rf"|chat_template\.(?:jinja|json)|additional_chat_templates/[^/]+\.jinja|{re.escape(INDEX)}"
)

Ask = Callable[[str, Sequence[str]], str]
ask: Ask | None = None  # asks the user which of the files in a place is meant; None: nobody is there to answer
_answers: dict[tuple[str, ...], str] = {}


def is_gguf(file: str) -> bool:
    """Whether a file's name is that of a GGUF file."""
    return file.lower().endswith(".gguf")


def is_checkpoint(files: Collection[str]) -> bool:
    """Whether these files are those of a checkpoint: its weights, and what it, or an adapter of one, computes."""
    return bool(weight_files(files)) and (CONFIG in files or ADAPTER in files)


def checkpoint(files: Iterable[str]) -> list[str]:
    """The files of a checkpoint that bitwright reads, the weights last."""
    files = list(files)
    return [file for file in files if _OF_CHECKPOINT.fullmatch(file)] + weight_files(files)


def in_checkpoint(file: str) -> bool:
    """Whether a file's name is that of a part of a checkpoint, for which its folder stands."""
    return file.endswith((SUFFIX, INDEX)) or file == CONFIG


def models(files: Iterable[str], place: str) -> list[str]:
    """The models among `files`, by their names: of a split set the first part; no projector, adapter, statistics or
    layers that predict further tokens, unless all are called so. UsageError if there is none."""
    files = list(files)
    found = [file for file in sorted(files) if is_gguf(file) and (not PART.search(file) or FIRST_PART.search(file))]
    if not found:
        pickled = next((file for file in sorted(files) if file.endswith(_PICKLED) and "/" not in file), None)
        other = f"; {pickled} is a pickle, which may run code: save the model as safetensors" if pickled else ""
        raise UsageError(f"{place} holds no .gguf file and no checkpoint ({CONFIG} and *{SUFFIX}){other}")
    able = [file for file in found if not _NEVER.search(file) and (label(file) or not _IMATRIX.search(file))]
    if not able:
        raise UsageError(f"{place} holds no model, only {', '.join(found)}")
    return [file for file in able if not _BESIDE.search(file)] or able


def choose(files: Iterable[str], quant: str | None, place: str) -> str:
    """The model of quantization `quant`; without one, the only model, else the one of DEFAULT_QUANT, else what the
    user answers. UsageError lists the models if none is meant or nobody can answer."""
    found = models(files, place)
    matching = _of(found, quant or DEFAULT_QUANT)
    if quant and not matching:
        raise UsageError(f"{place} has no {quant}; it has {labels(found)}")
    return among(matching or found, place, " (:QUANT or /FILE behind the repository)")


def among(files: Sequence[str], place: str, how: str = "") -> str:
    """The one file, or the one that the user chooses, once for all. how: to name one."""
    if len(files) == 1:
        return files[0]
    key = (place, *files)
    if key not in _answers:
        if ask is None:
            raise UsageError(f"{place} holds {len(files)} models; name one{how}: {', '.join(files)}")
        _answers[key] = ask(place, files)
    return _answers[key]


def label(file: str) -> str | None:
    """The quantization that a file's name or folder gives."""
    return next((match[1] for pattern in _LABELS if (match := pattern.search(file))), None)


def labels(files: Iterable[str]) -> str:
    """The quantizations of files in a sentence; the names of those that have none."""
    found = sorted(file for file in files if is_gguf(file))
    return ", ".join(dict.fromkeys(label(file) or file for file in found)) or "no .gguf file"


def _of(files: Sequence[str], quant: str) -> list[str]:
    """The files of a quantization: those labelled so, else those whose name ends so (UD-Q4_K_M for Q4_K_M)."""
    ends = re.compile(_BEFORE + re.escape(quant) + _AFTER, re.IGNORECASE)
    exact = [file for file in files if (label(file) or "").casefold() == quant.casefold()]
    return exact or [file for file in files if ends.search(file)]
