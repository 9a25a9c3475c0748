"""`bitwright tokenize`: text to token ids."""

from __future__ import annotations

from typing import Annotated

import typer

from bitwright.cli import models, options, output
from bitwright.errors import UsageError


def tokenize(
    model: options.Model,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="The text, unless -f gives one.", show_default=False)
    ] = None,
    file: options.TextFile = None,
    special: Annotated[
        bool, typer.Option("--special", help="Add the tokens the model expects around a text (BOS, EOS).")
    ] = False,
    parse_special: Annotated[
        bool,
        typer.Option("--parse-special", help="Read special tokens such as <|im_start|> as one token, not as text."),
    ] = False,
    pieces: Annotated[bool, typer.Option("--pieces", help="Show the text of every token, one per line.")] = False,
    json: options.Json = False,
) -> None:
    """Turn text into token ids.

    MODEL may be a file that holds a vocabulary and no tensors.

    Example: bitwright tokenize smollm2-135m "Hello there" --pieces
    """
    if (text is None) == (file is None):
        raise UsageError("give the text either as an argument or with -f FILE")
    from bitwright.model import load_tokenizer
    from bitwright.views.tokens import tokens as view

    content = options.read_text(file) if file is not None else text
    assert content is not None
    tokenizer = load_tokenizer(models.resolve(model))
    ids = tokenizer.encode(content, add_special_tokens=special, parse_special=parse_special)
    if json:
        output.print_json(view(ids))
    elif pieces:
        output.print_table([">id", "piece"], [(i, quoted(tokenizer.token_bytes(i))) for i in ids])
    else:
        print(*ids)


def quoted(piece: bytes) -> str:
    """A token's text in quotes; as bytes if it is not a whole character."""
    try:
        return repr(piece.decode("utf-8"))
    except UnicodeDecodeError:
        return repr(piece)[1:]
