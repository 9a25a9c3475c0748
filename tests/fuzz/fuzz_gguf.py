"""The GGUF reader under coverage-guided fuzzing: `python fuzz_gguf.py CORPUS [libFuzzer flags]`.

It opens a file, decodes every metadata value and reads every tensor's bytes. FileFormatError and UnsupportedError are
valid answers; everything else is a finding. So is using more than 256 MiB beyond the initial size of the process: the
address space is limited to that, and the MemoryError is reported.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bitwright.io"]):
    from bitwright.errors import FileFormatError, UnsupportedError
    from bitwright.io import gguf

ALLOWANCE = 256 << 20
INPUT = Path(f"/proc/self/fd/{os.memfd_create('input.gguf')}")


def limit_memory() -> None:
    status = Path("/proc/self/status").read_text().splitlines()
    used = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmSize"))
    resource.setrlimit(resource.RLIMIT_AS, (used + ALLOWANCE, resource.RLIM_INFINITY))


def test_one_input(data: bytes) -> None:
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:  # first: the fuzzer has its memory by now
        limit_memory()
    INPUT.write_bytes(data)
    try:
        file = gguf.open(INPUT)
        dict(file.metadata)
        for name in file.tensors:
            file.tensor(name).data.sum()
    except (FileFormatError, UnsupportedError):
        pass


if __name__ == "__main__":
    atheris.Setup([sys.argv[0], "-timeout=10", "-rss_limit_mb=0", *sys.argv[1:]], test_one_input)
    atheris.Fuzz()
