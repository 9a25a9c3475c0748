"""`bitwright inspect`: what is in a model file."""

from __future__ import annotations

from typing import Annotated

import typer

from bitwright.cli import inspect_table, models, options, output, tensor_table


def inspect(
    model: options.Model,
    tensor: Annotated[
        str | None,
        typer.Option("--tensor", metavar="NAME", help="Show the statistics of one tensor.", show_default=False),
    ] = None,
    all: Annotated[
        bool, typer.Option("--all", help="List every tensor, and show metadata and template in full.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Show what a model file holds, tensor by tensor.

    Shows metadata, tokenizer, chat template, the shape, format and bytes of every tensor, and totals per format.
    --tensor shows the range, kurtosis, outliers and histogram of one tensor's values instead.

    Example: bitwright inspect smollm2-135m --tensor blk.0.ffn_down.weight
    """
    from bitwright.model import files

    file = files.open(models.resolve(model))
    if tensor is not None:
        from bitwright.measure.values import summarize
        from bitwright.views.tensor import tensor as tensor_view

        values = file.tensor(tensor).dequantize()
        found = tensor_view(file.tensors[tensor], summarize(values))
        output.print_json(found) if json else tensor_table.show(found)
        return
    from bitwright.views.inspect import inspect as view

    output.print_json(view(file)) if json else inspect_table.show(file, view(file), all)
