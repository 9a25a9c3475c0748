"""Compares every family's outline with llama.cpp: the sizes of keys, values and buffers.

A tiny config.json of each family becomes a GGUF file of zeros. llama.cpp loads it only if every tensor has the expected
name and shape and none is left over, and reports what it allocates. Buffers are compared on wider models. The table is
stored in tests/model/architectures/llama_cpp.json, so that tests do not need llama.cpp.

    python benchmarks/families.py --llama-bench PATH [--write]
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from bitwright.hardware.kv import BATCH, kv_bytes
from bitwright.hardware.memory import MIB, compute_bytes
from bitwright.model.architectures.outline import outline

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS))
import tiny  # noqa: E402

TOKENS = 2048  # large enough for two decimals of a mebibyte


def allocated(llama_bench: str, model: Path, tokens: int) -> tuple[int, float, float]:
    """llama.cpp's context, and the MiB of its caches and buffers; SystemExit with its message if it refuses the file.
    Zeros divided by zeros may stop a build with assertions later."""
    command = [llama_bench, "-m", model, "-p", tokens, "-n", "0", "-r", "1", "-t", "1", "-fa", "1", "-v", "--no-warmup"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    said = done.stdout + done.stderr
    if done.returncode and "sched_reserve: reserve took" not in said:
        raise SystemExit(f"{model.name}: " + "\n".join(re.findall(r".*(?:error|wrong|missing).*", said)[:3]))
    sizes = [float(size) for size in re.findall(r"(?:KV|RS) buffer size = +([\d.]+)", said)]
    buffers = float(re.findall(r"compute buffer size = +([\d.]+)", said)[-1])
    return int(re.findall(r"n_ctx_seq += (\d+)", said)[-1]), sum(sizes), buffers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama-bench", required=True)
    parser.add_argument("--write", action="store_true", help="write the table for the tests")
    options = parser.parse_args()
    table = {}
    with tempfile.TemporaryDirectory() as folder:
        for family in tiny.CONFIGS:
            path = Path(folder, f"{family}.gguf")
            tiny.tiny(family, path)
            context, cache, _ = allocated(options.llama_bench, path, TOKENS)
            ours = kv_bytes(outline(path), context) / MIB
            tiny.tiny(family, path, **tiny.wide(family))
            _, _, buffers = allocated(options.llama_bench, path, BATCH)
            our_buffers = compute_bytes(outline(path), BATCH) / MIB
            table[family] = {"context": context, "cache": round(cache, 2), "buffers": buffers}
            print(
                f"{family:18} cache {cache:6.2f}, here {ours:7.4f}    buffers {buffers:6.2f}, here {our_buffers:6.2f}"
            )
    if options.write:
        rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in table.items())
        (TESTS / "model/architectures/llama_cpp.json").write_text(f"{{\n{rows}\n}}\n")


if __name__ == "__main__":
    main()
