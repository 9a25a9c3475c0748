"""llama.cpp's /infill, which editors call while someone types."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from bitwright.server import http
from bitwright.server.errors import unsupported
from bitwright.server.native import Completion, answer
from bitwright.server.parameters import Body
from bitwright.server.service import Service

MOST_EXTRA = 256  # pieces of other files


class Extra(Body):
    """A piece of another file."""

    filename: str = "tmp"
    text: str = ""


class Infill(Completion):
    """A gap in a file. `prompt` is what was typed after the prefix."""

    prompt: str = ""
    input_prefix: str = ""
    input_suffix: str = ""
    input_extra: Annotated[list[Extra], Field(max_length=MOST_EXTRA)] = Field(default_factory=list)


@http.reads(Infill)
async def infill(service: Service, request: Request, asked: Infill) -> Response:
    """POST /infill. Writes what belongs between two texts (llama.cpp)."""
    if service.gaps.missing:
        raise unsupported(service.gaps.missing, 501)  # as llama.cpp's server answers
    others = [(own.filename, own.text) for own in asked.input_extra]
    ids = await service.gap(asked.input_prefix + asked.prompt, asked.input_suffix, others)
    return await answer(service, request, asked, [ids])
