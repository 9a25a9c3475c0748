"""What requests may say about how an answer is drawn, under OpenAI's and llama.cpp's names, checked by pydantic."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bitwright.server.errors import invalid

MOST_CHOICES = 16
MOST_TOP = 256  # of likeliest tokens reported with each
MOST_STOPS, LONGEST_STOP = 64, 1024  # strings, characters

MOST_DEPTH = 100  # of values within values: templates and pydantic end at some depth themselves

Stop = Annotated[str, Field(min_length=1, max_length=LONGEST_STOP)]
Stops = Annotated[list[Stop], Field(max_length=MOST_STOPS)]
Schema = dict[str, Any] | bool


def is_deep(value: Any) -> bool:
    """Whether values are nested too deeply."""
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [
            own for o in level for own in (o.values() if isinstance(o, dict) else o if isinstance(o, list) else ())
        ]
    return bool(level)


def from_json(text: str) -> Any:
    """A value in JSON. Raises ValueError or RecursionError for what Python would read and others would not: NaN and
    infinities, numbers beyond float64, and halves of surrogate pairs."""
    found = json.loads(text, parse_constant=_finite, parse_float=_finite)
    if "\\ud" in text.lower():
        json.dumps(found, ensure_ascii=False).encode()
    return found


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is no number of JSON, or too large")
    return value


class Body(BaseModel):
    """A request's body, or an object in it. Fields it does not know are left alone, as clients send many. An optional
    one that is null is as if it were not there, as for llama.cpp's server."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False, strict=False)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        if not isinstance(given, dict) or None not in given.values():
            return given
        optional = {own.alias or name for name, own in cls.model_fields.items() if not own.is_required()}
        return {key: value for key, value in given.items() if value is not None or key not in optional}


class JsonSchema(Body):
    """A named schema, as OpenAI has it."""

    schema_: Schema = Field(default_factory=dict, alias="schema")


class ResponseFormat(Body):
    """What an answer must be: any text, a JSON object, or JSON of a schema."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: JsonSchema | None = None
    schema_: Schema | None = Field(default=None, alias="schema")  # llama.cpp's place for it


def wanted(format: ResponseFormat | None) -> Any:
    """The schema that an answer must fit; None if it may be any text. Refused if it is missing."""
    if format is None or format.type == "text":
        return None
    if format.type == "json_schema" and not (format.json_schema or format.schema_):
        raise invalid("response_format: type json_schema needs a json_schema with a schema")
    inner = format.json_schema.schema_ if format.json_schema else format.schema_
    return {"type": "object"} if inner is None else inner


class StreamOptions(Body):
    """What a stream has besides the answer."""

    include_usage: bool | None = False


class Drawing(Body):
    """How tokens are drawn. What is not given is what the model's file recommends, or llama.cpp's default."""

    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=1 << 31), AfterValidator(partial(max, 0))] | None = None  # -1: all, as 0
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)] | None = None
    repeat_penalty: Annotated[float, Field(ge=0.01, le=100)] = 1.0
    repeat_last_n: Annotated[int, Field(ge=-1, le=1 << 31)] = 64
    frequency_penalty: Annotated[float, Field(ge=-100, le=100)] | None = None
    presence_penalty: Annotated[float, Field(ge=-100, le=100)] | None = None
    logit_bias: dict[str, float] | list[tuple[int, float | Literal[False]]] | None = None
    stop: Stop | Stops | None = None
    ignore_eos: bool = False
    user: str | None = None

    @property
    def stops(self) -> list[str]:
        """The strings that end an answer."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []


class OpenAI(Drawing):
    """What chats and completions of OpenAI have in common."""

    model: str | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None = 1
    max_tokens: Annotated[int, Field(ge=-1)] | None = None
    response_format: ResponseFormat | None = None
    grammar: str | None = None

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with a chunk that counts tokens."""
        return bool(self.stream_options and self.stream_options.include_usage)
