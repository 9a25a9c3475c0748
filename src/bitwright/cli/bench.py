"""`bitwright bench`: prefill and decode speed, beside what this machine can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bitwright.cli import models, options, output

if TYPE_CHECKING:
    from bitwright.evaluate.speed import Speed


def bench(
    model: options.Model,
    prompt: Annotated[int, typer.Option("-p", "--prompt", metavar="N", min=1, help="Tokens in a prefill.")] = 512,
    tokens: Annotated[int, typer.Option("-n", "--tokens", metavar="N", min=1, help="Tokens decoded one by one.")] = 128,
    depth: Annotated[
        int, typer.Option("-d", "--depth", metavar="N", min=0, help="Tokens already in the cache when decoding starts.")
    ] = 0,
    rounds: Annotated[
        int, typer.Option("-r", "--rounds", metavar="N", min=1, help="Repetitions; the median counts.")
    ] = 3,
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Time prefill and decode.

    Medians, each beside the share of what this machine was measured to do.

    Example: bitwright bench smollm2-135m -p 256 -n 64
    """
    from bitwright.evaluate import speed

    loaded = models.load(model, max(prompt, depth + tokens), threads)
    with output.progress("timing") as report:
        result = speed.measure(loaded, prompt=prompt, tokens=tokens, depth=depth, rounds=rounds, progress=report)
    output.print_json(as_json(result)) if json else print_result(result)


def as_json(s: Speed) -> dict[str, object]:
    return {
        "tier": s.tier,
        "threads": s.threads,
        "limits": {
            "read_gb_s": s.limits.read_gb_s,
            "int8_gop_s": s.limits.int8_gop_s,
            "bf16_gflop_s": s.limits.bf16_gflop_s,
        },
        "prefill": {"tokens": s.prompt, "tokens_per_second": s.prefill, "share_of_limit": s.prefill_share},
        "decode": {
            "depth": s.depth,
            "tokens": s.tokens,
            "tokens_per_second": s.decode,
            "share_of_limit": s.decode_share,
        },
    }


def print_result(s: Speed) -> None:
    rows = [
        ("prefill", f"{s.prompt} tokens", f"{s.prefill:.1f}", share(s.prefill_share, "int8 arithmetic")),
        ("decode", f"{s.tokens} tokens after {s.depth}", f"{s.decode:.1f}", share(s.decode_share, "memory reads")),
    ]
    output.print_table(["", "work", ">tokens/s", "share of this machine's limit"], rows)
    print()
    limits = [f"reads {s.limits.read_gb_s:.1f} GB/s"]
    if s.limits.int8_gop_s is not None:
        limits.append(f"int8 {s.limits.int8_gop_s:.0f} Gop/s")
    print(f"tier {s.tier}, {s.threads} threads; measured limits: {', '.join(limits)}")


def share(value: float | None, of: str) -> str:
    return "-" if value is None else f"{100 * value:.0f}% of {of}"
