"""What transformers and PEFT predict with the adapters of tests/tiny_adapters.py.

    pip install torch transformers peft
    PYTHONPATH=src python tests/model/make_adapter_goldens.py

writes tests/golden/adapters.npz: by adapter, logits (positions, vocabulary) in float32.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

import tiny_adapters  # noqa: E402
import tiny_checkpoints  # noqa: E402

BASE = "llama-untied-llama3"
POSITIONS = (0, 7, 39)  # of tiny_checkpoints.IDS: the logits that are kept


def main() -> None:
    """Write the file."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    kept = {}
    with tempfile.TemporaryDirectory() as name:
        base = tiny_checkpoints.write(BASE, Path(name) / "base")
        for case in tiny_adapters.ADAPTERS:
            model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
            adapter = tiny_adapters.write(case, base, Path(name) / case)
            merged = PeftModel.from_pretrained(model, adapter).merge_and_unload().eval()
            with torch.no_grad():
                logits = merged(torch.tensor([tiny_checkpoints.IDS])).logits[0, list(POSITIONS)]
            kept[case] = logits.numpy().astype(np.float32)
    np.savez_compressed(TESTS / "golden/adapters.npz", **kept)


if __name__ == "__main__":
    main()
