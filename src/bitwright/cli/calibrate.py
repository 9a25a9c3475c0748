"""`bitwright calibrate`: what a model's inputs are like on texts, for `quantize --stats`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bitwright.cli import models, options, output
from bitwright.errors import UsageError

if TYPE_CHECKING:
    from bitwright.calibration import ActivationStatistics
    from bitwright.engine import Model
    from bitwright.engine.calibrate import Text


def calibrate(
    model: options.Model,
    file: Annotated[
        list[Path] | None,
        typer.Option(
            *("-f", "--file"),
            metavar="FILE",
            help="A text; may be repeated. Without: texts of this machine.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Where it goes (.dat: the old form).", show_default=False),
    ] = None,
    context: Annotated[
        int, typer.Option(*options.CONTEXT, metavar="N", min=8, help="Tokens in a chunk, each read afresh.")
    ] = 512,
    chunks: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Chunks of each text; all if not given.", show_default=False),
    ] = None,
    chat: Annotated[
        bool, typer.Option("--chat", help='The texts are JSON lines, {"messages": [...]}, for the chat template.')
    ] = False,
    hessian: Annotated[
        bool, typer.Option("--hessian", help="Second moments of all columns too: slower; error feedback needs them.")
    ] = False,
    fisher: Annotated[
        bool, typer.Option("--fisher/--no-fisher", help="With --hessian: weigh tokens by their gradient, or all alike.")
    ] = True,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of the labels that gradients are of.")] = 0,
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Gather the importance of every column of every weight.

    The file is an imatrix: llama.cpp reads it, and bitwright reads llama.cpp's. Use text like what the model will read,
    and never the text that you judge it by. What is done is kept beside the output in a folder FILE.partial; the same
    command takes it up again.

    Without -f a mix of some 300 kB is used that the machine has already: Python's language reference and library (PSF
    licence), NumPy's sources (BSD), and on Debian Perl's manuals (Artistic or GPL) and the texts of licences.

    Example: bitwright calibrate model.f16.gguf -f mine.txt -o model.imatrix.gguf
    """
    if chat and not file:
        raise UsageError("--chat needs conversations: -f FILE")
    if out is None:
        raise UsageError("calibrate needs a place for what it gathers: -o FILE")
    from bitwright.engine.calibrate import calibrate

    loaded = models.load(model, context, threads)
    texts = _texts(loaded, file or [], chat)
    started = time.monotonic()
    with output.progress("calibrating") as report:
        if hessian:
            statistics = _second_moments(loaded, texts, out, context, chunks, fisher, seed, report)
        else:
            statistics = calibrate(loaded, texts, context, chunks, report, out)
    seconds, tokens = time.monotonic() - started, statistics.chunks * context
    weighting = sorted({m.weighting for m in statistics.moments})
    if json:
        found = {"output": str(out), "weights": len(statistics.squares), "chunks": statistics.chunks}
        found |= {"tokens": tokens, "seconds": seconds}
        return output.print_json(found | {"moments": len(statistics.moments), "weighting": weighting})
    more = f", {len(statistics.moments)} second moments ({', '.join(weighting)})" if weighting else ""
    print(f"wrote {out}: {len(statistics.squares)} weights{more} over {tokens} tokens in {seconds:.1f} s")
    output.remark(f"next: bitwright quantize {model} --to q4_k_m --stats {out} -o small.gguf")


def _texts(model: Model, files: list[Path], chat: bool) -> list[Text]:
    """Of files, as they are or as conversations; without any, this machine's own, which is said."""
    from bitwright.calibration import mix
    from bitwright.engine.calibrate import conversations

    if not files:
        own = mix.texts()
        used = ", ".join(f"{source.name} ({source.licence}, {len(text) / 1e3:.0f} kB)" for source, text in own)
        output.remark(f"no -f: calibrating on what this machine has, though your own text is better: {used}")
        return [(source.name, text) for source, text in own]
    read = [(path, options.read_text(path)) for path in files]
    return [(path.name, conversations(model, text, path) if chat else text) for path, text in read]


def _second_moments(
    model: Model,
    texts: list[Text],
    out: Path,
    context: int,
    chunks: int | None,
    fisher: bool,
    seed: int,
    report: output.Report,
) -> ActivationStatistics:
    """Weighed by gradients, or where the model has an op without one, plain, which is said."""
    from bitwright.engine.moments import gather
    from bitwright.kernels.tape import missing

    lacking = missing(model.step) if fisher else []
    if lacking:
        output.remark(f"no gradient of {', '.join(lacking)} is known: all tokens count alike (as with --no-fisher)")
    return gather(model, texts, out, context, chunks, fisher and not lacking, seed, progress=report)
