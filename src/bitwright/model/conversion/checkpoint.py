"""A checkpoint, opened as if it were the GGUF file that it becomes. A tensor is converted when it is asked for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from bitwright import formats
from bitwright.errors import BitwrightError, FileFormatError, UnknownNameError, UnsupportedError
from bitwright.formats import QuantizedTensor
from bitwright.io import gguf, json_text
from bitwright.io.gguf import GGUF, Metadata, TensorInfo, Typed
from bitwright.io.gguf_parse import parse
from bitwright.io.gguf_write import QUANTIZATION_VERSION, VERSION
from bitwright.io.hub_choice import ADAPTER, CONFIG
from bitwright.model.architectures.blueprint import FLOAT32, Blueprint
from bitwright.model.architectures.families import blueprint
from bitwright.model.conversion import card, vocabulary
from bitwright.model.conversion.families import FAMILIES
from bitwright.model.conversion.families.family import Change, Family, stem
from bitwright.model.conversion.lora import Merged
from bitwright.model.conversion.stored import Weights

# general.file_type by the format of most weights
FILE_TYPES = {"float32": 0, "float16": 1, "bfloat16": 32, "mxfp4": 38}


class Checkpoint(GGUF):
    """A folder of config.json, safetensors and tokenizer files. `path` is the folder, `paths` are all files read.

    Tensors are those of the GGUF file, by its names: matrices keep their precision, vectors are float32. Most are views
    of the mapped files; one whose values differ is made when it is asked for, and forgotten with its last user. folder:
    where config.json lies. weights: as they are stored. names: of those that a tensor is made of, by GGUF's names.
    """

    def __init__(self, folder: Path, lora: Path | None = None) -> None:
        """lora: the folder of an adapter, which is merged into the weights; `path` is that one then."""
        self.folder, config = folder, _config(folder)
        made, family = _blueprint(config, folder)
        where = folder, made.values
        self.weights = Merged(*where, lora, family.apart) if lora else Weights(*where, family.apart)
        if family.predicting:
            key, end = family.predicting
            further = sum(name.endswith(end) for name in self.weights.names)
            if further != made.values.integer(key, 0):  # those who train a model further often leave them out
                made, family = _blueprint(_with(config, key, further), folder)
        self.names = family.names(made, self.weights.names)
        self._given = family.made(made)
        self._family, self._blueprint, self.stored_as = family, made, self.weights.stored_as
        there = [t for t in made.tensors if t.name in self.names or t.name in self._given]
        tensors = {t.name: self._info(t.name, t.shape, t.format is FLOAT32) for t in there}
        _check_all_used(folder, self.weights.names, self.names, family)
        self.left_out = tuple(sorted(name for name in self.weights.names if name.startswith(family.aside)))
        size = made.values.integer("vocab_size", low=1)
        tokenizer, read = vocabulary.metadata(folder, size, family.roles, family.by_characters, family.pre)
        about, told = card.metadata(folder, lora or folder)
        values = about | made.metadata | _stored_as(tensors) | tokenizer
        paths = [*self.weights.paths, folder / CONFIG, *read, *told]
        super().__init__(lora or folder, paths, self.weights.buffers, VERSION, tensors, _as_metadata(values, folder))
        self._made: WeakValueDictionary[str, NDArray[Any]] = WeakValueDictionary()

    @property
    def called(self) -> str:
        """The folder's name; in the hub's cache, where that is a commit, the repository's."""
        return card.name_of(self.path)

    def tensor(self, name: str) -> QuantizedTensor:
        """A tensor in the form of GGUF, a read-only view of the mapped file wherever it has that form there."""
        if name not in self.tensors:
            raise UnknownNameError("tensor", name, self.tensors)
        if name in self._given or not self._is_in_file(name):
            info, values = self.tensors[name], self._made.get(name)
            if values is None:
                values = self._made[name] = self._converted(name)
            return QuantizedTensor(name, info.shape, info.format, values.view(np.uint8))
        return super().tensor(name)

    def _converted(self, name: str) -> NDArray[Any]:
        """The values of a tensor whose bytes differ from the file's, float32 or in the file's precision."""
        if name in self._given:
            return self._given[name]
        own, *others = self.names[name]
        values, change = self.weights.read(own), self._change(name)
        if others:
            return self._stacked(values, others)
        if self.tensors[name].format is FLOAT32:
            values = self.weights.format(own).dequantize(values.view(np.uint8))
        made = change(values) if change else values
        return made if made.flags.owndata and made.flags.c_contiguous else np.array(made, order="C")

    def _stacked(self, first: NDArray[Any], others: Sequence[str]) -> NDArray[Any]:
        """The tensor of an expert and those of the others, read one at a time."""
        made = np.empty((1 + len(others), *first.shape), first.dtype)
        made[0] = first
        for expert, own in enumerate(others, 1):
            made[expert] = self.weights.read(own)
        return made

    def order(self, name: str) -> NDArray[np.intp]:
        """For each row of a matrix, or of each that a tensor is made of, which row of the checkpoint's it is.
        UnsupportedError if it is more than those in another order."""
        shape, parts = self.tensors[name].shape, len(self.names[name])
        rows = math.prod(shape[:-1]) // parts if parts > 1 else shape[-2]
        before = np.arange(2 * rows).reshape(2, rows).T.astype(np.float32)
        change = self._change(name)
        try:
            after = np.asarray(change(before) if change else before, np.intp)
        except ValueError:  # it has other rows, or no order of whole ones
            after = np.empty(0, np.intp)
        if after.shape != before.shape or (after[:, 1] - after[:, 0] != rows).any():
            raise UnsupportedError(f"{self.folder}: taking back the conversion of", name, ["other orders of rows"])
        return after[:, 0]

    def each(self, name: str) -> tuple[str, ...]:
        """The checkpoint's names of an expert's matrices in a tensor, where each has its own; none if no program reads
        them so."""
        if name.split(".", 2)[-1] not in self._family.each:
            return ()
        return self._family.in_turn().names(self._blueprint, self.weights.names)[name]

    def _change(self, name: str) -> Change | None:
        """None for a tensor that is made of several: nothing is done to experts of their own."""
        return None if len(self.names[name]) > 1 else self._family.change(self._blueprint, stem(name))

    def _is_in_file(self, name: str) -> bool:
        """Whether the bytes of a tensor are those of the file."""
        own, *others = self.names[name]
        as_stored = self.weights.format(own) is self.tensors[name].format and not others
        return self.weights.place(own) is not None and as_stored and not self._change(name)

    def _info(self, name: str, shape: tuple[int, ...], is_vector: bool) -> TensorInfo:
        """The description of a tensor of GGUF, checked against the checkpoint's."""
        if name in self._given:
            return TensorInfo(name, shape, FLOAT32, 0, self._given[name].nbytes)
        names, weights = self.names[name], self.weights
        first, each = names[0], self._family.stored(self._blueprint, stem(name), shape)
        if len(names) > 1:
            each = (shape[0] * shape[1] // len(names), *shape[2:])
        for own in names:
            if own not in weights.names:
                raise FileFormatError(self._blueprint.values.place, None, f"a tensor {own} of shape {each}", "none")
            if (found := weights.shape(own)) != each:
                raise FileFormatError(weights.path(own), None, f"tensor {own} to have shape {each}", f"{found}")
            if (other := weights.format(own)) is not weights.format(first):
                expected = f"tensor {own} to be {weights.format(first).name}, as {first} is"
                raise FileFormatError(weights.path(own), None, expected, other.name)
        format, place = FLOAT32 if is_vector else weights.format(first), weights.place(first)
        offset, part = (place.offset, place.part) if place else (0, 0)
        return TensorInfo(name, shape, format, offset, format.stored_bytes(shape), part)


def _config(folder: Path) -> dict[str, Any]:
    if not (folder / CONFIG).is_file():
        what = "a LoRA adapter" if (folder / ADAPTER).is_file() else "none"
        raise FileFormatError(folder, None, f"a checkpoint with a {CONFIG}", what)
    return json_text.read(folder / CONFIG)


def _blueprint(config: Mapping[str, Any], folder: Path) -> tuple[Blueprint, Family]:
    """The GGUF file that a config.json becomes, and how. UnsupportedError if bitwright does not convert it."""
    place = folder / CONFIG
    if (kind := str(config.get("model_type"))) not in FAMILIES:
        raise UnsupportedError(f"{place}: converting model_type", kind, FAMILIES)
    made = blueprint(config, place, formats.get("bf16"))
    FAMILIES[kind].check_config(made)
    return made, FAMILIES[kind]


def _with(config: Mapping[str, Any], key: str, value: object) -> dict[str, Any]:
    """config.json with another value, in its part for text too if it has one."""
    language = config.get("text_config")
    text = {"text_config": {**language, key: value}} if isinstance(language, Mapping) else {}
    return {**config, key: value, **text}


def _check_all_used(folder: Path, there: Collection[str], names: Mapping[str, tuple[str, ...]], family: Family) -> None:
    """BitwrightError if the checkpoint holds tensors that the model does not use: it would run as a different one."""
    tied, used = "output.weight" not in names, {name for own in names.values() for name in own}
    left = sorted(n for n in there if n not in used and not family.left_out(n, tied))
    if left:
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        raise BitwrightError(f"{folder}: {CONFIG} describes a model without the tensors {', '.join(left[:3])}{more}")


def _stored_as(tensors: Mapping[str, TensorInfo]) -> dict[str, Any]:
    """What kind of file it becomes, by most of its weights."""
    counts = Counter[str]()
    for tensor in tensors.values():
        counts[tensor.format.name] += math.prod(tensor.shape)
    most = counts.most_common(1)[0][0]
    return {
        "general.file_type": Typed(FILE_TYPES[most], "uint32"),
        "general.quantization_version": Typed(QUANTIZATION_VERSION, "uint32"),
    }


def _as_metadata(values: Mapping[str, Any], folder: Path) -> Metadata:
    """The values as a GGUF file would hold them."""
    header = b"".join(gguf.layout(values, ()).header)
    return Metadata(header, folder, parse(header, folder).values)
