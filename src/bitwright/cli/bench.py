"""`bitwright bench`: prefill and decode speed, as a share of what this machine can do."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bitwright.cli import models, options, output, profile_table


def bench(
    model: options.Model,
    prompt: Annotated[int, typer.Option("-p", "--prompt", metavar="N", min=1, help="Tokens in the prompt.")] = 512,
    tokens: Annotated[
        int, typer.Option("-n", "--tokens", metavar="N", min=1, help="Tokens to decode, one by one.")
    ] = 128,
    depth: Annotated[
        int, typer.Option("-d", "--depth", metavar="N", min=0, help="Tokens in the cache when decoding starts.")
    ] = 0,
    rounds: Annotated[
        int, typer.Option("-r", "--rounds", metavar="N", min=1, help="Repetitions; the median is shown.")
    ] = 3,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also show where the time goes, per operation and format.")
    ] = False,
    threads: options.Threads = None,
    kv: options.KV = "f16",
    cache_packed: options.CachePacked = False,
    json: options.Json = False,
) -> None:
    """Time prefill and decode.

    Shows the median and the fastest round, and the share of this machine's limits, which are measured in the same
    minute with the instructions that the kernels use. The fastest round is what `plan --this-machine` predicts.
    --explain adds each operation's bytes, operations and share of the limits, and how fast the weights of each format
    are unpacked and read.

    Example: bitwright bench smollm2-135m -p 256 -n 64 --explain
    """
    from bitwright.bench import profile, speed
    from bitwright.views.bench import bench as view
    from bitwright.views.profile import profile as profile_view

    loaded = models.load(model, max(prompt, depth + tokens), threads, kv, cache_packed=cache_packed)
    with output.progress("timing") as report:
        result = speed.measure_speed(loaded, prompt=prompt, tokens=tokens, depth=depth, rounds=rounds, progress=report)
    found = view(result)
    if explain:
        with output.progress("profiling") as report:
            found["explain"] = profile_view(profile.profile(loaded, prompt, tokens, depth, rounds, report))
    if json:
        output.print_json(found)
        return
    _show(found)
    if explain:
        profile_table.show(found["explain"])


def _show(found: dict[str, Any]) -> None:
    prefill, decode, limits = found["prefill"], found["decode"], found["limits"]
    rows = [
        _row("prefill", f"{prefill['tokens']} tokens", prefill, "arithmetic"),
        _row("decode", f"{decode['tokens']} tokens after {decode['depth']}", decode, "reads"),
    ]
    output.print_table(["", "work", ">tokens/s", ">fastest round", "share of this machine's limit"], rows)
    reads = f"reads {limits['read_gb_s']:.1f} GB/s (one core {limits['read_one_core_gb_s']:.1f})"
    floats = f"bf16 {limits['bf16_gflop_s']:.0f} Gflop/s, float32 {limits['float32_gflop_s']:.0f} Gflop/s"
    arithmetic = f"int8 {limits['int8_gop_s']:.0f} Gop/s, {floats}"
    print()
    output.say(f"tier {found['tier']}, {found['threads']} threads; measured limits: {reads}, {arithmetic}", 2)


def _row(name: str, work: str, x: dict[str, Any], limit: str) -> tuple[str, ...]:
    share = f"{100 * x['share_of_limit']:.0f}% of its {limit}"
    return name, work, f"{x['tokens_per_second']:.1f}", f"{x['fastest']:.1f}", share
