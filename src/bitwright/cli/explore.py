"""`bitwright explore`: pages about quantization, fed by a model of your own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bitwright.cli import models, options, output


def explore(
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help="The model the pages show.")] = "smollm2-135m",
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="A JSON report of eval or compare.")
    ] = None,
    fit: Annotated[Path | None, typer.Option("--fit", metavar="FILE", help="A history that fit wrote.")] = None,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="DIR", help="Write a site for any web server, and end.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0: any free one.")] = 8484,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address only.")] = False,
    threads: options.Threads = None,
) -> None:
    """Explore quantization in the browser, on your own model.

    The pages come from this machine and load nothing else. Ctrl-C ends the server. --export writes them as files
    instead.

    Example: bitwright explore smollm2-135m
    """
    from bitwright.explorer import app
    from bitwright.explorer.exhibits import Documents
    from bitwright.explorer.export import check
    from bitwright.explorer.export import export as write
    from bitwright.explorer.subject import Subject
    from bitwright.server import listening

    if export is not None:
        check(export)
    subject = Subject(models.resolve(model), Path(model).name, report, fit, export is None, threads)
    documents = Documents(subject)
    for name in ("site", "report", *(["allocation"] if fit else [])):  # what is no model, report or history is refused
        documents[name]
    if export is not None:
        with output.progress(f"exporting to {export}") as progress:
            size = write(documents, export, progress)
        output.say(f"{export}: {output.human_bytes(size)}; any web server can host it")
        return
    own = listening.listen("127.0.0.1", port)
    address = f"{listening.address(own)}/"
    with listening.serving(app.application(documents, own.getsockname()[1]), own) as answering:
        output.say(f"{address} (Ctrl-C ends it)")
        if not no_browser:
            import webbrowser

            webbrowser.open(address)
        listening.wait(answering)
