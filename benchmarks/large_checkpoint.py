"""How much memory a large checkpoint takes to convert or quantize, and how often its bytes are read.

    python benchmarks/large_checkpoint.py mistral-7b FOLDER --like CHECKPOINT --to q8_0

writes a checkpoint of a published shape (an id of `bitwright plan --shape`) into FOLDER, unless it is there, with
random weights in bfloat16, or with --fp8 in FP8 with scales of blocks, and takes tokenizer files from CHECKPOINT, a
small one of the same family. Then it quantizes the checkpoint in a process of its own, with none of its pages in
memory, and prints the most memory that this held and the bytes that it read from disk. For Linux. With --values 4096
the weights repeat so soon that a file system that compresses keeps them, and the result, in a small part of their size;
the bytes read from disk are then those of the compressed file.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright import formats
from bitwright.io import safetensors_write
from bitwright.io.safetensors import INDEX, HeaderEntry
from bitwright.model.architectures import published
from bitwright.model.architectures.families import blueprint
from bitwright.model.conversion.families import FAMILIES

PART = 4 << 30  # bytes of weights in a file
BLOCK = 128  # of FP8's scales
SCRIPT = """
import re, sys
from bitwright.quantizers import quantize
result = quantize(sys.argv[1], sys.argv[2], sys.argv[3])
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) << 10
read = int(re.search(r"read_bytes: (\\d+)", open("/proc/self/io").read())[1])
print(peak, read, result.source_bytes, result.bytes)
"""


def write(folder: Path, config: dict[str, Any], fp8: bool, values: int) -> None:
    """Writes config.json and the weights, which repeat so many random values."""
    made = blueprint(config, "config.json", formats.get("bf16"))
    family = FAMILIES[config["model_type"]]
    rng = np.random.default_rng(1)
    drawn = (rng.standard_normal(values, np.float32).view(np.uint32) >> 16).astype(np.uint16)
    codes = rng.integers(0, 0x78, values, np.uint8)  # positive numbers of E4M3
    entries: list[HeaderEntry] = []
    shapes = {tensor.name: tensor.shape for tensor in made.tensors}
    for tensor, names in family.names(made, {"model.embed_tokens.weight"}).items():
        shape = shapes[tensor][len(shapes[tensor]) - 2 :] if len(names) > 1 else shapes[tensor]
        quantized = fp8 and "layers" in names[0] and len(shape) == 2
        for own in names:
            entries.append(HeaderEntry(own, "F8_E4M3" if quantized else "BF16", shape))
            if quantized:
                grid = tuple(math.ceil(n / BLOCK) for n in shape)
                entries.append(HeaderEntry(f"{own}_scale_inv", "F32", grid))
    parts: list[list[HeaderEntry]] = [[]]
    size = 0
    for entry in entries:
        bytes_ = math.prod(entry.shape) * (1 if entry.dtype == "F8_E4M3" else 2)
        if size and size + bytes_ > PART:
            parts.append([])
            size = 0
        size += bytes_
        parts[-1].append(entry)

    def arrays(part: list[HeaderEntry]) -> Iterator[NDArray[Any]]:
        for entry in part:
            if entry.dtype == "F32":
                yield np.full(entry.shape, 2**-9, np.float32)
            else:
                yield np.resize(codes if entry.dtype == "F8_E4M3" else drawn, entry.shape)

    places = {}
    for number, part in enumerate(parts, 1):
        file = f"model-{number:05}-of-{len(parts):05}.safetensors"
        safetensors_write.write(folder / file, part, arrays(part))
        places |= dict.fromkeys((entry.name for entry in part), file)
    (folder / INDEX).write_text(json.dumps({"weight_map": places}))
    if fp8:
        config = config | {"quantization_config": {"quant_method": "fp8", "weight_block_size": [BLOCK, BLOCK]}}
    (folder / "config.json").write_text(json.dumps(config))


def measured(folder: Path, to: str, out: Path) -> str:
    """Quantizes the checkpoint, with none of it in the page cache, and says what that took."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    started = time.monotonic()
    told = subprocess.run([sys.executable, "-c", SCRIPT, folder, to, out], check=True, capture_output=True, text=True)
    peak, read, source, written = map(int, told.stdout.split())
    return (f"{folder.name} to {to}: {source / 1e9:.2f} GB in, {written / 1e9:.2f} GB out, peak memory "
            f"{peak / 2**30:.2f} GiB, {read / source:.3f} of the source read from disk, "
            f"{time.monotonic() - started:.0f} s")  # fmt: skip


def main() -> None:
    """Write the checkpoint, if it is not there, and print what quantizing it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--like", type=Path, required=True)
    parser.add_argument("--to", default="q4_k_m")
    parser.add_argument("--fp8", action="store_true")
    parser.add_argument("--layers", type=int, help="fewer layers than the published model has")
    parser.add_argument("--values", type=int, default=1 << 24, help="random values that are drawn and repeated")
    asked = parser.parse_args()
    if not (asked.folder / "config.json").exists():
        asked.folder.mkdir(exist_ok=True)
        for path in asked.like.iterdir():
            if not path.name.startswith(("model", "config")):
                shutil.copy(path, asked.folder)
        config = {"rms_norm_eps": 1e-5, "norm_topk_prob": True, **published.get(asked.shape).config}
        if asked.layers:
            config["num_hidden_layers"] = asked.layers
        write(asked.folder, config, asked.fp8, asked.values)
    out = asked.folder.with_name(f"{asked.folder.name}.{asked.to}.gguf")
    print(measured(asked.folder, asked.to, out))
    out.unlink()


if __name__ == "__main__":
    main()
