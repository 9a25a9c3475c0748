"""Whether llama-quantize gives every tensor the format that it has in a file that `fit` wrote.

    python benchmarks/tensor_types.py --peer PATH/llama-quantize --model widened.f16.gguf --stats stats.gguf FITTED.gguf

The formats of each FITTED file go to llama-quantize as `fit --tensor-types` writes them, with --stats as the importance
that it demands for formats of 3 bits and fewer. Prints how many tensors have the same format in both files.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from bitwright import recipes
from bitwright.fit.budget import searched
from bitwright.io import gguf
from bitwright.model.architectures import outline
from bitwright.recipes import Recipe


def quantized(args: argparse.Namespace, fitted: gguf.GGUF, folder: Path) -> gguf.GGUF:
    """The model as llama-quantize writes it in the formats of a fitted file."""
    chosen = {tensor.name: fitted.tensors[tensor.name].format for tensor in searched(outline.from_gguf(fitted))}
    types, target = folder / "types.txt", folder / "llama.gguf"
    recipes.write_tensor_types(types, Recipe.exact(chosen).patterns)
    options = ["--imatrix", args.stats, "--tensor-type-file", types]
    command = [args.peer, *options, args.model, target, "Q8_0", args.threads]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{args.peer.name} failed: {(done.stdout + done.stderr).splitlines()[-1:]}")
    return gguf.open(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="FITTED")
    parser.add_argument("--peer", type=Path, required=True, help="llama.cpp's llama-quantize")
    parser.add_argument("--model", type=Path, required=True, help="the float16 GGUF that they were made from")
    parser.add_argument("--stats", type=Path, required=True, help="what `bitwright calibrate` wrote")
    parser.add_argument("-t", "--threads", type=int, default=2)
    args = parser.parse_args()
    for path in args.files:
        fitted = gguf.open(path)
        with tempfile.TemporaryDirectory() as folder:
            theirs = {name: tensor.format for name, tensor in quantized(args, fitted, Path(folder)).tensors.items()}
        ours = {name: tensor.format for name, tensor in fitted.tensors.items()}
        for name in ours.keys() | theirs.keys():
            if ours.get(name) != theirs.get(name):
                print(f"{name}: {ours.get(name)} here, {theirs.get(name)} there")
        same = sum(theirs.get(name) == format for name, format in ours.items())
        print(f"{path.name}: {same} of {len(ours)} tensors have the same format, of {len(set(ours.values()))} formats")


if __name__ == "__main__":
    main()
