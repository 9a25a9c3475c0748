"""What a chip does with every format, for one token at a time and for many: the numbers of a roofline."""

from __future__ import annotations

import contextlib
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bitwright.errors import BitwrightError
from bitwright.hardware.execution import ExecutionPath, execution_path
from bitwright.hardware.forecast import forecast
from bitwright.hardware.number_format import number_format
from bitwright.hardware.speed import UnknownSpeed
from bitwright.hardware.weights import assign, bits_per_weight, operations_per_token
from bitwright.model.architectures.outline import Outline, from_gguf, from_published
from bitwright.views.execution import execution
from bitwright.views.plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bitwright.hardware.devices import Device
    from bitwright.hardware.machine import Machine
    from bitwright.io.gguf import GGUF
    from bitwright.recipes import Assignment

FORMATS = ("fp16", "fp8_e4m3", "q8_0", "q6_k", "q5_k", "q4_k", "q4_0", "nvfp4", "mxfp4", "iq4_xs", "q3_k", "iq3_xxs",
           "q2_k", "iq2_xs")  # fmt: skip
LARGER = "qwen3-8b"
RECIPES = ("f16", "q8_0", "q6_k", "q5_k_m", "q4_k_m", "q4_0", "iq4_xs", "q3_k_m", "iq3_xxs", "q2_k", "iq2_xs")


def devices(known: Iterable[Device], measured: bool) -> dict[str, Any]:
    """devices[{id, name, kind, vendor}] whose bandwidth is known; measured: whether this machine was measured."""
    rows = [{"id": d.id, "name": d.name, "kind": d.kind, "vendor": d.vendor} for d in known if d.bandwidth]
    return plain({"devices": rows, "measured": measured})


def measured_formats(file: GGUF) -> set[str]:
    """The formats whose kernels this machine is measured with."""
    planned = {a.format.name for _, recipes in _planned(file) for assignments in recipes.values() for a in assignments}
    return planned | {f.format.name for f in map(number_format, FORMATS) if f.format}


def roofline(file: GGUF, device: Device, machine: Machine | None = None) -> dict[str, Any]:
    """device{id, name, kind, bandwidth, standing}, measured (with `machine`), weights (of the model, multiplied for a
    token), formats[`execution`, with stored_bytes_per_second (read while decoding) and operations_per_second, None if
    not known]; models[{name, weights, recipes[{recipe, bits_per_weight, decode and prefill{tokens_per_second, low,
    high}}]}]: of the model and of a larger one, by the speed model or by measured rates; without_speeds (why there are
    none, else None)."""
    planned = _planned(file)
    models: list[dict[str, Any]] = []
    why = None
    try:
        models = [{"name": found.name, "weights": operations_per_token(found) / 2,
                   "recipes": [_speeds(found, recipe, given, device, machine) for recipe, given in recipes.items()]}
                  for found, recipes in planned]  # fmt: skip
    except UnknownSpeed as error:
        why = str(error)
    own = planned[0][0] if len(planned) > 1 else None
    return plain(
        {
            "device": {"id": device.id, "name": device.name, "kind": device.kind, "bandwidth": device.bandwidth,
                       "standing": device.standing("bandwidth")},
            "measured": machine is not None,
            "weights": operations_per_token(own) / 2 if own else _weights(file),
            "formats": [_format(execution_path(name, device, machine)) for name in FORMATS],
            "models": models,
            "without_speeds": why,
        }
    )  # fmt: skip


def _format(e: ExecutionPath) -> dict[str, Any]:
    read, multiply = e.device.bandwidth, e.peak
    if e.measured is not None:
        read, multiply = e.measured.decode, e.measured.prefill
    return {**execution([e]), "stored_bytes_per_second": read, "operations_per_second": multiply}


def _speeds(
    found: Outline, recipe: str, assignments: list[Assignment], device: Device, machine: Machine | None
) -> dict[str, Any]:
    speeds = forecast(device, found, assignments, machine=machine)
    return {"recipe": recipe, "bits_per_weight": bits_per_weight(found, assignments),
            "decode": speeds.decode.as_json(), "prefill": speeds.prefill.as_json()}  # fmt: skip


@lru_cache(1)
def _planned(file: GGUF) -> list[tuple[Outline, dict[str, list[Assignment]]]]:
    """The model, unless bitwright does not know its architecture, and a larger one, in every recipe."""
    outlines = [from_published(LARGER)]
    with contextlib.suppress(BitwrightError):
        outlines.insert(0, from_gguf(file))
    return [(found, {r: assign(found, r, importance=True) for r in RECIPES}) for found in outlines]


def _weights(file: GGUF) -> int:
    """Weights of all matrices but the embedding."""
    tensors = [t for t in file.tensors.values() if len(t.shape) > 1 and t.name != "token_embd.weight"]
    return sum(math.prod(t.shape) for t in tensors)
