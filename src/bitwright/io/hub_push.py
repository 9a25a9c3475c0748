"""Publish files in a Hugging Face hub repository, in one commit."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from bitwright.errors import UsageError
from bitwright.io import inputs
from bitwright.io.hub_files import hub_errors, offline_by_default

README = "README.md"
LARGEST = 1 << 20  # bytes of a model page


def page(repo: str) -> tuple[str | None, str | None]:
    """The README.md of a repository and the commit that has it; None for what is not there yet.

    Raises UsageError offline or without a login, BitwrightError if the hub cannot be asked, FileFormatError if its page
    is no text of at most LARGEST bytes.
    """
    from huggingface_hub import HfApi, errors, get_token, hf_hub_download

    if offline_by_default():
        raise UsageError(f"pushing to {repo} needs the hub, and HF_HUB_OFFLINE is set")
    if get_token() is None:
        raise UsageError("pushing needs a login: hf auth login, or set HF_TOKEN")
    with hub_errors(repo, "main"):
        try:
            info = HfApi().model_info(repo)
        except errors.GatedRepoError:
            raise
        except errors.RepositoryNotFoundError:
            return None, None
        if README not in [sibling.rfilename for sibling in info.siblings or []]:
            return None, info.sha
        path = Path(hf_hub_download(repo, README, revision=info.sha))
    return inputs.read_text(path, LARGEST, "a page"), info.sha


def push(repo: str, files: Mapping[str, Path | bytes], message: str, private: bool, after: str | None) -> str:
    """Commits files, by their names in the repository, and returns the address of the commit. A repository that does
    not exist is made, `private` if asked. after: the commit that they follow; if there is another meanwhile, nothing is
    written and BitwrightError raised. Large files that the hub has already are not sent again."""
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.utils import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    with hub_errors(repo, "main"):
        api = HfApi()
        api.create_repo(repo, private=private, exist_ok=True)
        adding = [CommitOperationAdd(name, content if isinstance(content, bytes) else str(content))
                  for name, content in files.items()]  # fmt: skip
        return str(api.create_commit(repo, adding, commit_message=message, parent_commit=after).commit_url)
