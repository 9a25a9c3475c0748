"""`bitwright calibrate`: gather activation statistics on texts, for `quantize --stats`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bitwright.cli import models, options, output
from bitwright.errors import UsageError

if TYPE_CHECKING:
    from bitwright.calibration import ActivationStatistics
    from bitwright.calibration.texts import Text
    from bitwright.model.model import Model


def calibrate(
    model: options.Model,
    file: Annotated[
        list[Path] | None,
        typer.Option(
            *("-f", "--file"),
            metavar="FILE",
            help="A text; repeatable. If not given, texts found on this machine.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Where to write the statistics (.dat: llama.cpp's old format). If not given, a file here, named after "
            "the model: NAME.imatrix.gguf, with --hessian NAME.stats.gguf.",
            show_default=False,
        ),
    ] = None,
    context: Annotated[int, options.context("Tokens per chunk; each starts with no context.", shown=True)] = 512,
    chunks: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Chunks of each text; all if not given.", show_default=False),
    ] = None,
    chat: Annotated[
        bool,
        typer.Option("--chat", help='Read the texts as JSON lines, {"messages": [...]}, and apply the chat template.'),
    ] = False,
    hessian: Annotated[
        bool, typer.Option("--hessian", help="Also gather second moments, which error feedback needs; slower.")
    ] = False,
    fisher: Annotated[
        bool,
        typer.Option("--fisher/--no-fisher", help="With --hessian: weight tokens by their gradient, or all equally."),
    ] = True,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the labels that gradients are taken for.")] = 0,
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Gather the importance of every column of every weight.

    The file is an imatrix: llama.cpp reads it, and bitwright reads llama.cpp's. Use text like the text the model will
    read, and never the text you evaluate it on. Progress is saved in a folder FILE.partial; run the same command again
    to resume.

    Without -f, calibrate uses about 300 kB of text that the machine already has: Python's language reference and
    library (PSF licence), NumPy's sources (BSD), and on Debian Perl's manuals (Artistic or GPL) and licence texts.

    Example: bitwright calibrate model.f16.gguf -f mine.txt
    """
    if chat and not file:
        raise UsageError("--chat needs a file of conversations: -f FILE")
    from bitwright.calibration.importance import calibrate
    from bitwright.io import atomic
    from bitwright.views.calibration import calibration as view

    loaded = models.open(model)
    name = loaded.opened().called.removesuffix(".gguf")
    out = out or _unused(Path(f"{name}.{'stats' if hessian else 'imatrix'}.gguf"))
    atomic.check(out)
    texts = _texts(loaded, file or [], chat)
    started = time.monotonic()
    with output.progress("calibrating") as report:
        if hessian:
            statistics = _second_moments(loaded, texts, out, context, chunks, fisher, seed, threads, report)
        else:
            statistics = calibrate(loaded, texts, context, chunks, report, out, threads)
    found = view(statistics, out, context, time.monotonic() - started)
    if json:
        output.print_json(found)
        return
    more = f", {found['moments']} second moments ({', '.join(found['weighting'])})" if found["moments"] else ""
    read = f"{found['tokens']} tokens in {found['seconds']:.1f} s"
    output.say(f"wrote {out}: {found['weights']} weights{more} over {read}", 2)
    if missed := found["unreached"]:
        experts = sum(map(len, missed.values()))
        name, own = next(iter(missed.items()))
        output.remark(f"no token reached {experts} of the experts, such as {own[0]} of {name}: use more text")
    output.remark(f"next: bitwright quantize {model} --to q4_k_m --stats {out} -o small.gguf")


def _unused(path: Path) -> Path:
    """`path`, the output if the user names none. UsageError if it exists: only a name the user gave replaces a file."""
    if path.exists():
        raise UsageError(f"{path} exists; name an output: -o FILE")
    return path


def _texts(model: Model, files: list[Path], chat: bool) -> list[Text]:
    """The texts of files, as they are or as conversations; without files, texts of this machine, and a remark."""
    from bitwright.calibration import mix
    from bitwright.calibration.texts import conversations
    from bitwright.measure.horizon import held_out

    if not files:
        own = mix.texts()
        for source, text in own:
            held_out.check(source.name, text)
        used = ", ".join(f"{source.name} ({source.licence}, {len(text) / 1e3:.0f} kB)" for source, text in own)
        output.remark(f"no -f: calibrating on texts of this machine; your own text would be better: {used}")
        return [(source.name, text) for source, text in own]
    read = [(path, options.read_text(path)) for path in files]
    for path, text in read:
        held_out.check(path.name, text)
    return [(path.name, conversations(model, text, path) if chat else text) for path, text in read]


def _second_moments(
    model: Model,
    texts: list[Text],
    out: Path,
    context: int,
    chunks: int | None,
    fisher: bool,
    seed: int,
    threads: int | None,
    report: output.Report,
) -> ActivationStatistics:
    """Second moments weighted by gradients; plain, with a remark, if the model has an op without a gradient."""
    from bitwright.calibration.second_moments import gather
    from bitwright.kernels.tape import missing

    lacking = missing(model.step) if fisher else []
    if lacking:
        output.remark(f"no gradient is known for {', '.join(lacking)}: all tokens count equally (as with --no-fisher)")
    return gather(model, texts, out, context, chunks, fisher and not lacking, seed, progress=report, threads=threads)
