"""`bitwright serve`: a model for editors and agents, over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bitwright.cli import complete, models, options, output
from bitwright.errors import UsageError

if TYPE_CHECKING:
    from bitwright.engine import Engine

PORT = 9931  # llama-server's, which clients of llama.cpp look for
NGRAM, OFF = "ngram", "off"  # of --draft
GUESSES = 15  # read with the token before them: 16 rows (benchmarks/results/speculation.md)


def serve(
    model: options.Model,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free one.")] = PORT,
    key: Annotated[
        str | None,
        typer.Option(
            "--api-key",
            metavar="KEY",
            envvar="BITWRIGHT_API_KEY",
            help="What clients must send; required if other machines can reach the server.",
            show_default=False,
        ),
    ] = None,
    context: options.RoomyContext = None,
    parallel: Annotated[
        int, typer.Option("-np", "--parallel", metavar="N", min=1, max=256, help="Answers written at the same time.")
    ] = 4,
    cache: Annotated[
        float | None,
        typer.Option(
            "--cache-memory",
            metavar="GB",
            min=0,
            help="Memory for prompts that were read; an eighth of the machine's if not given.",
            show_default=False,
        ),
    ] = None,
    disk: Annotated[
        float, typer.Option("--cache-disk", metavar="GB", min=0, help="Disk for prompts that were read; 0: none.")
    ] = 4,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=1, help="The most time that an answer may take.")
    ] = 3600,
    draft: Annotated[
        str,
        typer.Option(
            "--draft",
            metavar="MODEL",
            help="A smaller model of the same vocabulary that guesses what follows, so that several tokens are read at "
            "once; ngram: guess from what came before in the text; off: do not guess. Answers stay the same.",
            autocompletion=complete.model,
        ),
    ] = NGRAM,
    draft_max: Annotated[
        int, typer.Option(metavar="N", min=1, max=64, help="Most tokens guessed at a time.")
    ] = GUESSES,
    alias: Annotated[
        str | None,
        typer.Option(
            "--alias", metavar="NAME", help="The model's name for clients; MODEL if not given.", show_default=False
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin",
            metavar="ORIGIN",
            help="A page that may ask from a browser, besides those of this machine; repeatable.",
            show_default=False,
        ),
    ] = None,
    threads: options.Threads = None,
    kv: options.KV = "f16",
    cache_packed: options.CachePacked = False,
) -> None:
    """Serve a model to editors and agents.

    Speaks OpenAI's interface (/v1), Anthropic's and llama.cpp's, and has a page to chat at its address. Answers only
    this machine unless --host says otherwise. Ctrl-C ends it, after the answers being written.

    Example: bitwright serve qwen3-4b --kv q8_0
    """
    from bitwright.hardware import detect
    from bitwright.server import app, listening
    from bitwright.server.guard import is_loopback
    from bitwright.server.service import KEPT, Service

    if key is None and not is_loopback(host):
        raise UsageError(f"--host {host} lets other machines ask: give an --api-key (or BITWRIGHT_API_KEY)")
    if key is not None and not key.strip():
        raise UsageError("the API key is empty")
    own = listening.listen(host, port)
    web = app.application(host, key, allow_origin or ())
    with listening.serving(web, own) as answering:
        loaded = models.load(model, context, threads, kv, cache_packed=cache_packed)
        drafts = [] if draft in (NGRAM, OFF) else [drafted(draft, loaded, context, threads, kv)]
        loaded, *drafts = models.with_room([loaded, *drafts], [parallel + KEPT, *[parallel] * len(drafts)], context)
        kept = detect.system().memory_bytes // 8 if cache is None else int(cache * 1e9)
        with output.progress(f"loading {loaded.path.name}"):
            guesses = 0 if draft == OFF else draft_max
            on_disk = int(disk * 1e9)
            service = Service(loaded, alias or Path(model).name, parallel, kept, on_disk, timeout, guesses, *drafts)
        if guesses and not service.guesses:
            output.remark(f"{loaded.path.name} writes without guesses: its layers keep a state that cannot go back")
        app.begin(web, service)
        address = listening.address(own)
        output.say(f"{address}/v1 serves {service.name}, {loaded.context} tokens of context (Ctrl-C ends it)")
        listening.wait(answering)


def drafted(reference: str, served: Engine, context: int | None, threads: int | None, kv: str) -> Engine:
    """The model that guesses for the one that is served. UsageError if it has another vocabulary, or cannot read texts
    of the `context` that was asked for."""
    from bitwright.engine.speculation import check_vocabulary

    draft = models.load(reference, None, threads, kv)
    check_vocabulary(served.tokenizer, draft.tokenizer, f"--draft {reference}")
    if context is not None and draft.config.context < context:
        raise UsageError(f"--draft {reference} was trained on {draft.config.context} tokens of context, fewer than the "
                         f"{context} that are served: choose --ctx {draft.config.context}")  # fmt: skip
    return draft
