"""`bitwright fit`: a budget in, the best file that fits out."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bitwright.cli import complete, fit_asked, fitting, models, options
from bitwright.errors import UsageError

INTERRUPTED = 130  # as after Ctrl-C in any other verb


def fit(
    model: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="The model in float16 or bfloat16; of several, the one that is best in the budget is kept.",
            show_default=False,
            autocompletion=complete.model,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="The GGUF file to write.", show_default=False),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Budget: memory for weights, cache, buffers and the engine, such as 8GB.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Budget: the memory of a device, such as 3090.",
            show_default=False,
            autocompletion=complete.device,
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Budget: bytes of the file, such as 4.2GB.", show_default=False)
    ] = None,
    bits: Annotated[
        float | None,
        typer.Option(
            "--bits-per-weight", metavar="N", min=1, help="Budget: stored bits over all weights.", show_default=False
        ),
    ] = None,
    match: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Budget: as many bytes as this GGUF file has.", show_default=False),
    ] = None,
    max_kl: Annotated[
        float | None,
        typer.Option(
            metavar="NATS",
            min=1e-9,
            help="Instead of a budget, the KL divergence that may be lost: the smallest file is searched.",
            show_default=False,
        ),
    ] = None,
    min_speed: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            min=1e-3,
            help="Also decode N tokens per second, as predicted for --device.",
            show_default=False,
        ),
    ] = None,
    context: Annotated[
        int | None, options.context("Tokens of context that must fit; 8192, or the model's own if shorter.")
    ] = None,
    kv: options.KV = "f16",
    engine: Annotated[
        str, typer.Option(metavar="NAME", help="Whose memory is counted: llama.cpp or bitwright.")
    ] = "llama.cpp",
    minutes: Annotated[
        float, typer.Option(metavar="N", min=0.1, help="Time for everything: what does not fit is cut, and said.")
    ] = 20.0,
    evaluations: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="End the search once N chunks of text were run, and cut nothing for lack of time: a slower machine "
            "finds the same.",
            show_default=False,
        ),
    ] = None,
    stats: Annotated[
        Path | None,
        typer.Option(
            *("--stats", "--imatrix"),
            metavar="FILE",
            help="Activation statistics from `calibrate --hessian`; gathered on the search text if not given.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option(
            *("-f", "--file"),
            metavar="FILE",
            help="A text to search on; repeatable. If not given, texts found on this machine.",
            show_default=False,
        ),
    ] = None,
    held_out: Annotated[
        Path | None,
        typer.Option(
            "--held-out",
            metavar="FILE",
            help="The text of the final measurement, never searched on. If not given, bitwright's own.",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.toml",
            help="In place of a budget, a recipe that was found for a sister model: nothing is searched.",
            show_default=False,
        ),
    ] = None,
    palette: Annotated[
        str | None,
        typer.Option(
            metavar="FAMILIES",
            help="Families of formats to choose from: k,iq,fp4,2bit. All, if not given.",
            show_default=False,
        ),
    ] = None,
    objective: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="What to make small: the mean KL divergence, its tail, or how often greedy texts change: "
            "mean, tail or divergence.",
        ),
    ] = "mean",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of every random choice.")] = 0,
    save_recipe: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the recipe to a .toml file, for `quantize --to` and `fit --recipe`.",
            show_default=False,
        ),
    ] = None,
    tensor_types: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the recipe for llama-quantize --tensor-type-file.", show_default=False
        ),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write all that was tried to a JSON file.", show_default=False),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Spread the work over a Ray cluster.", show_default=False),
    ] = None,
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Find the best file for a budget.

    Every tensor gets its own format. Whole candidates are measured against the original, and the final file is measured
    on text that the search never read. Everything that takes memory is counted. Ctrl-C writes the best file so far; the
    same command goes on where it was. The exit code is 3 if no choice of formats meets the budget.

    Example: bitwright fit model.f16.gguf --memory 8GB -o small.gguf
    """
    if out is None:
        raise UsageError("fit needs an output file: -o FILE")
    from bitwright import recipes
    from bitwright.fit.settings import Settings

    fit_asked.different({"-o": out, "--save-recipe": save_recipe, "--tensor-types": tensor_types, "--history": history})
    if save_recipe is not None:
        recipes.check_name(save_recipe)
    ask = partial(fit_asked.asked, memory, device, size, bits, match, max_kl, min_speed, context, kv, engine)
    wanted = ask() if recipe is None else (recipe, recipes.find(recipe))
    if recipe is not None and any(given is not None for given in ask.args[:7]):
        raise UsageError("--recipe takes the place of a budget: leave out one of them")
    if max_kl is not None and objective != "mean":
        raise UsageError("--max-kl limits the mean KL divergence: leave out --objective")
    settings = Settings(minutes, stats, objective=objective, seed=seed, threads=threads, ray=ray,
                        evaluations=evaluations)  # fmt: skip
    if palette is not None:
        settings = replace(settings, palette=tuple(part.strip() for part in palette.lower().split(",")))
    settings = replace(settings, search=fit_asked.texts(file), held_out=fit_asked.held_out(held_out))
    sources = [models.resolve(name) for name in dict.fromkeys(model)]
    result = fitting.fitted(sources, wanted, settings, out, json)
    fitting.keep(result, save_recipe, tensor_types, history)
    if result.interrupted:
        raise typer.Exit(INTERRUPTED)
