"""`bitwright hardware`: this machine, what it was measured to do, and how fast it is with each format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bitwright.cli import options, output

if TYPE_CHECKING:
    from bitwright.hardware.gpus import Gpu
    from bitwright.hardware.machine import Machine


def hardware(
    again: Annotated[bool, typer.Option("--again", help="Measure anew what was measured before.")] = False,
    json: options.Json = False,
) -> None:
    """Show this machine: cores, memory, GPUs, limits and speeds.

    Limits are measured in seconds with the instructions that the engine uses; for each format, the rate at which its
    weights are decoded from memory for one token, and multiplied with 512. They are kept in the cache; measure again
    when the machine has changed or was busy. Control groups are respected.

    Example: bitwright hardware --again
    """
    from bitwright.hardware.machine import this_machine

    with output.progress("measuring") as report:
        machine = this_machine(again, report)
    output.print_json(as_json(machine)) if json else show(machine)


def as_json(machine: Machine) -> dict[str, Any]:
    from dataclasses import asdict

    m, formats = machine.measured, rows(machine)
    return {
        **asdict(machine.system),
        "memory_bytes": machine.system.memory_bytes,
        "gpus": [asdict(gpu) for gpu in machine.gpus],
        "tiers": machine.tiers,
        "measured": m.date,
        "tier": m.tier,
        "threads": m.threads,
        "limits": {
            "read_gb_s": m.read / 1e9,
            "read_one_core_gb_s": m.read_one_core / 1e9,
            "int8_gop_s": m.int8 / 1e9,
            "bf16_gflop_s": m.float / 1e9,
            "fp32_gflop_s": m.float / 1e9,
        },
        "formats": formats,
    }


def rows(machine: Machine) -> list[dict[str, Any]]:
    from bitwright import formats

    found = [
        {
            "format": name,
            "bits_per_weight": formats.get(name).bits_per_weight,
            "decode_gb_s": rate.decode / 1e9,
            "decode_share_of_read": rate.decode / machine.measured.read,
            "prefill_gop_s": rate.prefill / 1e9,
        }
        for name, rate in machine.measured.kernels.items()
    ]
    return sorted(found, key=lambda row: row["bits_per_weight"])


def show(machine: Machine) -> None:
    s, m = machine.system, machine.measured
    physical = f"{s.cores_physical} cores, " if s.cores_physical else ""
    quota = f" (a control group allows {s.cpu_quota:g})" if s.cpu_quota else ""
    available = f", {output.human_bytes(s.memory_available)} available" if s.memory_available else ""
    limit = f"; a control group allows {output.human_bytes(s.memory_limit)}" if s.memory_limit else ""
    pairs = [
        ("processor", f"{s.cpu}, {s.name}"),
        ("cores", f"{physical}{s.cores_logical} logical, {s.cores_usable} usable{quota}"),
        ("features", " ".join(s.features) or "none that matter"),
        ("memory", f"{output.human_bytes(s.memory_total)}{available}{limit}"),
    ]
    if len(s.nodes) > 1:
        pairs.append(("NUMA", "; ".join(f"{n.cpus}: {output.human_bytes(n.memory_bytes)}" for n in s.nodes)))
    pairs += [("GPU", card(gpu)) for gpu in machine.gpus] or [("GPU", "none found")]
    pairs.append(("tier", f"{m.tier} (of {', '.join(machine.tiers)})"))
    output.print_pairs(pairs)
    reads = f"reads {m.read / 1e9:.1f} GB/s (one core {m.read_one_core / 1e9:.1f})"
    arithmetic = f"int8 {m.int8 / 1e9:.0f} Gop/s, float32 and bf16 {m.float / 1e9:.0f} Gflop/s"
    print(f"\nmeasured {m.date}, {m.threads} threads: {reads}, {arithmetic}\n")
    output.print_table(
        ["format", ">bits/weight", ">decode GB/s", ">of reads", ">prefill Gop/s"],
        [
            (r["format"], f"{r['bits_per_weight']:g}", f"{r['decode_gb_s']:.1f}",
             f"{100 * r['decode_share_of_read']:.0f}%", f"{r['prefill_gop_s']:.0f}")
            for r in rows(machine)
        ],
    )  # fmt: skip


def card(gpu: Gpu) -> str:
    parts = [
        gpu.name,
        gpu.isa,
        gpu.memory_bytes and output.human_bytes(gpu.memory_bytes),
        gpu.memory_free and f"{output.human_bytes(gpu.memory_free)} free",
        gpu.bandwidth and f"{gpu.bandwidth / 1e9:.0f} GB/s (computed from clock and width)",
        gpu.power_watts and f"{gpu.power_watts:.0f} W",
        gpu.device and f"--device {gpu.device}",
    ]
    return ", ".join(part for part in parts if part)
