"""What transformers, sentencepiece and llama.cpp's converter make of the checkpoints of tests/tiny_checkpoints.py.

    pip install torch transformers sentencepiece
    PYTHONPATH=src:LLAMA_CPP:LLAMA_CPP/gguf-py python tests/model/make_checkpoint_goldens.py [CASE ...]

writes tests/golden/checkpoints.npz (logits of transformers in float32) and checkpoints.json (the converter's metadata,
sentencepiece's ids), of all cases or those named. LLAMA_CPP is a checkout of llama.cpp. Its converter knows
pre-tokenizers by a hash of the ids that a published vocabulary gives, so for these vocabularies it is told which one it
is.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

import tiny_checkpoints  # noqa: E402
from checkpoint_configs import CASES, SENTENCEPIECE  # noqa: E402
from data_files import unpacked  # noqa: E402

POSITIONS = (0, 1, 7, 20, 38, 39)  # of tiny_checkpoints.IDS: the logits that are kept
PRE = {
    **dict.fromkeys(("deepseek_v2", "glm4", "glm4_moe", "glm4_moe_lite", "granite"), "llama-bpe"),
    **dict.fromkeys(("granitemoehybrid", "llama", "ministral3", "olmo2", "olmo3", "phi3", "smollm3"), "llama-bpe"),
    "deepseek_v3": "deepseek-v3",
    "gpt_oss": "gpt-4o",
    **dict.fromkeys(("lfm2", "lfm2_moe"), "lfm2"),
    **dict.fromkeys(("qwen2", "qwen2_moe", "qwen3", "qwen3_5_moe_text", "qwen3_5_text", "qwen3_moe"), "qwen2"),
    "qwen3_next": "qwen2",
}

LONG = 100  # characters of a value of which several cases share one copy


def logits(folder: Path) -> np.ndarray:
    """(positions, vocabulary) float32, by transformers with attention written out."""
    import torch
    from transformers import AutoModelForCausalLM, Mxfp4Config

    options: dict[str, Any] = {"dtype": torch.float32, "attn_implementation": "eager"}
    if "mxfp4" in folder.name:
        options["quantization_config"] = Mxfp4Config(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(folder, **options).eval()
    with torch.no_grad():
        found = model(torch.tensor([tiny_checkpoints.IDS])).logits[0, list(POSITIONS)].numpy()
    return np.asarray(found, np.float32)


def metadata(folder: Path, target: Path) -> dict[str, Any]:
    """What convert_hf_to_gguf.py writes, by key: [type, value]."""
    import gguf
    from conversion import ModelBase, ModelType, get_model_architecture, get_model_class

    hparams = ModelBase.load_hparams(folder, False)
    name = get_model_architecture(hparams, ModelType.TEXT)
    converter = get_model_class(name)
    converter.get_vocab_base_pre = lambda self, tokenizer: PRE[hparams["model_type"]]
    converter(folder, gguf.LlamaFileType.GUESSED, target).write()
    fields = gguf.GGUFReader(target).fields
    found = {key: ["".join(f"{kind.name}:" for kind in f.types), f.contents()] for key, f in fields.items()}
    return {key: value for key, value in found.items() if not key.startswith("GGUF.")}


def unfolded(told: dict[str, Any]) -> None:
    """Undo `folded`."""
    for known in told.values():
        for part in ("metadata", None):
            values = known[part] if part else known
            for key, value in values.items():
                if key != "metadata" and isinstance(value, str) and value in told:
                    values[key] = (told[value][part] if part else told[value])[key]


def folded(told: dict[str, Any]) -> None:
    """Replace a long value that an earlier case has under the same key by the name of that case."""
    first: dict[str, str] = {}
    for case, known in told.items():
        for values in (known["metadata"], known):
            for key, value in values.items():
                other = first.setdefault(f"{key} {value}", case)
                if other != case and len(str(value)) > LONG:
                    values[key] = other


def ids(folder: Path, texts: list[str]) -> list[list[int]]:
    """sentencepiece's ids of the texts."""
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model")).encode(texts)


def main() -> None:
    """Write both files."""
    logging.disable(logging.WARNING)
    arrays, texts_of = TESTS / "golden/checkpoints.npz", TESTS / "golden/checkpoints.json"
    kept, told = dict(np.load(arrays)), json.loads(texts_of.read_text())
    unfolded(told)
    with tempfile.TemporaryDirectory() as name:
        data = unpacked(Path(name) / "data")
        texts = tiny_checkpoints.texts(data)
        for case in sys.argv[1:] or CASES:
            folder = tiny_checkpoints.write(case, Path(name) / case)
            kept[case] = logits(folder)
            told[case] = {"metadata": metadata(folder, Path(name) / f"{case}.gguf")}
            if case in SENTENCEPIECE:
                told[case]["ids"] = ids(folder, texts)
    kept, told = ({case: found[case] for case in CASES} for found in (kept, told))
    folded(told)
    np.savez_compressed(arrays, **kept)
    texts_of.write_text(json.dumps(told, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
