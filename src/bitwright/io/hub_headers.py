"""The headers of GGUF files on the Hugging Face hub: enough to plan with, and a few megabytes at most."""

from __future__ import annotations

import mmap
import re
from pathlib import Path
from typing import Any, BinaryIO

from bitwright.errors import BitwrightError, FileFormatError
from bitwright.io import hub_files
from bitwright.io.aliases import cache_folder
from bitwright.io.atomic import replacing
from bitwright.io.gguf_parse import parse

PIECE, MOST = 4 << 20, 256 << 20  # bytes to request first, and the longest header accepted


def gguf(repo: str, file: str, revision: str, offline: bool) -> Path:
    """A GGUF file of the right size with everything that precedes the tensors, and zeros in their place; if the hub's
    own cache has the whole file, that file. Raises BitwrightError if it cannot be downloaded."""
    if (whole := hub_files.cached(repo, file, revision)) is not None:
        return whole
    if offline:
        raise BitwrightError(f"{repo}/{file} is not in the cache, and offline mode is on")
    with hub_files.hub_errors(repo, revision):
        header, total, commit = _ranged(repo, file, revision, 0, PIECE)
        flat = (re.sub(r"[^\w.-]", "--", name) for name in (repo, commit or revision, file))  # names stay in the folder
        path = cache_folder().joinpath("headers", *flat)
        if path.exists():
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as out:
            held = out.write(header)
            out.truncate(total)
            while not _complete(out, held, path) and held < min(total, MOST):
                out.seek(held)
                held += out.write(_ranged(repo, file, commit or revision, held, 3 * held)[0])
    return path


def _ranged(repo: str, file: str, revision: str, start: int, length: int) -> tuple[bytes, int, str]:
    """Bytes of a file from `start` on, its size, and its commit if the hub reports it."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    headers = build_hf_headers() | {"Range": f"bytes={start}-{start + length - 1}"}
    answer: Any = get_session().get(
        hf_hub_url(repo, file, revision=revision), headers=headers, timeout=hub_files.TIMEOUT, follow_redirects=True
    )
    hf_raise_for_status(answer)
    first = answer.history[0] if answer.history else answer  # the hub's own answer, before its redirect to storage
    content: bytes = answer.content
    if answer.status_code != 206:
        return content[start:], len(content), first.headers.get("X-Repo-Commit", "")
    size = re.search(r"/(\d+)$", answer.headers.get("Content-Range", ""))
    if size is None:
        raise BitwrightError(f"{repo}/{file}: the hub sent part of the file without saying how large it is")
    return content, int(size[1]), first.headers.get("X-Repo-Commit", "")


def _complete(file: BinaryIO, held: int, path: Path) -> bool:
    """Whether the first `held` bytes of a file, before zeros, hold everything that precedes the tensors."""
    file.flush()
    try:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
            tensors = parse(buffer, path).tensors.values()
    except (FileFormatError, ValueError):  # ValueError: nothing to map
        return False
    return min((tensor.offset for tensor in tensors), default=held) <= held
