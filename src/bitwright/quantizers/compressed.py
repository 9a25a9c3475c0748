"""Quantize a checkpoint into one that vLLM reads, in a layout of compressed-tensors (compressed_layouts.py)."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright import formats
from bitwright.calibration import ActivationStatistics
from bitwright.errors import UnsupportedError, UsageError
from bitwright.formats import Format
from bitwright.io import atomic, inputs, json_text, safetensors_write
from bitwright.io.hub_choice import CONFIG
from bitwright.io.safetensors import INDEX, SUFFIX, HeaderEntry
from bitwright.model import files
from bitwright.model.architectures.checkpoint import FLOATS
from bitwright.model.conversion.card import CARD
from bitwright.model.conversion.checkpoint import Checkpoint
from bitwright.model.conversion.quantized import METHODS
from bitwright.progress import Progress
from bitwright.quantizers import caveats, compressed_layouts
from bitwright.quantizers.compressed_layouts import Layout
from bitwright.quantizers.file import QuantizeResult, bits_per_weight, fitted, nothing, streamed
from bitwright.quantizers.quantizer import EFFORT, Quantizer
from bitwright.recipes import Assignment
from bitwright.recipes.roles import is_quantized

Matrices = Mapping[str, tuple[Sequence[str], Assignment]]
LARGEST = 1 << 26  # bytes of a file beside the weights that is copied
AS_PUBLISHED = {"gpt-oss": ["the published checkpoint: vLLM reads these experts in MXFP4"]}
WEIGHTS = (SUFFIX, ".gguf", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx")
FLOATS_IN = ("linear_attn.", "mtp.")  # parts that stay in floats, as llm-compressor leaves them
NOT_IN_FLOAT16 = ("gemma3", "gemma3_text")  # activations of these exceed its range


@inputs.protected()
def quantize_for_vllm(
    source: str | Path,
    name: str,
    folder: str | Path,
    threads: int | None = None,
    progress: Progress | None = None,
    stats: str | Path | ActivationStatistics | None = None,
    method: str | None = None,
    effort: int = EFFORT,
    lora: str | Path | None = None,
) -> QuantizeResult:
    """Write the checkpoint `source` to a new or empty folder, the matrices of its layers in the format `name`.

    Everything else stays as it is stored. In q4_0 and q8_0, whose scales are float16, the model computes in float16.
    Arguments: see `quantizers.quantize`. config.json is written last, so that a folder is whole or no checkpoint.

    Raises UnsupportedError for a format or a model that the layout or float16 cannot hold, UsageError if `source` is no
    checkpoint or the folder is not empty, and what `quantizers.quantize` raises.
    """
    started, target = time.monotonic(), Path(folder)
    if (found := compressed_layouts.of(name)) is None:
        raise UnsupportedError("the layout of vLLM's checkpoints in format", name, compressed_layouts.names())
    format, layout = found
    model = files.open(source, lora)
    if not isinstance(model, Checkpoint):
        raise UsageError(f"{source}: expected a checkpoint, a folder with {CONFIG}: vLLM reads its other files too")
    config = json_text.read(model.folder / CONFIG)
    if layout.in_float16 and (kind := str(config.get("model_type"))) in NOT_IN_FLOAT16:
        raise UnsupportedError(f"{model.folder}: float16, as scales are stored, for model_type", kind, ["others"])
    matrices = _matrices(model, format)
    quantizer = Quantizer(method, effort, fitted(stats, model), threads)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target}: expected a new or empty folder")
    target.mkdir(parents=True, exist_ok=True)
    arrays = _arrays(model, matrices, quantizer, layout, progress)
    size = safetensors_write.write(target / f"model{SUFFIX}", _entries(model, matrices, layout), arrays)
    size += _copy_others(model.folder, target)
    kept = _kept(model, matrices)
    ignored = [own.removesuffix(".weight") for own in kept if len(model.weights.shape(own)) == 2]
    ignored += ["re:mtp.*"] if any(own.startswith("mtp.") for own in kept) else []
    config |= {"quantization_config": _settings(layout, ignored)}
    if layout.in_float16:
        config |= {"torch_dtype": "float16"} | ({"dtype": "float16"} if "dtype" in config else {})
    with atomic.replacing(target / CONFIG) as file:
        size += file.write(json.dumps(config, indent=2, ensure_ascii=False).encode())
    made = {name: assignment for name, (_, assignment) in matrices.items()}
    assignments = [made.get(t.name) or Assignment(t.name, t.format, t.nbytes) for t in model.tensors.values()]
    changed = [(model.tensors[name], a) for name, a in made.items()]
    return QuantizeResult(
        output=target,
        bytes=size,
        source_bytes=model.file_bytes,
        bits_per_weight=bits_per_weight(model.tensors.values(), assignments),
        assignments=assignments,
        methods=[quantizer.method_of(model.tensors[a.tensor], a.format) for a in assignments],
        seconds=time.monotonic() - started,
        warnings=[
            *caveats.quantized_source(changed, model.stored_as),
            *caveats.not_covered(quantizer, changed),
            *caveats.without_importance(quantizer, changed),
            *caveats.without_feedback(quantizer, changed),
        ],
    )


def _matrices(model: Checkpoint, format: Format) -> Matrices:
    """The tensors of the layers that are quantized, and for each the names of its matrices in the checkpoint that is
    written: the source's, or where that has one tensor for all experts, those by which vLLM reads each."""
    multiple, architecture = format.block_size or 8, str(model.metadata["general.architecture"])
    if model.left_out:
        raise UnsupportedError(f"{model.folder}: for vLLM, a model with", model.left_out[0], ["language models"])
    found: dict[str, tuple[Sequence[str], Assignment]] = {}
    for name, info in model.tensors.items():
        if not name.startswith("blk.") or not is_quantized(name, info.shape, architecture):
            continue
        owns = model.names.get(name, ())
        if any(part in own for own in owns for part in FLOATS_IN):
            continue
        if len(info.shape) == 3 and len(owns) == 1 and architecture in AS_PUBLISHED:
            what = f"{model.folder}: for vLLM, the experts of"
            raise UnsupportedError(what, architecture, AS_PUBLISHED[architecture])
        alike = all(model.weights.shape(own) == info.shape[-2:] for own in owns)
        if not alike or len(owns) != math.prod(info.shape[:-2]):
            owns = model.each(name)
        if not owns:
            raise UnsupportedError(f"{model.folder}: for vLLM, a matrix like", name, ["matrices of their own"])
        if info.shape[-1] % multiple:
            raise UsageError(f"{model.folder}: {name} has {info.shape[-1]} columns, no multiple of {multiple}")
        found[name] = owns, Assignment(name, format, format.stored_bytes(info.shape))
    return found


