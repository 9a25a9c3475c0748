"""What `attack.py` throws at the command line: a line for each verb, odd values, files that verbs read, and damage."""

from __future__ import annotations

import json
import lzma
import random
import re
import subprocess
import sys
from pathlib import Path

MODEL = Path(__file__).resolve().parent.parent / "tests/data/models/stories260K/stories260K.f32.gguf.xz"
COMMAND = [sys.executable, "-m", "bitwright"]
WORDS = ("the", "a", "cat", "dog", "girl", "went", "to", "park", "and", "saw", "red", "ball", "she", "was", "happy")
MEASURED = "-f t.txt -c 16 -t 1"
LINES = {
    "inspect": "m.gguf", "tokenize": "m.gguf hi", "formats": "q4_0", "plan": "m.gguf --device 3090 --recipe q4_0",
    "explain": "q4_0 --device 3090", "calibrate": f"m.gguf -o new.gguf --chunks 2 {MEASURED}",
    "quantize": "r.gguf --to q4_0 -o new.gguf --stats s.gguf -t 1", "run": "m.gguf hi -n 2 -c 64 -t 1",
    "eval": f"m.gguf --reference r.gguf {MEASURED}", "compare": f"m.gguf --reference r.gguf {MEASURED}",
    "tasks": "m.gguf --tasks k.jsonl -n 2 -t 1", "label": f"m.gguf --reference r.gguf -o new.gguf {MEASURED}",
    "audit": f"l.gguf --reference r.gguf {MEASURED}", "list": "", "rm": "nothing", "pull": "a/b",
}  # fmt: skip
ODD = [
    "", "-", "--", "-1", "0", "1", "1e9", "9" * 20, "-" + "9" * 20, "nan", "inf", "1e-320", "0x10", "1_0", "\u0663",
    "\u00e9\u202e\x1b[2J\x07", "\udcff", "/", "/dev/null", "/dev/full", "/dev/zero", "loop", "folder", "a" * 255,
    "\u00bd", "a" * 5000, "[", "(?:a|aa)+$", "=", ".*=q4_0", "x\ny", "org/name", "::", "%s{}", "q4_0", "2TB",
    "32k", "m.gguf", "new.json", "t.txt", "f16", "https://[", "@", "~nobody", "None",
]  # fmt: skip
SLOW = {"--this-machine", "--again", "--horizon", "--suite"}  # measure for minutes
STDIN = ["", "<&-", "</dev/null", "</dev/zero", "<folder", "< <(true)"]
STDOUT = ["", "", ">&-", ">/dev/full", "| true", "| head -c 20", ">new.txt"]
STDERR = ["", "", "", "2>&-", "2>/dev/full", "2> >(true)"]
SETTINGS = ["", "LC_ALL=C", "PYTHONIOENCODING=ascii", "COLUMNS=1", "COLUMNS=0", "TERM=dumb", "TMPDIR=/nowhere",
            "env -i HOME=$HOME PATH=$PATH PYTHONPATH=$PYTHONPATH"]  # fmt: skip
