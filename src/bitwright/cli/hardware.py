"""`bitwright hardware`: this machine, what it was measured to do, and how fast it is with each format."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bitwright.cli import options, output


def hardware(
    again: Annotated[bool, typer.Option("--again", help="Measure again instead of using the cache.")] = False,
    json: options.Json = False,
) -> None:
    """Show this machine: cores, memory, GPUs, limits and speeds.

    The first time, this takes a minute or two: limits are measured with the instructions that the engine uses, and for
    each format how fast its weights are decoded from memory for one token, and multiplied with 512 tokens. The results
    are cached; measure again when the machine has changed or was busy. Limits of control groups are respected.

    Example: bitwright hardware --again
    """
    from bitwright.hardware.machine import this_machine
    from bitwright.views.machine import machine as view

    with output.progress("measuring") as report:
        found = view(this_machine(again, report))
    output.print_json(found) if json else _show(found)


def _show(m: dict[str, Any]) -> None:
    output.print_pairs([("processor", f"{m['cpu']}, {m['name']}"), ("cores", _cores(m)), *_memory(m), *_cards(m)])
    limits = m["limits"]
    reads = f"reads {limits['read_gb_s']:.1f} GB/s (one core {limits['read_one_core_gb_s']:.1f})"
    floats = f"bf16 {limits['bf16_gflop_s']:.0f} Gflop/s, float32 {limits['float32_gflop_s']:.0f} Gflop/s"
    arithmetic = f"int8 {limits['int8_gop_s']:.0f} Gop/s, {floats}"
    print()
    output.say(f"measured {m['measured']}, {m['threads']} threads: {reads}, {arithmetic}\n", 2)
    output.print_table(
        ["format", ">bits/weight", ">decode GB/s", ">of reads", ">prefill Gop/s"],
        [
            (
                f["format"],
                f"{f['bits_per_weight']:g}",
                f"{f['decode_gb_s']:.1f}",
                f"{100 * f['decode_share_of_read']:.0f}%",
                f"{f['prefill_gop_s']:.0f}",
            )
            for f in m["formats"]
        ],
    )


def _cores(m: dict[str, Any]) -> str:
    physical = f"{m['cores_physical']} cores, " if m["cores_physical"] else ""
    quota = f" (a control group allows {m['cpu_quota']:g})" if m["cpu_quota"] else ""
    return f"{physical}{m['cores_logical']} logical, {m['cores_usable']} usable{quota}"


def _memory(m: dict[str, Any]) -> list[tuple[str, str]]:
    available = f", {output.human_bytes(m['memory_available'])} available" if m["memory_available"] else ""
    limit = f"; a control group allows {output.human_bytes(m['memory_limit'])}" if m["memory_limit"] else ""
    found = [
        ("features", " ".join(m["features"]) or "none that the kernels use"),
        ("memory", f"{output.human_bytes(m['memory_total'])}{available}{limit}"),
    ]
    if len(m["nodes"]) > 1:
        found.append(("NUMA", "; ".join(f"{n['cpus']}: {output.human_bytes(n['memory_bytes'])}" for n in m["nodes"])))
    return found


def _cards(m: dict[str, Any]) -> list[tuple[str, str]]:
    tier = ("tier", f"{m['tier']} (of {', '.join(m['tiers'])})")
    return [*([("GPU", _card(gpu)) for gpu in m["gpus"]] or [("GPU", "none found")]), tier]


def _card(gpu: dict[str, Any]) -> str:
    parts = [
        gpu["name"],
        gpu["isa"],
        gpu["memory_bytes"] and output.human_bytes(gpu["memory_bytes"]),
        gpu["memory_free"] and f"{output.human_bytes(gpu['memory_free'])} free",
        gpu["bandwidth"] and f"{gpu['bandwidth'] / 1e9:.0f} GB/s (computed from clock and width)",
        gpu["power_watts"] and f"{gpu['power_watts']:.0f} W",
        gpu["device"] and f"--device {gpu['device']}",
    ]
    return ", ".join(part for part in parts if part)
