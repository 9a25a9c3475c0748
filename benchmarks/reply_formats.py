"""Whether the calls and the text that chat templates write are read back by the reply format found in each.

python benchmarks/reply_formats.py llama.cpp/models/templates/*.jinja
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bitwright.errors import BitwrightError
from bitwright.model.chat import ChatTemplate
from bitwright.model.replies import Arguments, Call, Reply, Text, reply_format

SPECIAL = {"bos_token": "<BOS>", "eos_token": "<EOS>"}
TEXT = "I look it up."
ARGUMENTS = {"city": 'Oslo "x" <b>\n é', "days": 3, "share": 0.5, "exact": True, "tags": ["x", "y"]}
TYPES = {"city": "string", "days": "integer", "share": "number", "exact": "boolean", "tags": "array"}
PROPERTIES = {
    name: {"type": type, "description": f"the {name}", **({"items": {"type": "string"}} if type == "array" else {})}
    for name, type in TYPES.items()
}
PARAMETERS = {"type": "object", "properties": PROPERTIES, "required": ["city"]}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "tells the weather", "parameters": PARAMETERS}}
]
ASKED = [{"role": "user", "content": "How is it?"}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("templates", nargs="+", type=Path)
    args = parser.parse_args()
    rows = [(path.name, *checked(path.read_text(encoding="utf-8"))) for path in args.templates]
    for name, format, found in rows:
        print(f"{name:54} {format:14} {found}")
    formats = [found for _, format, found in rows if format != "plain"]
    print(f"{len(formats)} of {len(rows)} templates have a format; of {formats.count('read back')} a call is read back")


def checked(source: str) -> tuple[str, str]:
    """The name of the format, and what came of a call."""
    format, template = reply_format(source), ChatTemplate({"default": source}, SPECIAL)
    errors = []
    for arguments in (ARGUMENTS, json.dumps(ARGUMENTS)):  # templates differ in which they take
        for content in (TEXT, ""):
            call = {"id": "abcdefgh0", "type": "function", "function": {"name": "weather", "arguments": arguments}}
            answer = {"role": "assistant", "content": content, "tool_calls": [call]}
            try:
                prompt, begin, whole = (
                    template.render(messages, asked, TOOLS)
                    for messages, asked in ((ASKED, True), (ASKED, False), ([*ASKED, answer], False))
                )
            except BitwrightError as error:
                errors.append(str(error).partition(": ")[2])
                continue
            start = prompt if whole.startswith(prompt) else begin
            if call_in(format.reply(prompt, TOOLS), whole.removeprefix(start)) == ("weather", ARGUMENTS):
                return format.name, "read back"
            errors.append(f"not read back: {whole.removeprefix(start)!r}"[:120])
    return format.name, errors[0]


def call_in(reply: Reply, text: str) -> tuple[str, Any] | None:
    """The name and arguments of the one call in a reply; None if there is none, or another number."""
    parts = [*reply.feed(text), *reply.finish()]
    names = [part.name for part in parts if isinstance(part, Call)]
    arguments = "".join(part.text for part in parts if isinstance(part, Arguments))
    text = "".join(part.text for part in parts if isinstance(part, Text))
    try:
        return (names[0], json.loads(arguments)) if len(names) == 1 and "Oslo" not in text else None
    except ValueError:
        return None


if __name__ == "__main__":
    main()
