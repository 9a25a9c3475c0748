"""What vLLM's own library decodes from a checkpoint that `bitwright quantize --vllm` wrote, against a GGUF file of the
same weights in the same format, or without one, as in FP8, against what bitwright decodes from the folder.

    pip install torch compressed-tensors safetensors
    bitwright quantize MODEL --to q4_0 --vllm -o FOLDER
    bitwright quantize MODEL --to q4_0 -o FILE.gguf
    python benchmarks/vllm_weights.py FOLDER [FILE.gguf]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bitwright.io import gguf
from bitwright.model.conversion.checkpoint import Checkpoint


def main() -> None:
    """Print how many matrices are equal; exit code 1 if not all are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("file", type=Path, nargs="?")
    asked = parser.parse_args()
    import torch
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationConfig
    from safetensors.torch import load_file

    settings = QuantizationConfig.model_validate(
        json.loads((asked.folder / "config.json").read_text())["quantization_config"]
    )
    (scheme,) = settings.config_groups.values()
    compressor = BaseCompressor.get_value_from_registry(settings.format)
    stored = load_file(asked.folder / "model.safetensors")
    made, equal, count = Checkpoint(asked.folder), 0, 0
    judge = gguf.open(asked.file) if asked.file else made
    for name, owns in made.names.items():
        if f"{owns[0]}_scale" not in stored:
            continue
        values, floats = judge.tensor(name).dequantize(), getattr(torch, made.tensors[name].format.name)
        for own, matrix in zip(owns, values.reshape(len(owns), -1, values.shape[-1]), strict=True):
            ends = ("", "_packed", "_scale", "_shape", "_global_scale")
            parts = {f"weight{end}": stored[f"{own}{end}"] for end in ends if f"{own}{end}" in stored}
            theirs = compressor.decompress(parts, scheme)["weight"].to(floats)
            count += 1
            equal += torch.equal(theirs[made.order(name)], torch.tensor(matrix).to(floats))
    against = asked.file.name if asked.file else "bitwright's reading"
    print(f"{asked.folder.name}: {equal} of {count} matrices equal those of {against}")
    raise SystemExit(equal != count or count == 0)


if __name__ == "__main__":
    main()
