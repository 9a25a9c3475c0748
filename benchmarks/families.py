"""Is every family's outline what llama.cpp makes of it? Prints, per family, what both allocate for keys and values.

A tiny config.json of each family becomes a GGUF file of zeros; llama.cpp loads it only if every tensor has the name and
the shape it expects and none is left over, and says what it allocates. The table that this prints is kept in
tests/hardware/llama_cpp_kv.json, so that the tests need no llama.cpp.

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

from bitwright.hardware.kv import kv_bytes
from bitwright.hardware.outline import outline

TESTS = Path(__file__).resolve().parent.parent / "tests/hardware"
sys.path.insert(0, str(TESTS))
import tiny  # noqa: E402

DEPTH = 2048  # tokens, so that two decimals of a mebibyte say something


def allocated(llama_bench: str, model: Path) -> tuple[int, float]:
    """The context llama.cpp ran with and the MiB of its caches; SystemExit with its words where it refuses the file."""
    command = [
        llama_bench,
        "-m",
        model,
        "-p",
        str(DEPTH),
        "-n",
        "0",
        "-r",
        "1",
        "-t",
        "1",
        "-fa",
        "1",
        "-v",
        "-o",
        "json",
    ]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    said = done.stdout + done.stderr
    if done.returncode:
        raise SystemExit(f"{model.name}: " + "\n".join(re.findall(r".*(?:error|wrong|missing).*", said)[:3]))
    sizes = [float(size) for size in re.findall(r"(?:KV|RS) buffer size = +([\d.]+)", said)]
    return int(re.findall(r"n_ctx_seq += (\d+)", said)[-1]), sum(sizes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama-bench", required=True)
    parser.add_argument("--write", action="store_true", help="keep the table for the tests")
    options = parser.parse_args()
    table = {}
    with tempfile.TemporaryDirectory() as folder:
        for family in tiny.CONFIGS:
            path = Path(folder, f"{family}.gguf")
            tiny.tiny(family, path)
            context, mebibytes = allocated(options.llama_bench, path)
            ours = kv_bytes(outline(path), context) / (1 << 20)
            table[family] = {"context": context, "mebibytes": round(mebibytes, 2)}
            print(f"{family:18} {context:7} tokens   llama.cpp {mebibytes:7.2f} MiB   bitwright {ours:9.4f} MiB")
    if options.write:
        rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in table.items())
        (TESTS / "llama_cpp_kv.json").write_text(f"{{\n{rows}\n}}\n")


if __name__ == "__main__":
    main()
