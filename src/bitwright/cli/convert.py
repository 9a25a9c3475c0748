"""`bitwright convert`: a checkpoint as a GGUF file of floats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bitwright.cli import models, options, output
from bitwright.cli.quantize import show
from bitwright.errors import UnknownNameError

FLOATS = ("f16", "bf16", "f32")


def convert(
    model: options.Model,
    out: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The GGUF file to write.")],
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="|".join(FLOATS),
            help="The precision of matrices; that of the source if not given.",
            show_default=False,
        ),
    ] = None,
    lora: options.Lora = None,
    split_max_size: Annotated[
        str | None,
        typer.Option(
            "--split-max-size",
            metavar="SIZE",
            help="Write several files of at most so much, such as 4GB, if one would be larger.",
            show_default=False,
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Write a GGUF file of the weights in a checkpoint.

    MODEL is a folder with config.json, safetensors and tokenizer files, or such a repository on the hub. quantize, fit,
    eval and run take it as it is; a converted file is for other programs.

    Example: bitwright convert Qwen/Qwen3-0.6B -o qwen3-0.6b.gguf
    """
    from bitwright import quantizers
    from bitwright.recipes import Recipe
    from bitwright.views.quantized import quantized as view

    if to is not None and to.lower() not in FLOATS:
        raise UnknownNameError("precision", to, FLOATS)
    most = None if split_max_size is None else options.parse_size("--split-max-size", split_max_size)
    source, adapter = models.resolve(model), None if lora is None else models.fetched(lora)
    with output.progress("converting") as report:
        recipe = Recipe() if to is None else Recipe.named(to)
        result = quantizers.quantize(source, recipe, out, progress=report, most_bytes=most, lora=adapter)
    output.print_json(view(result)) if json else show(result)
