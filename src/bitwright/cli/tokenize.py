"""`bitwright tokenize`: text to token ids."""

from __future__ import annotations

from typing import Annotated

import typer

from bitwright.cli import models, options, output
from bitwright.errors import UsageError


def tokenize(
    model: options.Model,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="The text, if not in a file.", show_default=False)
    ] = None,
    file: options.TextFile = None,
    special: Annotated[
        bool, typer.Option("--special", help="Add the tokens a model expects around a text (BOS, EOS).")
    ] = False,
    parse_special: Annotated[
        bool, typer.Option("--parse-special", help="Read <|im_start|> and its like as one token, not as text.")
    ] = False,
    pieces: Annotated[bool, typer.Option("--pieces", help="Show every token's text, one token a line.")] = False,
    json: options.Json = False,
) -> None:
    """Turn text into token ids.

    A file that holds a vocabulary and no tensors is enough.

    Example: bitwright tokenize smollm2-135m "Hello there" --pieces
    """
    if (text is None) == (file is None):
        raise UsageError("give the text either as an argument or with -f FILE")
    from bitwright.model import load_tokenizer

    content = options.read_text(file) if file is not None else text
    assert content is not None
    tokenizer = load_tokenizer(models.resolve(model))
    ids = tokenizer.encode(content, add_special_tokens=special, parse_special=parse_special)
    if json:
        output.print_json({"ids": ids, "count": len(ids)})
    elif pieces:
        output.print_table([">id", "piece"], [(i, quoted(tokenizer.token_bytes(i))) for i in ids])
    else:
        print(*ids)


def quoted(piece: bytes) -> str:
    """A token's text in quotes; as bytes where it is no whole character."""
    try:
        return repr(piece.decode("utf-8"))
    except UnicodeDecodeError:
        return repr(piece)[1:]