READERS = {
    "m.gguf": ["inspect m.gguf --all", "run m.gguf hi -n 2 -c 64 -t 1", "quantize m.gguf --to q4_0 -o new.gguf -t 1",
               "plan m.gguf --device 3090 --recipe q4_0", "inspect m.gguf --tensor output_norm.weight"],
    "s.gguf": ["quantize r.gguf --to q4_0 --stats s.gguf -o new.gguf -t 1", "inspect s.gguf"],
    "s.dat": ["quantize r.gguf --to q4_0 --stats s.dat -o new.gguf -t 1"],
    "b.kld": ["eval m.gguf -f t.txt --reference b.kld -c 16 -t 1"],
    "k.jsonl": ["tasks m.gguf --tasks k.jsonl -n 2 -t 1"],
    "c.jsonl": ["calibrate m.gguf -f c.jsonl --chat -o new.gguf -c 16 --chunks 1 -t 1"],
    "t.txt": ["eval m.gguf -f t.txt -c 16 --chunks 2 -t 1", "tokenize m.gguf -f t.txt"],
    "r.toml": ["quantize r.gguf --to r.toml --dry-run"],
    "types": ["quantize r.gguf --to q4_0 --tensor-type-file types --dry-run"],
    "d.json": ["plan m.gguf --device d.json --recipe q4_0", "explain q4_0 --device d.json"],
    "l.gguf": [f"audit l.gguf --reference r.gguf {MEASURED}"],
    "hf/config.json": ["plan hf --device 3090 --recipe q4_0"],
    "template": ["run template hi -n 1 -c 64 -t 1"],
}  # fmt: skip
TEXTS = {
    "k.jsonl": '{"task_id": "1", "prompt": "def f():\\n", "entry_point": "f", "test": "def check(f):\\n  f()"}\n' * 2,
    "c.jsonl": '{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "a b"}]}\n' * 20,
    "r.toml": "file_type = 'q4_0'\ntensors = [\n  ['ffn_down', 'q8_0'],\n  ['^output', 'q5_0'],\n]\n",
    "types": "blk\\.0.*=q8_0\nattn_q=q5_0\n",
    "d.json": '{"id": "x", "name": "X", "vendor": "v", "kind": "gpu", "memory_gib": 8, "bandwidth_gb_s": 100, '
              '"compute": {"fp16": {"peak": 10, "basis": "stated"}, "int8": {"via": "fp16"}}, "sources": ["s"]}',
    "hf/config.json": json.dumps({"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64, "vocab_size": 128,
                                  "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96}),
    "template": "{% for m in messages %}{{ m['content'] | trim }}{% endfor %}",
}  # fmt: skip
HARD = ["null", "-1", "1e999", "NaN", "[]", "{}", '""', "9" * 30, "9" * 5000, "true", '"\\u001b[2J"', "\\ud800", "(",
        "[" * 3000, "\0", "\x1b]0;x\x07", "\u202e", '"""', "0.5", "{{", "{% for i in range(10**9) %}x{% endfor %}",
        "{{ 'a' * 10**10 }}", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "{{ ''.__class__ }}"]  # fmt: skip
MAKE = ["quantize r.gguf --to q8_0 -o m.gguf", "calibrate r.gguf -f t.txt -o s.gguf -c 64",
        "calibrate r.gguf -f t.txt -o s.dat -c 64", "eval r.gguf -f t.txt -c 16 --kl-divergence-base b.kld",
        f"label m.gguf --reference r.gguf {MEASURED} -o l.gguf"]  # fmt: skip
WRITERS = [
    ("calibrate {} -f {} -c 16 -o {}", ["m.gguf", "t.txt"]), ("quantize {} --to {} -o {}", ["r.gguf", "r.toml"]),
    ("quantize {} --to q4_0 --stats {} -o {}", ["r.gguf", "s.gguf"]),
    ("quantize {} --to q4_0 --tensor-type-file {} -o {}", ["r.gguf", "types"]),
    ("eval {} --reference {} -f {} -c 16 -o {}", ["m.gguf", "r.gguf", "t.txt"]),
    ("eval {} --calibration {} -f {} -c 16 --kl-divergence-base {}", ["m.gguf", "c.jsonl", "t.txt"]),
    ("compare {} --reference {} -f {} -c 16 -o {}", ["m.gguf", "r.gguf", "t.txt"]),
    ("label {} --reference {} -f {} -c 16 -o {}", ["m.gguf", "r.gguf", "t.txt"]),
    ("label {} --reference {} -f {} -c 16 --card {}", ["m.gguf", "r.gguf", "t.txt"]),
]  # fmt: skip
KEPT = {"cache", "folder", "hf", "loop"}


def make() -> dict[str, bytes]:
    """Make the inputs of every verb in the working folder; returns their contents."""
    Path("folder").mkdir()
    Path("hf").mkdir()
    Path("loop").symlink_to("loop")
    Path("r.gguf").write_bytes(lzma.decompress(MODEL.read_bytes()))
    words = random.Random(0)
    Path("t.txt").write_text("".join(" ".join(words.choices(WORDS, k=40)) + ".\n\n" for _ in range(30)))
    for name, text in TEXTS.items():
        Path(name).write_text(text)
    for line in MAKE:
        subprocess.run([*COMMAND, *line.split()], check=True, capture_output=True)
    Path("template").write_bytes(templated(TEXTS["template"]))
    return {name: Path(name).read_bytes() for name in (*READERS, "r.gguf")}


def templated(template: str) -> bytes:
    """The model with another chat template."""
    from bitwright.io import gguf

    file = gguf.open("r.gguf")
    tensors = [(t.name, t.shape, t.format, t.data.tobytes) for t in map(file.tensor, file.tensors)]
    gguf.write("new", dict(file.metadata) | {"tokenizer.chat_template": template}, tensors)
    return Path("new").read_bytes()


def damaged(content: bytes, rng: random.Random, text: bool) -> bytes:
    """Changes one to three places: bytes, a cut, a copy, and in texts a word or a number."""
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(min(len(content), rng.choice([64, 4096, 1 << 30])) or 1)
        what, size = rng.random(), rng.choice([1, 1, 4, 8])
        if text and what < 0.6:
            start, end = rng.choice([*re.finditer(rb'"[^"]*"|[\w.]+|[\[\]{}%=,:]', content), re.match(b"", b"")]).span()
            content = content[:start] + rng.choice(HARD).encode() + content[end:]
        elif what < 0.9:
            new = rng.choice([rng.randbytes(size), b"\xff" * size, b"\0" * size, b"\x7f" * size])
            content = content[:place] + new + content[place + size :]
        else:
            content = content[:place] + content[place : place + 999] * rng.choice([0, 2, 50])
    return content
