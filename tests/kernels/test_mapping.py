"""A file that is shortened while it is mapped: one line, and nothing made from what is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bitwright import formats
from bitwright.io import gguf

SCRIPT = """
import os, sys
import numpy as np
from bitwright import cli, kernels
from bitwright.errors import BitwrightError
from bitwright.io import gguf
from bitwright.kernels import mapping

path, how = sys.argv[1:]

def shorten(*_):
    os.truncate(path, 5000)

def refused(work):
    try:
        work()
    except BitwrightError as error:
        assert "m.gguf became shorter while it was read" in str(error), error
    else:
        sys.exit("not refused")

if how == "read":
    file = gguf.open(path)
    tensors = [file.tensor(name) for name in file.tensors]
    shorten()
    assert all(np.asarray(t.data)[-1, -1] == 0 for t in tensors[1:])
    refused(mapping.check)
    refused(lambda: file.tensor("b"))
    os.truncate(path, 3 << 20)
    refused(mapping.check)
    del file, tensors
    mapping.check()
elif how == "pack":
    file = gguf.open(path)
    tensors = [file.tensor(name) for name in file.tensors]
    shorten()
    refused(lambda: kernels.WeightBank(threads=2).matrices(tensors, [True] * len(tensors)))
elif how == "copy":
    file = gguf.open(path)
    tensors = [(n, i.shape, i.format, lambda n=n: file.tensor(n).data) for n, i in file.tensors.items()]
    tensors[2] = (*tensors[2][:3], lambda data=file.tensor("c").data: (shorten(), data)[1])
    refused(lambda: gguf.write(path + ".new", {}, tensors))
elif how == "verb":
    from bitwright.quantizers import Quantizer
    real = Quantizer.quantize
    Quantizer.quantize = lambda self, *given: (shorten(), real(self, *given))[1]
    sys.exit(cli.exit_code(["quantize", path, "--to", "q8_0", "-o", path + ".new"]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets nobody shorten a mapped file")
@pytest.mark.parametrize("how", ["read", "pack", "copy", "verb"])
def test_a_file_shortened_while_it_is_read(tmp_path: Path, how: str) -> None:
    path = tmp_path / "m.gguf"
    values = np.ones((256, 1024), np.float32)
    gguf.write(path, {}, [(name, values.shape, formats.get("f32"), lambda: values) for name in "abc"])
    done = subprocess.run([sys.executable, "-c", SCRIPT, path, how], capture_output=True, text=True, timeout=60)
    if how == "verb":
        assert done.returncode == 1
        line = f"bitwright: error: {path} became shorter while it was read: run again once it is whole\n"
        assert done.stderr == line
    else:
        assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]