def _entries(model: Checkpoint, matrices: Matrices, layout: Layout) -> list[HeaderEntry]:
    """The tensors of the file, in the order of `_arrays`."""
    types = {formats.get(name).name: dtype for dtype, name in FLOATS.items()}
    kept = [HeaderEntry(own, types[model.weights.format(own).name], model.weights.shape(own))
            for own in _kept(model, matrices)]  # fmt: skip
    made = ((own, math.prod(shape[:-1]) // len(owns), shape[-1]) for name, (owns, _) in matrices.items()
            for shape in [model.tensors[name].shape] for own in owns)  # fmt: skip
    return kept + [HeaderEntry(own + end, dtype, shape) for own, rows, columns in made
                   for end, dtype, shape in layout.parts(rows, columns)]  # fmt: skip


def _arrays(
    model: Checkpoint, matrices: Matrices, quantizer: Quantizer, layout: Layout, progress: Progress | None
) -> Iterator[NDArray[Any]]:
    for own in _kept(model, matrices):
        yield model.weights.read(own)
    assignments = [assignment for _, assignment in matrices.values()]
    for name, shape, format, data in streamed(model, assignments, quantizer, progress, nothing):
        owns, rows = matrices[name][0], data().reshape(-1, format.row_bytes(shape[-1]))
        order = np.arange(len(rows) // len(owns)) if model.each(name) else model.order(name)
        for matrix in np.split(rows, len(owns)):
            ordered = np.empty_like(matrix)
            ordered[order] = matrix  # as the checkpoint has them
            yield from compressed_layouts.stored(format, layout, ordered, shape[-1])


def _kept(model: Checkpoint, matrices: Matrices) -> list[str]:
    """The checkpoint's names of what stays as it is."""
    return sorted(model.weights.names - {own for name in matrices for own in model.names[name]})


def _settings(layout: Layout, ignored: list[str]) -> dict[str, Any]:
    """`quantization_config` of config.json."""
    group = {"targets": ["Linear"], "weights": layout.weights, "input_activations": layout.activations,
             "output_activations": None}  # fmt: skip
    return {"quant_method": METHODS[1], "format": layout.kind, "quantization_status": "compressed",
            "config_groups": {"group_0": group}, "ignore": ignored, "kv_cache_scheme": None}  # fmt: skip


def _copy_others(source: Path, target: Path) -> int:
    """Copies tokenizer, chat template and whatever else lies beside the weights; returns the bytes."""
    size = 0
    for path in sorted(source.iterdir()):
        other = not path.name.endswith(WEIGHTS) and path.name not in (CONFIG, INDEX, CARD)
        if other and path.is_file() and path.stat().st_size <= LARGEST:
            with atomic.replacing(target / path.name) as file:
                size += file.write(path.read_bytes())
    return size
