"""`bitwright quantize`: a recipe applied to a model, streamed from file to file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bitwright.cli import complete, models, options, output
from bitwright.errors import UsageError

if TYPE_CHECKING:
    from bitwright.quantizers import QuantizeResult


def quantize(
    model: options.Model,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="RECIPE",
            help="A file type of llama.cpp (q4_k_m, q4_0, q8_0, ...), or a recipe file: FILE.toml.",
            show_default=False,
            autocompletion=complete.recipe,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="The GGUF file to write; with --vllm, a folder.", show_default=False
        ),
    ] = None,
    tensor_type: Annotated[
        list[str] | None,
        typer.Option(
            "--tensor-type",
            metavar="REGEX=FORMAT",
            help="The format of tensors whose name matches; repeatable, and the first match decides.",
            show_default=False,
        ),
    ] = None,
    tensor_type_file: Annotated[
        Path | None,
        typer.Option(
            "--tensor-type-file",
            metavar="FILE",
            help="More of these, in a file that llama-quantize can read; --tensor-type takes precedence.",
            show_default=False,
        ),
    ] = None,
    lora: options.Lora = None,
    vllm: Annotated[
        bool,
        typer.Option("--vllm", help="Write a checkpoint for vLLM into a folder, in q4_0, q8_0, mxfp4, nvfp4 or fp8."),
    ] = False,
    stats: Annotated[
        Path | None,
        typer.Option(
            "--stats",
            "--imatrix",
            metavar="FILE",
            help="Activation statistics that weight errors: a file from `calibrate`, or llama.cpp's imatrix.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD",
            help="How codes are chosen: rtn, as llama.cpp does; search, for the least error in each block; feedback, "
            "for the least change in the layer's outputs. Default: the last of these that --stats allows.",
            show_default=False,
            autocompletion=complete.method,
        ),
    ] = None,
    effort: Annotated[
        int, typer.Option(metavar="0-3", min=0, max=3, help="How long feedback keeps reducing the error.")
    ] = 2,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report what would be done, and write nothing.")] = False,
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Write a smaller GGUF file.

    bitwright, llama.cpp and programs built on it can run the file. A recipe file holds patterns in order; the first
    that matches a tensor's name decides its format.

    Example: bitwright quantize model.f16.gguf --to q4_k_m -o model.q4_k_m.gguf
    """
    if out is None and not dry_run:
        raise UsageError("quantize needs an output file: -o FILE (or --dry-run)")
    from bitwright import quantizers, recipes
    from bitwright.views.quantized import quantized as view

    adapter = None if lora is None else models.fetched(lora)
    if vllm:
        if out is None or dry_run or tensor_type or tensor_type_file is not None:
            raise UsageError("--vllm writes all layers in one format: leave out --dry-run and the tensor types")
        from bitwright.quantizers.compressed import quantize_for_vllm

        source = models.resolve(model)
        with output.progress(f"quantizing to {to}") as report:
            result = quantize_for_vllm(source, to, out, threads, report, stats, method, effort, adapter)
        output.print_json(view(result)) if json else show(result, next="vllm serve")
        return
    recipe = recipes.find(to)
    if tensor_type_file is not None:
        recipe = recipe.preceded(recipes.read_tensor_types(tensor_type_file))
    source = models.resolve(model)
    with output.progress(f"quantizing to {to}") as report:
        result = quantizers.quantize(
            source,
            recipe,
            out,
            tensor_type or (),
            dry_run=dry_run,
            threads=threads,
            progress=report,
            stats=stats,
            method=method,
            effort=effort,
            lora=adapter,
        )
    output.print_json(view(result)) if json else show(result, dry_run)


def show(result: QuantizeResult, dry_run: bool = False, next: str = "") -> None:
    """Print what was, or would be, written. next: the command that takes it, if it is not bitwright's."""
    from bitwright.recipes import fallbacks

    count: Counter[str] = Counter()
    size: Counter[str] = Counter()
    methods: dict[str, set[str]] = {}
    for a, method in zip(result.assignments, result.methods, strict=True):
        methods.setdefault(a.format.name, set()).update([method] if method else [])
        count[a.format.name] += 1
        size[a.format.name] += a.bytes
    rows = [(name, count[name], output.human_bytes(size[name]), "/".join(sorted(methods[name]))) for name in count]
    rows.sort(key=lambda row: -size[row[0]])
    output.print_table(["format", ">tensors", ">bytes", "method"], rows)
    print()
    for line in [*result.warnings, *fallbacks(result.assignments)]:
        output.say(line, 2)
    whole = (
        f"{output.human_bytes(result.bytes)} ({result.bits_per_weight:.2f} bits per weight, "
        f"{100 * result.bytes / result.source_bytes:.0f}% of the source)"
    )
    if dry_run:
        output.say(f"would write {whole}", 2)
    else:
        output.say(f"wrote {result.output}: {whole} in {result.seconds:.1f} s", 2)
        output.remark(f"next: {next} {result.output}" if next else f'next: bitwright run {result.output} "Hello"')
