"""What the server runs and how it does, as llama.cpp's server says it: models, properties, slots, health,
metrics (llama.cpp, tools/server/README.md)."""

from __future__ import annotations

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

import bitwright
from bitwright.server.errors import Refused
from bitwright.server.parameters import Drawing
from bitwright.server.service import Service


async def models(service: Service, request: Request) -> Response:
    """GET /v1/models. Lists the model."""
    return JSONResponse({"object": "list", "data": [described(service)]})


async def model(service: Service, request: Request) -> Response:
    """GET /v1/models/{model}. Describes the model."""
    if (name := request.path_params["model"]) != service.name:
        raise Refused(404, "not_found_error", f"there is no model {name[:80]!r}; this server runs {service.name!r}")
    return JSONResponse(described(service))


def described(service: Service) -> dict[str, Any]:
    """The model, as OpenAI's clients expect it, with what llama.cpp's read."""
    config, own = service.engine.config, service.engine.model
    meta = {"n_vocab": service.tokenizer.vocab_size, "n_ctx": service.context, "n_ctx_train": config.context,
            "n_embd": config.width, "n_params": own.parameters, "size": own.file_bytes,
            "ftype": own.format.upper()}  # fmt: skip
    return {"id": service.name, "object": "model", "created": service.created, "owned_by": "bitwright", "meta": meta}


async def health(service: Service, request: Request) -> Response:
    """GET /health. Says that the server is well."""
    return JSONResponse({"status": "ok"})


async def props(service: Service, request: Request) -> Response:
    """GET /props. Says what the server runs."""
    template = service.template.source if service.template is not None else ""
    sampler = service.settings(Drawing(), None).sampler
    params = {name: getattr(sampler, name) for name in ("temperature", "top_k", "top_p", "min_p")}
    return JSONResponse({
        "default_generation_settings": {"n_ctx": service.context, "params": params},
        "total_slots": service.parallel, "model_alias": service.name, "model_path": service.engine.path.name,
        "chat_template": template, "bos_token": text(service, service.tokenizer.bos),
        "eos_token": text(service, service.tokenizer.eos), "build_info": f"bitwright {bitwright.__version__}",
        "modalities": {"vision": False, "audio": False, "video": False},
    })  # fmt: skip


async def slots(service: Service, request: Request) -> Response:
    """GET /slots. Says how many answers are being written."""
    running, _ = service.load
    common = {"n_ctx": service.context, "speculative": bool(service.guesses)}
    return JSONResponse([{"id": id, **common, "is_processing": id < running} for id in range(service.parallel)])


def text(service: Service, id: int | None) -> str:
    """The text of a token, if there is one."""
    return "" if id is None else service.tokenizer.token_text(id)


async def metrics(service: Service, request: Request) -> Response:
    """GET /metrics. Counts, in Prometheus's text format."""
    running, waiting = service.load
    spent, counted = service.spent, service.counted
    speeds = {name: counted[name] / spent[name] if spent[name] else 0 for name in ("prompt", "predicted")}
    counters = {
        "requests_total": ("counter", "Answers given.", counted["requests"]),
        "prompt_tokens_total": ("counter", "Tokens of prompts that were read.", counted["prompt"]),
        "prompt_seconds_total": ("counter", "Seconds until first tokens.", spent["prompt"]),
        "prompt_tokens_cached_total": ("counter", "Tokens of prompts that were in memory.", counted["cached"]),
        "tokens_predicted_total": ("counter", "Tokens written.", counted["predicted"]),
        "tokens_predicted_seconds_total": ("counter", "Seconds from first tokens to last.", spent["predicted"]),
        "prompt_tokens_seconds": ("gauge", "Tokens of prompts read in a second.", speeds["prompt"]),
        "predicted_tokens_seconds": ("gauge", "Tokens of an answer written in a second.", speeds["predicted"]),
        "embeddings_total": ("counter", "Texts turned into vectors.", counted["embeddings"]),
        "draft_tokens_total": ("counter", "Tokens guessed.", counted["guessed"]),
        "draft_tokens_accepted_total": ("counter", "Tokens guessed right.", counted["guessed_right"]),
        "requests_processing": ("gauge", "Requests at work.", running),
        "requests_deferred": ("gauge", "Requests that wait.", waiting),
        "memory_bytes": ("gauge", "Bytes of keys, values and states.", service.memory_in_use),
        "uptime_seconds": ("gauge", "Seconds since the start.", round(time.monotonic() - service.started, 3)),
    }
    lines = [
        f"# HELP llamacpp:{name} {about}\n# TYPE llamacpp:{name} {kind}\nllamacpp:{name} {value}\n"
        for name, (kind, about, value) in counters.items()
    ]
    return PlainTextResponse("".join(lines), media_type="text/plain; version=0.0.4")
