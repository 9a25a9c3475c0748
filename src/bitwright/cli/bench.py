"""`bitwright bench`: prefill and decode speed, beside what this machine can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bitwright.cli import explanations, models, options, output

if TYPE_CHECKING:
    from bitwright.bench.speed import Speed


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
    explain: Annotated[
        bool, typer.Option("--explain", help="Where the time goes, per operation and format, and what bounds it.")
    ] = False,
    threads: options.Threads = None,
    kv: options.KV = "f16",
    json: options.Json = False,
) -> None:
    """Time prefill and decode.

    Medians, each beside the fastest round, which is what `plan --this-machine` foretells, and the share of what this
    machine was measured to do, in the same minute and by the instructions the kernels use. --explain shows each
    operation's bytes, operations and share of the limits, and for each format of the model how fast its weights are
    unpacked and read.

    Example: bitwright bench smollm2-135m -p 256 -n 64 --explain
    """
    from bitwright.bench import speed

    loaded = models.load(model, max(prompt, depth + tokens), threads, kv)
    with output.progress("timing") as report:
        result = speed.measure(loaded, prompt=prompt, tokens=tokens, depth=depth, rounds=rounds, progress=report)
    explanation = None
    if explain:
        from bitwright.bench.profile import explain as explained

        with output.progress("watching") as report:
            explanation = explained(loaded, prompt, tokens, depth, rounds, report)
    if json:
        found = {} if explanation is None else {"explain": explanations.as_json(explanation)}
        return output.print_json(as_json(result) | found)
    print_result(result)
    if explanation is not None:
        explanations.show(explanation)


def as_json(s: Speed) -> dict[str, object]:
    return {
        "tier": s.tier,
        "threads": s.threads,
        "limits": {
            "read_gb_s": s.limits.read_gb_s,
            "read_one_core_gb_s": s.read_one_core_gb_s,
            "int8_gop_s": s.limits.int8_gop_s,
            "bf16_gflop_s": s.limits.bf16_gflop_s,
        },
        "prefill": {
            "tokens": s.prompt,
            "tokens_per_second": s.prefill,
            "fastest": s.fastest_prefill,
            "share_of_limit": s.prefill_share,
        },
        "decode": {
            "depth": s.depth,
            "tokens": s.tokens,
            "tokens_per_second": s.decode,
            "fastest": s.fastest_decode,
            "share_of_limit": s.decode_share,
        },
    }


def print_result(s: Speed) -> None:
    shares = f"{100 * s.prefill_share:.0f}% of its arithmetic", f"{100 * s.decode_share:.0f}% of its reads"
    rows = [
        ("prefill", f"{s.prompt} tokens", f"{s.prefill:.1f}", f"{s.fastest_prefill:.1f}", shares[0]),
        ("decode", f"{s.tokens} tokens after {s.depth}", f"{s.decode:.1f}", f"{s.fastest_decode:.1f}", shares[1]),
    ]
    output.print_table(["", "work", ">tokens/s", ">fastest round", "share of this machine's limit"], rows)
    x = s.limits
    print(f"\ntier {s.tier}, {s.threads} threads; measured limits: reads {x.read_gb_s:.1f} GB/s (one core "
          f"{s.read_one_core_gb_s:.1f}), int8 {x.int8_gop_s:.0f} Gop/s, bf16 {x.bf16_gflop_s:.0f} Gflop/s")  # fmt: skip
