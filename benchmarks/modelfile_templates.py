"""Compares the TEMPLATE of a Modelfile, run by Go's text/template as in Ollama, with the chat template it was made of.

    python benchmarks/modelfile_templates.py llama.cpp/models/templates/*.jinja

Needs go. Every template with fixed texts around turns renders conversations of one to five turns, with and without a
system message.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

from bitwright.model.chat import ChatTemplate
from bitwright.model.turns import turns
from bitwright.views.modelfile import template

SPECIAL = {"bos_token": "<BOS>", "eos_token": "<EOS>", "pad_token": "<pad>", "unk_token": "<unk>"}
GO = """package main
import ("encoding/json"; "os"; "strings"; "text/template")
type message struct{ Role, Content string }
func main() {
  var cases []struct{ Template, System string; Messages []message }
  if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil { panic(err) }
  out := []string{}
  for _, c := range cases {
    var text strings.Builder
    values := map[string]any{"System": c.System, "Messages": c.Messages}
    if err := template.Must(template.New("").Parse(c.Template)).Execute(&text, values); err != nil { panic(err) }
    out = append(out, text.String())
  }
  json.NewEncoder(os.Stdout).Encode(out)
}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("templates", nargs="+", type=Path)
    args = parser.parse_args()
    cases, expected, fixed = list[dict[str, object]](), list[str](), 0
    for path in args.templates:
        chat = ChatTemplate({"default": path.read_text()}, SPECIAL)
        found = turns(chat)
        if found is None:
            print(f"{path.name}: more than fixed texts")
            continue
        fixed += 1
        for system in ("", "Be terse. {{ .Role }}"):
            for count in (1, 3, 5):
                said = [{"role": ("user", "assistant")[i % 2], "content": f"Ünï {i} {{{{ x }}}}"} for i in range(count)]
                messages = ([{"role": "system", "content": system}] if system else []) + said
                asked = [{"Role": message["role"], "Content": message["content"]} for message in messages]
                cases.append({"Template": template(found, "<BOS>"), "System": system, "Messages": asked})
                expected.append(chat.render(messages).removeprefix("<BOS>"))
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "main.go"
        program.write_text(GO)
        command = ["go", "run", str(program)]
        ran = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, check=True)
    equal = sum(a == b for a, b in zip(json.loads(ran.stdout), expected, strict=True))
    print(f"{fixed} of {len(args.templates)} templates; {equal} of {len(cases)} conversations equal")


if __name__ == "__main__":
    main()
