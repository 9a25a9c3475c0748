"""The C++ tests (native/tests) on every tier: natively, VNNI emulated, Arm under qemu.

A tier takes 10 to 20 seconds to compile, so all of them are for CI. Every other test of the kernels runs on the tiers
that this machine has, and here one of Arm is tried.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bitwright import kernels

NATIVE = Path(__file__).resolve().parents[2] / "native"
FLAGS = ["-std=c++20", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off", "-Wall", "-Wextra"]
FLAGS.append("-Dalways_inline=unused")  # code that is not optimized compiles in two thirds of the time without it
ON_X86 = platform.machine() in ("x86_64", "AMD64")


EMULATED = ("avx_vnni", "avx512_vnni", "avx512_bf16")
PROGRAMS = ("kernel_test", "attention_test", "encoder_test")
SHARED = ("format_info.cpp", "dispatch.cpp", "platform.cpp", "pool.cpp")
CMAKE = (NATIVE.parent / "CMakeLists.txt").read_text()
# The flags of each tier, without those for optimization.
FLAGS_OF = {tier: [f for f in flags.split() if f.startswith("-m")]
            for tier, flags in reversed(re.findall(r"set\(flags_(\w+) ([^)]*)\)", CMAKE))}  # fmt: skip


def build(
    folder: Path,
    compiler: list[str],
    tiers: dict[str, list[str]],
    encoders: dict[str, list[str]],
    flags: Sequence[str] = (),
    linker: Sequence[str] = (),
    programs: Sequence[str] = PROGRAMS,
) -> list[Path]:
    """The C++ tests with these tiers and encoders, each with its flags; `flags` go to all of them."""
    has = [f"-DBITWRIGHT_HAS_{tier}" for tier in tiers if f"-DEMULATED_{tier}" not in flags]
    sources = {NATIVE / f"tiers/{tier}.cpp": own for tier, own in tiers.items()}
    sources |= {NATIVE / f"quantize/{name}.cpp": own for name, own in encoders.items()}
    others = [*SHARED, *(f"tests/{program}.cpp" for program in programs)]
    sources |= {NATIVE / f: ["-O1"] for f in others}

    def compile(item: tuple[Path, list[str]]) -> Path:
        target = folder / f"{item[0].parent.name}_{item[0].stem}.o"
        run([*compiler, *FLAGS, f"-I{NATIVE}", *has, *flags, *item[1], "-c", item[0], "-o", target])
        return target

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compile, sources.items()))
    shared = [o for o in objects if not o.stem.startswith("tests_")]
    for program in programs:
        run([*compiler, *shared, folder / f"tests_{program}.o", *linker, "-pthread", "-o", folder / program])
    return [folder / program for program in programs]


def check(programs: list[Path], tiers: list[str], *emulator: str) -> None:
    """Each program prints a line for each tier and nothing else."""
    for program in programs:
        out = run([*emulator, program])
        assert [line.split(":")[0] for line in out.splitlines()] == tiers, out


def run(command: list) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr[-4000:]}"
    return done.stdout


def tool(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (Debian: {package})")
    return path


def compiler() -> list[str]:
    command = shlex.split(os.environ.get("CXX", "g++"))
    tool(command[0], "g++")
    return command


def sanitizers() -> list[str]:
    """Flags that end a program at an access out of bounds or undefined behaviour; none, and a warning, if the compiler
    lacks them. The latter only traps: messages would take as long to compile as the code. `make sanitize` prints them.
    """
    flags = ["-fsanitize=address,undefined", "-fsanitize-undefined-trap-on-error"]
    empty = [*compiler(), *flags, "-xc++", "-", "-o", os.devnull]
    if subprocess.run(empty, input=b"int main() {}", capture_output=True).returncode:
        warnings.warn(f"the compiler has no {flags[0]}: the kernels are tested without", stacklevel=2)
        return []
    return flags


@pytest.mark.slow
@pytest.mark.skipif(not ON_X86, reason="VNNI is emulated with AVX2")
def test_x86_tiers(tmp_path: Path) -> None:
    """avx2 and its encoders under the sanitizers, and the arithmetic of the tiers above it by AVX2 and SIMDe, on any
    machine. scalar, which has no instructions of its own, is tested on Arm, and by every other test of the kernels."""
    if not Path("/usr/include/simde/x86/avx512.h").exists():
        pytest.skip("SIMDe is not installed (Debian: libsimde-dev)")
    if "avx2" not in kernels.tiers():
        pytest.skip("this machine has no AVX2")
    avx2, checks = ["-O0", *FLAGS_OF["avx2"]], sanitizers()
    # A check that is a call of a function compiles faster than the same in place.
    checked = [*checks, "--param=asan-instrumentation-with-call-threshold=0"] if checks else []
    tiers = {"avx2": [*avx2, *checked]} | {tier: [*avx2, "-w"] for tier in EMULATED}
    emulated = ["-DBITWRIGHT_EMULATE_VNNI", *(f"-DEMULATED_{tier}" for tier in EMULATED)]
    check(build(tmp_path, compiler(), tiers, {"avx2": ["-O0", *checked]}, emulated, checks), list(tiers))


def check_arm(
    folder: Path,
    names: Sequence[str],
    encoders: dict[str, list[str]],
    linker: Sequence[str] = (),
    programs: Sequence[str] = PROGRAMS,
) -> None:
    """These tiers: natively on Arm, elsewhere cross-compiled and run by qemu."""
    tiers = {tier: ["-O0", *FLAGS_OF[tier]] for tier in names}
    if platform.machine() in ("aarch64", "arm64") and "neon_i8mm" in kernels.tiers():
        check(build(folder, compiler(), tiers, encoders, (), linker, programs), list(tiers))
    else:
        cross = tool("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu")
        qemu = tool("qemu-aarch64-static", "qemu-user-static")
        built = build(folder, [cross], tiers, encoders, (), ["-static", *linker], programs)
        check(built, list(tiers), qemu, "-cpu", "max")


def test_products_on_arm(tmp_path: Path) -> None:
    # No encoder is called, and they take as long to compile as the tier.
    check_arm(tmp_path, ["neon_i8mm"], {}, ["-static", "-Wl,--unresolved-symbols=ignore-all"], PROGRAMS[:1])


@pytest.mark.slow
def test_arm_tiers(tmp_path: Path) -> None:
    # No other test runs the portable encoders optimized, as they are shipped.
    check_arm(tmp_path, ["scalar", "neon_dotprod", "neon_i8mm"], {"portable": ["-O1"]})


def test_the_dispatcher_checks_every_flag() -> None:
    """A tier requires the features of its flags that cpu.h lists, so each flag must have a line there."""
    listed = set(re.findall(r"#ifdef __(\w+?)_*\n", (NATIVE / "cpu.h").read_text()))
    names = {"dotprod": "DOTPROD", "i8mm": "MATMUL_INT8", "fp16": "FP16_VECTOR_ARITHMETIC"}
    for tier in ("avx2", *EMULATED):
        flags = [f for f in FLAGS_OF[tier] if not f.startswith("-mprefer-vector-width")]
        assert {f.removeprefix("-m").upper() for f in flags} <= listed, tier
    for tier in ("neon_dotprod", "neon_i8mm"):
        (flag,) = FLAGS_OF[tier]
        base, *extensions = flag.removeprefix("-march=").split("+")
        assert base == "armv8.2-a"  # a later one would allow more than is listed
        assert {f"ARM_FEATURE_{names[e]}" for e in extensions} <= listed, tier


def forced(tier: str) -> subprocess.CompletedProcess[str]:
    code = "from bitwright import kernels; print(kernels.tier())"
    env = os.environ | {"BITWRIGHT_TIER": tier}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)


def test_a_tier_can_be_forced() -> None:
    for tier in kernels.tiers():
        done = forced(tier)
        assert done.stdout.strip() == tier, done.stderr


def test_a_tier_that_cannot_run_here_is_refused() -> None:
    last = forced("abacus").stderr.strip().splitlines()[-1]
    assert "UsageError" in last and "abacus" in last
    assert all(tier in last for tier in kernels.tiers())
