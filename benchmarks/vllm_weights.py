"""What vLLM's own library decodes from a checkpoint that `bitwright quantize --vllm` wrote, against a GGUF file of the
same weights in the same format.

    pip install torch compressed-tensors safetensors
    bitwright quantize MODEL --to q4_0 --vllm -o FOLDER
    bitwright quantize MODEL --to q4_0 -o FILE.gguf
    python benchmarks/vllm_weights.py FOLDER FILE.gguf
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from bitwright.io import gguf
from bitwright.model.conversion.checkpoint import Checkpoint


def main() -> None:
    """Print how many matrices are equal; exit code 1 if not all are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("file", type=Path)
    asked = parser.parse_args()
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationConfig
    from safetensors.torch import load_file

    settings = QuantizationConfig.model_validate(
        json.loads((asked.folder / "config.json").read_text())["quantization_config"]
    )
    (scheme,) = settings.config_groups.values()
    compressor = BaseCompressor.get_value_from_registry(settings.format)
    stored = load_file(asked.folder / "model.safetensors")
    made, file, equal, count = Checkpoint(asked.folder), gguf.open(asked.file), 0, 0
    for name, (own, *_) in made.names.items():
        if f"{own}_packed" not in stored:
            continue
        parts = {key: stored[f"{own}_{key.removeprefix('weight_')}"] for key in
                 ("weight_packed", "weight_scale", "weight_shape")}  # fmt: skip
        theirs = compressor.decompress(parts, scheme)["weight"].numpy()
        ours = file.tensor(name).dequantize().astype(np.float16)
        count += 1
        equal += np.array_equal(theirs[made.order(name)], ours)
    print(f"{asked.folder.name}: {equal} of {count} matrices equal those of {asked.file.name}")
    raise SystemExit(equal != count or count == 0)


if __name__ == "__main__":
    main()
