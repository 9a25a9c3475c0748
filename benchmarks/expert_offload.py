"""Compares predicted with published speeds of mixtures whose experts partly stay in the computer's memory.

    python benchmarks/expert_offload.py --write

The runs are llama.cpp's with --n-cpu-moe. None of them took part in fitting the speed model, which knows a GPU and a
CPU only apart. A processor's lanes are counted from its cores, clock and instructions; its memory is what the source
measured or states, or the fastest that its maker supports. --write writes benchmarks/results/expert-offload.md.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

from reporting import markdown, write

from bitwright.hardware import devices
from bitwright.hardware.devices import Device
from bitwright.hardware.forecast import decode_split
from bitwright.hardware.weights import assign
from bitwright.model.architectures.outline import from_published

GIGA, TERA = 1e9, 1e12


@dataclass(frozen=True)
class Gpu:
    """like: a device of its architecture in the list; or the device itself, if no figures are given."""

    name: str
    like: str
    bandwidth: float | None = None
    float32: float = 0.0

    def device(self) -> Device:
        found = devices.find(self.like)[0]
        if self.bandwidth is None:
            return found
        return replace(found, id=self.name, bandwidth=self.bandwidth, vector={"fp32": self.float32})


@dataclass(frozen=True)
class Cpu:
    """int8: operations per second of its lanes, of 8-bit dot products or, without them, of float32."""

    name: str
    bandwidth: float
    int8: float

    def device(self) -> Device:
        found = devices.find("ryzen-9-5950x")[0]
        return replace(found, id=self.name, arch="", bandwidth=self.bandwidth, vector={"int8": self.int8})


@dataclass(frozen=True)
class Run:
    model: str
    recipe: str
    gpu: Gpu
    cpu: Cpu
    layers: int
    measured: float
    source: str


RTX_2080 = Gpu("RTX 2080", "2080 Ti", 448 * GIGA, 10.1 * TERA)
RTX_A1000 = Gpu("RTX A1000", "3060", 192 * GIGA, 6.7 * TERA)
RTX_5070_TI = Gpu("RTX 5070 Ti", "5070 Ti")
I9_10900X = Cpu("i9-10900X, 102 GB/s measured", 102 * GIGA, 8.4 * TERA)
I9_9900T = Cpu("i9-9900T, DDR4-2666", 42.7 * GIGA, 0.8 * TERA)
R7_9800X3D = Cpu("Ryzen 7 9800X3D, DDR5-5600", 89.6 * GIGA, 10.2 * TERA)

RUNS = (
    Run("qwen3-30b-a3b", "q4_k_m", RTX_2080, I9_10900X, 36, 36.7, "https://github.com/AlexsJones/llmfit/pull/755"),
    Run("qwen3.6-35b-a3b", "q4_k_m", RTX_A1000, I9_9900T, 40, 26.15,
        "https://github.com/ikawrakow/ik_llama.cpp/issues/2199"),
    Run("qwen3.6-35b-a3b", "q4_k_m", RTX_5070_TI, R7_9800X3D, 40, 51, "https://setupai.cc/update/79-ts-6d332fbe"),
    Run("qwen3.6-35b-a3b", "q4_k_m", RTX_5070_TI, R7_9800X3D, 20, 79, "https://setupai.cc/update/79-ts-6d332fbe"),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    headers = ["model", "format", "GPU", "CPU", ">layers", ">predicted t/s", ">measured", ">error", "source"]
    table = markdown(headers, [row(run) for run in RUNS], {"llama.cpp": "as published"})
    print("\n".join(table))
    if args.write:
        write("expert-offload", "Experts in the computer's memory", "expert_offload.py", table)


def row(run: Run) -> list[str]:
    outline = from_published(run.model)
    assignments = assign(outline, run.recipe)
    found = decode_split(run.gpu.device(), run.cpu.device(), outline, assignments, run.layers, depth=128)
    predicted = f"{found.tokens_per_second:.1f} ({found.low:.0f}-{found.high:.0f})"
    error = f"{found.tokens_per_second / run.measured - 1:+.0%}"
    name = f"[{run.source.split('/')[2]}]({run.source})"
    return [run.model, run.recipe, run.gpu.name, run.cpu.name, str(run.layers), predicted, f"{run.measured:g}", error,
            name]  # fmt: skip


if __name__ == "__main__":
    main()
