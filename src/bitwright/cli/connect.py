"""`bitwright connect`: an editor or agent set up for a running server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bitwright.cli import options, output
from bitwright.cli.serve import PORT
from bitwright.errors import BitwrightError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from bitwright.server.connect.clients import File

NAMES = "continue, aider, cline, opencode, llama-vscode, zed, codex, claude"


def connect(
    client: Annotated[str, typer.Argument(metavar="CLIENT", help=f"The editor or agent: {NAMES}.", show_default=False)],
    url: Annotated[str, typer.Option("--url", metavar="URL", help="The running server.")] = f"http://127.0.0.1:{PORT}",
    key: Annotated[
        str | None,
        typer.Option(
            "--api-key", metavar="KEY", envvar="BITWRIGHT_API_KEY", help="The server's key.", show_default=False
        ),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the client's own file, and keep a backup.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Ask what the client asks first, and say what fails.")] = False,
    json: options.Json = False,
) -> int:
    """Set up an editor or agent for a running server.

    Prints the settings that the client needs, or writes them into its file with --write: what else is in it stays.
    --check plays the client's first requests, and the exit code is 1 if an answer would not do.

    Example: bitwright connect continue --write
    """
    from bitwright.server.connect import checks
    from bitwright.server.connect.asking import Served, Server
    from bitwright.server.connect.clients import CLIENTS

    if client not in CLIENTS:
        raise UnknownNameError("client", client, CLIENTS)
    server = Server(url, key)
    with output.progress(f"asking {server.url}"):
        served = Served.by(server)
    known = CLIENTS[client]
    files, notes, lacks = known.files(served), list(known.notes(served)), known.lacks(served)
    if write and not files:
        raise UsageError(f"{client} has no file to write: bitwright connect {client} says what to enter where")
    found: dict[str, Any] = {"client": client, "url": served.url, "model": served.model, "context": served.context,
                             "fills_gaps": served.fills, "calls_tools": served.calls, "files": described(files),
                             "notes": notes if check else notes + lacks}  # fmt: skip
    if write:
        try:
            put(files, found["files"])
        except BitwrightError:
            show(found, json)
            raise
    if check:
        with output.progress(f"asking as {known.title}"):
            needs = checks.Outcome("what it needs", "; ".join(lacks) or None)
            found["checks"] = [
                {"request": own.request, "ok": own.problem is None, "problem": own.problem}
                for own in (needs, *checks.run(client, server, served))
            ]
    show(found, json)
    return 0 if all(own["ok"] for own in found.get("checks", ())) else 1


def described(files: Sequence[File]) -> list[dict[str, Any]]:
    """Files as JSON has them: where each is, and the text of the settings alone."""
    from bitwright.server.connect import merging

    return [
        {"path": str(own.path), "format": own.format, "text": merging.written(own.settings, own.format)}
        for own in files
    ]


def put(files: Sequence[File], about: Sequence[dict[str, Any]]) -> None:
    """Write the settings into the files, and say in `about` what became of each. All are understood before the first is
    written."""
    from bitwright.server.connect import files as writing
    from bitwright.server.connect.merging import CannotMergeError

    texts = []
    for file in files:
        try:
            texts.append(writing.changed(file))
        except CannotMergeError as error:
            raise BitwrightError(
                f"{file.path} was left as it is: {error}; put the settings that are printed in yourself"
            ) from None
    for file, text, own in zip(files, texts, about, strict=True):
        copy = None if text is None else writing.write(file, text)
        own |= {"written": text is not None, "backup": copy and str(copy)}


def show(found: dict[str, Any], json: bool) -> None:
    """Print what there is to know: settings to paste as they are, and what to do with them on stderr. Who only checks
    sees the checks."""
    if json:
        output.print_json(found)
        return
    if "checks" in found and not any("written" in own for own in found["files"]):
        output.print_pairs(rows(found))
        return
    for own in found["files"]:
        if "written" not in own:
            output.remark(f"{own['path']}:")
            print(own["text"], flush=True)
        elif not own["written"]:
            output.say(f"{own['path']} has these settings already")
        else:
            kept = f"; what it was is in {own['backup']}" if own["backup"] else ""
            output.say(f"wrote {own['path']}{kept}")
    for note in found["notes"]:
        (output.remark if found["files"] else output.say)(note)
    if "checks" in found:
        output.print_pairs(rows(found))


def rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Each question, and what came of it."""
    return [(own["request"], own["problem"] or "ok") for own in found["checks"]]
