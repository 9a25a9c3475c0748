"""Parts that the views of plans share: one model, one price, one row (a model in a format on a device)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bitwright.hardware.devices import Price
    from bitwright.hardware.plan import Cost, Row
    from bitwright.hardware.speed import PredictedSpeed
    from bitwright.hardware.split import ExpertSplit
    from bitwright.model.architectures.outline import Outline


def of_model(outline: Outline) -> dict[str, Any]:
    """name, architecture, parameters, active_parameters (per token), context (tokens it was trained on, 0: unknown),
    source, standing."""
    return {
        "name": outline.name,
        "architecture": outline.architecture,
        "parameters": outline.parameters,
        "active_parameters": outline.active_parameters,
        "context": outline.context,
        "source": outline.source,
        "standing": outline.standing,
    }


def of_price(price: Price) -> dict[str, Any]:
    """usd (the middle of usd_low and usd_high), and the price's fields: usd_low, usd_high, condition, date, source."""
    return {"usd": (price.usd_low + price.usd_high) / 2, **vars(price)}


def of_experts(split: ExpertSplit, decode: PredictedSpeed | None) -> dict[str, Any]:
    """layers whose experts are in the computer's memory, bytes there, device_bytes, decode{tokens_per_second, low,
    high}, None without a host."""
    return {
        "layers": split.layers,
        "bytes": split.host,
        "device_bytes": split.device.total,
        "decode": decode and decode.as_json(),
    }


def of_row(row: Row, cost: Cost | None = None) -> dict[str, Any]:
    """device, recipe, bits_per_weight, context, file_bytes (of the GGUF file, header and tokenizer included),
    file_bytes_exact (False: the tokenizer is estimated), weights_bytes (as the engine holds them), kv_bytes,
    compute_bytes, overhead_bytes, total_bytes, capacity_bytes, left_bytes, fits, tight (little to spare), verdict,
    longest_context (tokens), context_with_headroom (if tight), layers_on_device, experts_on_host (`of_experts`, of a
    mixture that does not fit a GPU), decode and prefill{tokens_per_second, low, high}, no_speed_because, multiplied_as,
    quality, price{usd, date, source, ...} (the cheapest), and with a cost usd_per_million_tokens. None: not known, or
    does not apply."""
    m, speeds = row.memory, row.forecast
    cheapest = min(row.device.bought_for, key=lambda p: p.usd_low, default=None)
    found = {
        "device": row.device.id,
        "recipe": row.recipe,
        "bits_per_weight": row.bits_per_weight,
        "context": row.ask.context,
        "file_bytes": row.file_bytes,
        "file_bytes_exact": row.file_exact,
        "weights_bytes": m.weights,
        "kv_bytes": m.kv,
        "compute_bytes": m.compute,
        "overhead_bytes": m.overhead,
        "total_bytes": m.total,
        "capacity_bytes": row.capacity,
        "left_bytes": row.left,
        "fits": row.fits,
        "tight": row.tight,
        "verdict": row.verdict,
        "longest_context": row.longest,
        "context_with_headroom": row.roomy or None,
        "layers_on_device": row.on_device,
        "experts_on_host": row.experts and of_experts(row.experts, row.split_decode),
        "decode": speeds and speeds.decode.as_json(),
        "prefill": speeds and speeds.prefill.as_json(),
        "no_speed_because": row.unknown,
        "multiplied_as": speeds and speeds.multiplied_as,
        "quality": row.quality,
        "price": cheapest and of_price(cheapest),
    }
    if cost is not None:
        found["usd_per_million_tokens"] = speeds and cost.per_million(speeds.decode.tokens_per_second)
    return found
