"""A Modelfile: what Ollama needs to know of a GGUF file, for `ollama create`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bitwright.errors import UsageError

if TYPE_CHECKING:
    from bitwright.io.gguf import GGUF
    from bitwright.model.turns import Turns

PARAMETERS = {  # Ollama's names: of general.sampling
    "temperature": "temp",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repeat_penalty": "penalty_repeat",
    "repeat_last_n": "penalty_last_n",
}
QUOTES = '"""'  # around texts; what lies between cannot hold them


def modelfile(file: GGUF, context: int | None = None) -> tuple[str, bool]:
    """The text, and whether it has a template: not if the file's own is more than fixed texts around turns, and then
    Ollama looks for one that it knows.

    context: tokens; None leaves the choice to Ollama. Raises UsageError for a context longer than the model's.
    """
    from bitwright.io.values import Values
    from bitwright.model.chat import ChatTemplate
    from bitwright.model.tokenizer import Tokenizer
    from bitwright.model.turns import turns

    values = Values.of_gguf(file.metadata)
    trained = values.integer("context_length", 0)
    if context is not None and trained and context > trained:
        raise UsageError(f"--ctx {context}: the model was trained on {trained} tokens")
    tokenizer, chat = Tokenizer.from_gguf(file), ChatTemplate.from_gguf(file)
    lines = [f"FROM ./{path.name}" for path in file.paths]
    found = turns(chat) if chat else None
    if found:
        bos = tokenizer.token_text(tokenizer.bos) if tokenizer.add_bos and tokenizer.bos is not None else ""
        lines.append(f"TEMPLATE {_quoted(template(found, bos))}")
    if chat:
        lines += [f"PARAMETER stop {_quoted(tokenizer.token_text(id))}" for id in sorted(tokenizer.end_of_generation)]
    for name, key in PARAMETERS.items():
        value = file.metadata.get(f"general.sampling.{key}")
        if isinstance(value, int | float):
            lines.append(f"PARAMETER {name} {value:g}")
    if context is not None:
        lines.append(f"PARAMETER num_ctx {context}")
    if isinstance(licence := file.metadata.get("general.license"), str) and QUOTES not in licence:
        lines.append(f"LICENSE {_quoted(licence)}")
    return "\n".join(lines) + "\n", found is not None


def template(turns: Turns, bos: str = "") -> str:
    """The texts as a template of Ollama (Go's text/template over .System and .Messages, of which a system message is
    the first). bos: the text of the token that Ollama adds itself, left out here."""
    opening, after = _literal(turns.opening.removeprefix(bos)), _literal(turns.system[1])
    first, asked = opening, _around(turns.user)
    if turns.folded:
        asked = _around(turns.user, f"{{{{ if and $.System (le $i 1) }}}}{{{{ $.System }}}}{after}{{{{ end }}}}")
    else:
        system = _literal(turns.system[0].removeprefix(bos))
        first = f"{{{{ if .System }}}}{system}{{{{ .System }}}}{after}{{{{ else }}}}{opening}{{{{ end }}}}"
    answered, ended = _literal(turns.assistant[0]) + "{{ .Content }}", _literal(turns.assistant[1])
    return (
        f"{first}{{{{ range $i, $_ := .Messages }}}}{{{{ $last := eq (len (slice $.Messages $i)) 1 }}}}"
        f'{{{{ if eq .Role "user" }}}}{asked}{{{{ if $last }}}}{_literal(turns.reply)}{{{{ end }}}}'
        f'{{{{ else if eq .Role "assistant" }}}}{answered}{{{{ if not $last }}}}{ended}{{{{ end }}}}'
        "{{ end }}{{ end }}"
    )


def _around(texts: tuple[str, str], more: str = "") -> str:
    before, after = map(_literal, texts)
    return f"{before}{more}{{{{ .Content }}}}{after}"


def _literal(text: str) -> str:
    """Text of a Go template that stands for itself."""
    return text.replace("{{", '{{ "{{" }}')


def _quoted(text: str) -> str:
    """Raises UsageError for a text that a Modelfile cannot hold."""
    if QUOTES in text:
        raise UsageError(f"a Modelfile cannot hold three quotes in a row, as here: {text[:80]!r}")
    return QUOTES + text + QUOTES
