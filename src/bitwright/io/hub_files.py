"""Files of a Hugging Face hub repository, through huggingface_hub and its cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bitwright.errors import BitwrightError, UsageError
from bitwright.escapes import escaped
from bitwright.progress import Progress

TIMEOUT = 10.0  # seconds the hub may take to answer


class UnreachableError(BitwrightError):
    """The hub did not answer, or something else did."""


def offline_by_default() -> bool:
    """Whether huggingface_hub would be offline; importing it to ask takes too long."""
    values = (os.environ.get(name, "") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return any(value.upper() in ("1", "ON", "YES", "TRUE") for value in values)


def list_files(repo: str, revision: str, offline: bool, timeout: float = TIMEOUT) -> tuple[list[str], bool]:
    """The files of a repository, and whether only the cache was asked: if `offline`, or if the hub cannot be reached.

    Raises UsageError if there is no such repository or revision, BitwrightError if neither the hub nor the cache can
    answer.
    """
    in_cache = _snapshot_files(repo, revision)
    if offline and not in_cache:
        raise BitwrightError(f"{repo} at {revision} is not in the cache, and offline mode is on")
    if offline:
        return in_cache, True
    from huggingface_hub import HfApi

    try:
        with hub_errors(repo, revision):
            info = HfApi().model_info(repo, revision=revision, timeout=timeout)
            return [os.fspath(sibling.rfilename) for sibling in info.siblings or []], False
    except UnreachableError as error:
        if not in_cache:
            raise
        import logging

        logging.getLogger(__name__).warning("%s; using the cache", escaped(str(error)))
        return in_cache, True


def fetch(repo: str, file: str, revision: str, offline: bool, progress: Progress | None = None) -> Path:
    """One file's path in the cache, downloaded if it is not there; raises BitwrightError if it cannot be obtained."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    bar = _progress_bar(progress)
    try:
        with hub_errors(repo, revision):
            return Path(hf_hub_download(repo, file, revision=revision, local_files_only=offline, tqdm_class=bar))
    except LocalEntryNotFoundError as error:
        reason = "offline mode is on" if offline else "the hub cannot be reached"
        raise BitwrightError(f"{repo}/{file} is not in the cache, and {reason}") from error


def cached(repo: str, file: str, revision: str) -> Path | None:
    """The file's path if the cache holds it."""
    path = _snapshot(repo, revision) / file
    return path if path.exists() else None


def _snapshot(repo: str, revision: str) -> Path:
    """Where huggingface_hub keeps a revision (a commit, or a branch or tag whose commit is in `refs`).

    Layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
    """
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"
    named = folder / "refs" / revision
    return folder / "snapshots" / (named.read_text().strip() if named.is_file() else revision)


def _snapshot_files(repo: str, revision: str) -> list[str]:
    folder = _snapshot(repo, revision)
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@contextmanager
def hub_errors(repo: str, revision: str) -> Iterator[None]:
    """Turn errors of huggingface_hub into one line; a missing cache entry passes through unchanged. Answers that would
    lead it out of its cache are refused."""
    from huggingface_hub import errors
    from huggingface_hub.utils import get_session

    hooks: list[Any] = get_session().event_hooks.setdefault("response", [])
    hooks.append(_check_names)
    try:
        yield
    except errors.LocalEntryNotFoundError:
        raise
    except errors.GatedRepoError as error:
        raise BitwrightError(f"{repo} requires you to accept its terms on the hub: do so and set HF_TOKEN") from error
    except errors.RepositoryNotFoundError as error:
        raise UsageError(f"there is no model {repo} on the hub (if it is private, set HF_TOKEN)") from error
    except errors.RevisionNotFoundError as error:
        raise UsageError(f"{repo} has no revision {revision}") from error
    except errors.HFValidationError as error:
        raise UsageError(f"{repo}: {_first_line(error)}") from error
    except errors.HfHubHTTPError as error:
        raise BitwrightError(f"{repo}: the hub answered {_first_line(error)}") from error
    except (errors.HTTPError, ConnectionError) as error:
        raise UnreachableError(f"{repo}: the hub cannot be reached ({_first_line(error)})") from error
    except (OSError, RuntimeError) as error:
        raise BitwrightError(f"{repo}: the download failed ({_first_line(error)})") from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise UnreachableError(
            f"{repo}: the hub's answer cannot be used ({_first_line(error)}); was it a proxy or a login page?"
        ) from error
    finally:
        hooks.remove(_check_names)


def _check_names(answer: Any) -> None:
    """Raise ValueError if a header that huggingface_hub takes for the name of a file or a folder is none."""
    for header in ("ETag", "X-Linked-Etag", "X-Repo-Commit"):
        name = answer.headers.get(header, "").removeprefix("W/").strip('"')
        if name.startswith(".") or "/" in name or "\\" in name:
            raise ValueError(f"{header} {escaped(name)[:60]!r} is no name of a file")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _progress_bar(progress: Progress | None) -> Any:
    """A tqdm class that draws nothing and reports to `progress`."""
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc]  # tqdm has no types
        def __init__(self, *args: Any, name: str | None = None, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            if progress:
                progress(int(self.n), self.total and int(self.total), "")

    return Bar
