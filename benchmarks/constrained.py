"""Constrained output: whether texts are valid by the schema they are held to, and what that costs.

    python benchmarks/constrained.py MODEL [--count 1000] [--batch 1]

For each of many random JSON schemas the model writes one text, drawn at temperature 1. A text that
reaches the limit of tokens counts as invalid. The share of the masks is of all time spent on decoding.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema

import bitwright as bw
from bitwright.engine import Sampler
from bitwright.engine.constraint import Constraint

WORDS = ("name", "city", "count", "tags", "ok", "größe", "a b", "id", "nested", "x-y", "0", '"q"')
LIMIT = 900  # tokens
DEEPEST = 3  # objects and arrays within each other
FLOOR = 0.1  # of decode time: more is too much


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1, help="texts at the same time")
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    engine = bw.load(args.model, context=1024, threads=args.threads)
    Constraint.of_regex(engine.tokenizer, "x")  # makes the tables
    generator, spent, errors = random.Random(args.seed), Spent(), 0
    writer = Writer(engine, "Make up an example, as JSON.", args.batch)
    for start in range(0, args.count, args.batch):
        schemas = [random_schema(generator) for _ in range(min(args.batch, args.count - start))]
        for schema, text in zip(schemas, writer.write(schemas, start, spent), strict=True):
            if error := wrong(text, schema):
                print(f"{error}: {json.dumps(schema)} -> {text[:200]!r}")
                errors += 1
    print(f"{args.count - errors} of {args.count} texts valid, {spent.tokens} tokens")
    print(f"decode {spent.decoding / spent.tokens * 1e3:.2f} ms a token, of which masks {spent.share:.1%}")
    print(f"{spent.making / args.count * 1e3:.2f} ms to read a schema")
    if errors:
        raise SystemExit("not all texts are valid")
    if spent.share > FLOOR:
        raise SystemExit(f"masks take more than {FLOOR:.0%} of decode")


@dataclass
class Spent:
    """Seconds, and the tokens that they were spent on."""

    tokens: int = 0
    making: float = 0.0
    masking: float = 0.0
    decoding: float = 0.0

    @property
    def share(self) -> float:
        """Of the masks in all of decode."""
        return self.masking / self.decoding


class Writer:
    """A model that answers one question again and again, several times at once."""

    def __init__(self, engine: bw.Engine, question: str, batch: int) -> None:
        assert engine.chat_template is not None
        self.tokenizer, self.batch, self.session = engine.tokenizer, batch, engine.session(batch + 1)
        ids = engine.chat_template.encode(self.tokenizer, [{"role": "user", "content": question}])
        self.first = self.session.prefill(ids, sequence=batch)

    def write(self, schemas: Sequence[dict[str, Any]], seed: int, spent: Spent) -> list[str]:
        """A text for each of at most `batch` schemas."""
        clock, drawn = time.perf_counter, [list[int]() for _ in schemas]
        started = clock()
        constraints = [Constraint.of_schema(self.tokenizer, schema) for schema in schemas]
        spent.making += clock() - started
        samplers = [Sampler(temperature=1, seed=seed + index) for index in range(len(schemas))]
        for index in range(len(schemas)):
            self.session.fork(self.batch, index)
        logits, going = {index: self.first.copy() for index in range(len(schemas))}, True
        started = clock()
        while going:
            for index, row in logits.items():
                before = clock()
                constraints[index].allowed(row)
                spent.masking += clock() - before
                drawn[index].append(samplers[index](row))
                before = clock()
                constraints[index].accept(drawn[index][-1])
                spent.masking += clock() - before
            ids = {i: drawn[i][-1:] for i in logits if not constraints[i].finished and len(drawn[i]) < LIMIT}
            going = bool(ids)
            if going:
                logits = dict(zip(ids, self.session.advance(ids), strict=True))
        spent.decoding += clock() - started
        spent.tokens += sum(map(len, drawn))
        return [self.tokenizer.decode(ids, skip_special=True) for ids in drawn]


def wrong(text: str, schema: dict[str, Any]) -> str:
    """What is wrong with a text; "" if it is valid."""
    try:
        jsonschema.validate(json.loads(text), schema, jsonschema.Draft202012Validator)
    except ValueError as error:
        return f"not JSON ({error})"
    except jsonschema.ValidationError as error:
        return f"not valid ({error.message})"
    return ""


def random_schema(generator: random.Random, depth: int = 0) -> dict[str, Any]:
    """A schema of bounded texts, up to DEEPEST objects or arrays deep."""
    simple = (boolean, integer, number, string, pattern, one_of_values, dated)
    kinds = [*simple, *((object_, object_, array, either, nullable, referring) if depth < DEEPEST else ())]
    made: dict[str, Any] = generator.choice(kinds if depth else [object_, array, referring])(generator, depth)
    return made


def boolean(generator: random.Random, depth: int) -> dict[str, Any]:
    return {"type": "boolean"}


def integer(generator: random.Random, depth: int) -> dict[str, Any]:
    low = generator.randint(-1000, 1000)
    return {"type": "integer", "minimum": low, "maximum": low + generator.randint(0, 10**6)}


def number(generator: random.Random, depth: int) -> dict[str, Any]:
    low = generator.randint(-100, 100)
    bounds = {"minimum": low, "exclusiveMaximum": low + generator.randint(1, 1000)}
    return {"type": "number", "multipleOf": 0.25} | bounds  # without it, a number may have any count of digits


def string(generator: random.Random, depth: int) -> dict[str, Any]:
    low = generator.randint(0, 4)
    return {"type": "string", "minLength": low, "maxLength": low + generator.randint(0, 30)}


def pattern(generator: random.Random, depth: int) -> dict[str, Any]:
    return {
        "type": "string",
        "pattern": generator.choice(["^[A-Z]{2}-\\d{3,5}$", "^(ja|nein){1,4}x{0,3}$", "^[äöü]{1,9}$"]),
    }


def dated(generator: random.Random, depth: int) -> dict[str, Any]:
    return {"type": "string", "format": generator.choice(["date", "uuid", "ipv4"])}


def one_of_values(generator: random.Random, depth: int) -> dict[str, Any]:
    values: list[Any] = ["red", "green", 'a"b', "ü\n", 3, -1.5, None, True, [1], {"k": "v"}]
    return {"enum": generator.sample(values, generator.randint(1, 5))}


def nullable(generator: random.Random, depth: int) -> dict[str, Any]:
    return {"anyOf": [random_schema(generator, depth + 1), {"type": "null"}]}


def either(generator: random.Random, depth: int) -> dict[str, Any]:
    return {"anyOf": [random_schema(generator, depth + 1) for _ in range(generator.randint(1, 3))]}


def array(generator: random.Random, depth: int) -> dict[str, Any]:
    low = generator.randint(0, 2)
    items = random_schema(generator, depth + 1)
    return {"type": "array", "items": items, "minItems": low, "maxItems": low + generator.randint(0, 2)}


def object_(generator: random.Random, depth: int) -> dict[str, Any]:
    names = generator.sample(WORDS, generator.randint(0, 4))
    properties = {name: random_schema(generator, depth + 1) for name in names}
    required = [name for name in names if generator.random() < 0.7]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def referring(generator: random.Random, depth: int) -> dict[str, Any]:
    if depth:  # definitions belong to the top
        return object_(generator, depth)
    return (
        {"$defs": {"one": random_schema(generator, 2)}} | array(generator, DEEPEST) | {"items": {"$ref": "#/$defs/one"}}
    )


if __name__ == "__main__":
    main()
