"""`bitwright inspect`: what is in a model file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bitwright.cli import layout, models, options, output

if TYPE_CHECKING:
    from bitwright.io.gguf import GGUF, TensorInfo
    from bitwright.measure.values import Statistics

BAR = 40  # characters of the longest bar of a histogram
LONG = 100  # characters of a metadata value that are shown without --all


def inspect(
    model: options.Model,
    tensor: Annotated[
        str | None,
        typer.Option("--tensor", metavar="NAME", help="Statistics of one tensor's values.", show_default=False),
    ] = None,
    all: Annotated[
        bool, typer.Option("--all", help="Every tensor on its own line, metadata and template in full.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Show what a model file holds, tensor by tensor.

    Metadata, tokenizer, chat template, every tensor with shape, format and bytes, totals per format. --tensor adds
    the range, kurtosis, outliers and histogram of one tensor's values.

    Example: bitwright inspect smollm2-135m --tensor blk.0.ffn_down.weight
    """
    from bitwright.io import gguf

    file = gguf.open(models.resolve(model))
    if tensor is not None:
        inspect_tensor(file, tensor, json)
    elif json:
        output.print_json(describe(file))
    else:
        print_file(file, all)


def describe(file: GGUF) -> dict[str, Any]:
    """Everything but the values of the tensors, as plain objects."""
    parameters, stored = totals(file)
    return {
        "path": str(file.path),
        "version": file.version,
        "architecture": file.metadata.get("general.architecture"),
        "parameters": parameters,
        "file_bytes": file.file_bytes,
        "bits_per_weight": 8 * stored / parameters if parameters else None,
        "tensors": [
            {"name": t.name, "shape": t.shape, "format": t.format.name, "bytes": t.nbytes}
            for t in file.tensors.values()
        ],
        "formats": layout.by_format(file),
        "tokenizer": layout.tokenizer(file),
        "chat_template": file.metadata.get("tokenizer.chat_template"),
        "metadata": {key: layout.short(file, key) for key in file.metadata},
    }


def totals(file: GGUF) -> tuple[int, int]:
    """Weights in the file, and the bytes they are stored in."""
    tensors = file.tensors.values()
    return sum(layout.count(t.shape) for t in tensors), sum(t.nbytes for t in tensors)


def print_file(file: GGUF, all: bool) -> None:
    print(output.bold("metadata"))
    output.print_pairs([(key, layout.shown(file, key, None if all else LONG)) for key in layout.plain_keys(file)], 2)
    print(output.bold("\ntokenizer"))
    output.print_pairs(list(layout.tokenizer(file).items()), 2)
    template = file.metadata.get("tokenizer.chat_template")
    print(output.bold("\nchat template"))
    print(
        "  none"
        if template is None
        else layout.indented(output.printable(str(template)), 2)
        if all
        else f"  {len(str(template))} characters (--all shows it)"
    )
    if file.tensors:
        print(output.bold("\ntensors"))
        rows = layout.tensor_rows(file, collapse=not all)
        output.print_table(["name", ">count", ">shape", "format", ">bytes", ">bits/weight"], rows, 2)
        print(output.bold("\nformats"))
        rows = [
            (
                f["format"],
                f["tensors"],
                output.human_count(f["parameters"]),
                output.human_bytes(f["bytes"]),
                f"{f['bits_per_weight']:.3f}",
            )
            for f in layout.by_format(file)
        ]
        output.print_table(["format", ">tensors", ">weights", ">bytes", ">bits/weight"], rows, 2)
    parameters, stored = totals(file)
    size = output.human_bytes(file.file_bytes)
    weights = (
        f"{output.human_count(parameters)} parameters, {8 * stored / parameters:.3f} bits per weight"
        if parameters
        else "no tensors"
    )
    architecture = file.metadata.get("general.architecture", "no architecture")
    print(f"\n{output.bold(file.path.name)}: {architecture}, {weights}, {size}")


def inspect_tensor(file: GGUF, name: str, json: bool) -> None:
    from bitwright.measure.values import statistics

    s = statistics(file.tensor(name).dequantize())
    info = file.tensors[name]
    print_statistics_json(info, s) if json else print_statistics(info, s)


def print_statistics_json(info: TensorInfo, s: Statistics) -> None:
    figures = {
        key: getattr(s, key)
        for key in ("count", "not_finite", "zeros", "minimum", "maximum", "mean", "standard_deviation", "kurtosis")
    }
    output.print_json(
        {
            "name": info.name,
            "shape": info.shape,
            "format": info.format.name,
            "bytes": info.nbytes,
            **figures,
            "outliers": [{"index": o.index, "value": o.value, "deviations": o.deviations} for o in s.outliers],
            "histogram": {"edges": s.edges, "counts": s.histogram},
        }
    )


def print_statistics(info: TensorInfo, s: Statistics) -> None:
    print(
        f"{output.bold(info.name)}: {layout.shape(info.shape)}, {info.format.name}, {output.human_bytes(info.nbytes)}\n"
    )
    output.print_pairs(
        [
            ("range", f"{s.minimum:.6g} to {s.maximum:.6g}"),
            ("mean", f"{s.mean:.6g}"),
            ("standard deviation", f"{s.standard_deviation:.6g}"),
            ("kurtosis", f"{s.kurtosis:.2f} (a normal distribution has 3)"),
            ("zeros", f"{s.zeros} of {s.count}"),
            *([("NaN or infinite", s.not_finite)] if s.not_finite else []),
        ]
    )
    print(output.bold("\nlargest outliers"))
    rows = [(", ".join(map(str, o.index)), f"{o.value:.6g}", f"{o.deviations:+.1f}") for o in s.outliers]
    output.print_table([">row, column" if len(info.shape) > 1 else ">index", ">value", ">standard deviations"], rows, 2)
    print(output.bold("\nhistogram"))
    highest = max(int(s.histogram.max()), 1)
    bars = [
        (f"{low:.4g}", int(count), "#" * round(BAR * int(count) / highest) or ("." if count else ""))
        for low, count in zip(s.edges[:-1], s.histogram, strict=True)
    ]
    output.print_table([">from", ">values", ""], bars, 2)
