"""`bitwright plan`: what fits where, how fast, what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bitwright.cli import complete, options, output, plan_tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from bitwright.hardware.devices import Device
    from bitwright.hardware.machine import Machine
    from bitwright.model.architectures.outline import Outline


def plan(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="A GGUF file, a folder of safetensors, or org/name on the hub; only headers are read.",
            show_default=False,
            autocompletion=complete.model,
        ),
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(
            "--shape",
            metavar="NAME",
            help="A published model from the built-in list (see --models).",
            show_default=False,
            autocompletion=complete.shape,
        ),
    ] = None,
    device: options.Device = None,
    this_machine: Annotated[bool, typer.Option("--this-machine", help="Plan for this machine too.")] = False,
    context: Annotated[
        int | None, options.context("Context length in tokens, such as 32k; 8192, or the model's own if shorter.")
    ] = None,
    kv: options.KV = "f16",
    batch: Annotated[int, typer.Option("--batch", metavar="N", min=1, help="Sequences to decode at once.")] = 1,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            "--recipe",
            metavar="NAME",
            help="A format to plan for; repeatable.",
            show_default=False,
            autocompletion=complete.recipe,
        ),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option("--memory", metavar="SIZE", help="Assume this much memory: 64GB, or 64.", show_default=False),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            "--host",
            metavar="CPU",
            help="The processor of the computer that the GPU is in, which can run a mixture's experts.",
            show_default=False,
            autocompletion=complete.device,
        ),
    ] = None,
    devices: Annotated[bool, typer.Option("--devices", help="List all devices.")] = False,
    models: Annotated[bool, typer.Option("--models", help="List the models a device runs, largest first.")] = False,
    budget: Annotated[
        float | None,
        typer.Option(
            "--budget",
            metavar="USD",
            min=1,
            help="List devices to buy for the model within this budget, by speed per dollar.",
            show_default=False,
        ),
    ] = None,
    watts: Annotated[
        float | None,
        typer.Option("--watts", metavar="W", min=0, help="Power draw while decoding, in watts.", show_default=False),
    ] = None,
    kwh_price: Annotated[
        float | None,
        typer.Option("--kwh-price", metavar="USD", min=0, help="Price of a kilowatt-hour.", show_default=False),
    ] = None,
    price: Annotated[
        float | None,
        typer.Option(
            "--price", metavar="USD", min=0, help="Price of the device, spread over --years.", show_default=False
        ),
    ] = None,
    years: Annotated[
        float,
        typer.Option(
            "--years", metavar="N", min=0.1, help="Years of decoding around the clock to spread --price over."
        ),
    ] = 3.0,
    json: options.Json = False,
) -> None:
    """Show what fits where, how fast, and what it costs.

    For each format: bytes of weights, cache and buffers, the memory left, the longest context, and predicted speeds
    with 90% intervals. Without --device, the plan is for this machine. --budget ranks the devices that are sold within
    a budget. --watts with --kwh-price, or --price, adds dollars per million tokens.

    Example: bitwright plan --shape qwen3.5-27b --device 3090 --device "M1 Max" -c 32k
    """
    from bitwright.errors import UsageError
    from bitwright.hardware import catalogue
    from bitwright.hardware.plan import Ask, Cost, candidates

    if sum(map(bool, (devices, models, budget))) > 1:
        raise UsageError("--devices, --models and --budget answer different questions: give only one of them")
    if devices:
        plan_tables.devices(json)
        return
    room = None if memory is None else options.parse_size("--memory", memory)
    if models:
        chosen, machine = places(device, this_machine, catalogue.formats)
        plan_tables.models(chosen, machine, context or 8192, kv, room, json)
        return
    outline, quality = described(model, shape)
    ask = Ask(context or min(8192, outline.context or 8192), kv, batch, processor(host))
    if budget is not None:
        plan_tables.budget(outline, budget, ask, recipe, json)
        return
    if (watts is None) != (kwh_price is None):
        raise UsageError("--watts and --kwh-price belong together: give both")
    cost = Cost(watts or 0.0, kwh_price or 0.0, price or 0.0, years) if price is not None or watts is not None else None
    formats = candidates(outline, recipe)
    used = {a.format.name for assignments in formats.values() for a in assignments}
    chosen, machine = places(device, this_machine, lambda: used)
    plan_tables.formats(outline, quality, chosen, machine, ask, formats, room, cost, json)


def places(
    names: list[str] | None, this_machine: bool, formats: Callable[[], set[str]]
) -> tuple[list[Device], Machine | None]:
    """The devices of those names, and this machine if it is wanted or no device is named; of that, the kernels of
    `formats` are measured, each of them once."""
    from bitwright.hardware import devices
    from bitwright.hardware.machine import this_machine as measured

    found = devices.named(names or ())
    if found and not this_machine:
        return found, None
    with output.progress("measuring this machine, once for each format") as report:
        machine = measured(report=report, formats=formats())
    return [*found, machine.device()], machine


def processor(name: str | None) -> Device | None:
    """The CPU of that name. Raises UsageError if it names another device, or several."""
    from bitwright.errors import UsageError
    from bitwright.hardware import devices

    if name is None:
        return None
    found = devices.named([name])
    if [device.kind for device in found] != ["cpu"]:
        names = ", ".join(device.id for device in found)
        raise UsageError(f"--host {name}: expected one CPU, found {names}; bitwright plan --devices lists all")
    return found[0]


def described(model: str | None, shape: str | None) -> tuple[Outline, str]:
    """The model's outline, and what its label says was lost, in words."""
    from bitwright.errors import UsageError
    from bitwright.hardware.plan import quality
    from bitwright.model.architectures.outline import from_published, outline

    if (model is None) == (shape is None):
        raise UsageError("expected either MODEL or --shape ID; `bitwright plan --models` lists the shapes")
    if shape is not None:
        return from_published(shape), "not measured"
    assert model is not None
    found = outline(model)
    return found, quality(found)
