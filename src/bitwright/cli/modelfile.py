"""`bitwright modelfile`: a GGUF file for Ollama."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bitwright.cli import options, output


def modelfile(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A GGUF file; of a split set, the first.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Where to write it; printed if not given.", show_default=False
        ),
    ] = None,
    context: Annotated[int | None, options.context("Context length in tokens; Ollama's choice if not given.")] = None,
) -> None:
    """Write a Modelfile, with which Ollama makes a model of a GGUF file.

    It holds the file's chat template in Ollama's language, where that is possible; the tokens that end a reply, the
    sampling that the model's makers suggest, and the license. The Modelfile belongs into the folder of the file.

    Example: bitwright modelfile model.gguf -o Modelfile && ollama create my-model
    """
    from bitwright.io import atomic, gguf, kinds
    from bitwright.views import modelfile as view

    opened = gguf.open(file)
    kinds.check_model(opened)
    text, has_template = view.modelfile(opened, context)
    if out is None:
        print(text, end="")
    else:
        with atomic.replacing(out) as written:
            written.write(text.encode())
    if not has_template:
        output.remark(f"no TEMPLATE: {file.name} has no chat template, or one that is more than fixed texts around "
                      "turns; Ollama looks for one that it knows")  # fmt: skip
