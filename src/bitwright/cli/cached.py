"""`bitwright list`, `pull` and `rm`: the models and the working data that are cached on this machine."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from bitwright.cli import complete, models, options, output
from bitwright.errors import UsageError

if TYPE_CHECKING:
    from bitwright.io.cache import Entry


def list_(json: options.Json = False) -> None:
    """List what is cached, with sizes.

    Shows models and working data in bitwright's own cache, and the GGUF files in the Hugging Face hub's. A content that
    several files share is counted once in the total.

    Example: bitwright list
    """
    from bitwright.views.cache import cached

    found = cached()
    if json:
        output.print_json(found)
        return
    if found["entries"]:
        rows = [(row["name"], output.human_bytes(row["bytes"]), row["what"]) for row in found["entries"]]
        output.print_table(["name", ">bytes", "what"], rows)
        print()
    output.say(f"{output.human_bytes(found['total_bytes'])} in {' and '.join(found['folders'])}", 2)


def pull(model: options.Model, json: options.Json = False) -> None:
    """Download a model into the cache.

    Every verb does this by itself; pull does nothing else. Of a split set it gets all parts.

    Example: bitwright pull org/name:Q4_K_M
    """
    from bitwright.model import files

    path = models.resolve(model)
    size = files.open(path).file_bytes
    if json:
        output.print_json({"model": model, "path": str(path), "bytes": size})
        return
    print(f"{path}: {output.human_bytes(size)}")
    output.remark(f"next: bitwright run {model}")


def rm(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            help="What to remove, as `bitwright list` names it; org/name removes all its files.",
            show_default=False,
            autocompletion=complete.cached,
        ),
    ],
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")] = False,
    json: options.Json = False,
) -> None:
    """Remove models or working data from the cache.

    Removes only what `bitwright list` shows, and asks first. What is removed is downloaded or computed again when it is
    needed.

    Example: bitwright rm smollm2-135m
    """
    from bitwright.io import cache

    chosen = list({entry.name: entry for name in names for entry in cache.find(name)}.values())
    if not yes:
        confirm(chosen, cache.size(path for entry in chosen for path in entry.paths))
    before = cache.total()
    cache.remove(chosen)
    freed = before - cache.total()
    if json:
        output.print_json({"removed": [entry.name for entry in chosen], "bytes": freed})
        return
    for entry in chosen:
        print(f"removed {entry.name}")
    output.remark(f"{output.human_bytes(freed)} freed")


def answered() -> str:
    """The line that the user types."""
    return sys.stdin.readline()


def confirm(chosen: Sequence[Entry], size: int) -> None:
    """Ask on a terminal whether to remove; elsewhere UsageError. Any answer but yes ends the command."""
    names = ", ".join(entry.name for entry in chosen)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"rm asks on a terminal before it removes {names}; elsewhere give --yes")
    print(f"remove {names} ({output.human_bytes(size)})? (y/n) ", end="", file=sys.stderr, flush=True)
    if answered().strip().lower() not in ("y", "yes"):
        output.remark("nothing was removed")
        raise typer.Exit(1)
