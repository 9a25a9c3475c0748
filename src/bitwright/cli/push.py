"""`bitwright push`: model files to the hub, with a page that says what was lost."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from bitwright.cli import options, output
from bitwright.errors import BitwrightError, UsageError

NAME = re.compile(r"[\w.+-]+")


def push(
    repo: Annotated[
        str, typer.Argument(metavar="ORG/NAME", help="The repository; it is made if there is none.", show_default=False)
    ],
    file: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="GGUF files; of a split set, the first.", show_default=False),
    ],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    message: Annotated[
        str | None, typer.Option("-m", "--message", metavar="TEXT", help="Of the commit.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the page, and send nothing.")] = False,
    json: options.Json = False,
) -> None:
    """Publish model files on the Hugging Face hub.

    All files and the model's page go up in one commit. The page, README.md, gets a section for each file: its formats,
    its hashes, and what quantizing cost, from the label that `label` or `fit` wrote into it. Other text on the page
    stays. Log in with `hf auth login`, or set HF_TOKEN.

    Example: bitwright push me/my-model-gguf model.q4_k_m.gguf
    """
    from bitwright.io import checksum, gguf, hub_push, inputs, kinds, label
    from bitwright.views.model_page import Published, model_page

    published, files = [], dict[str, Path | bytes]()
    with inputs.protected():
        for path in file:
            opened = gguf.open(path)
            kinds.check_model(opened)
            for part in opened.paths:
                if not NAME.fullmatch(part.name) or part.name in files:
                    raise UsageError(f"{part}: expected a name of its own, of letters, digits and . _ + - alone")
                files[part.name] = part
            found = label.read(opened)
            with output.progress(f"hashing {path.name}") as report:
                hashes = {part.name: checksum.sha256([part], report) for part in opened.paths}
                if found and found["tensors_sha256"] != label.sha256_of_tensors(opened):
                    raise BitwrightError(f"{path}: its label is of other weights: bitwright label {path.name} again")
            published.append(Published(opened.paths[0].name, opened, hashes, found))
        before, after = hub_push.page(repo)
        page = model_page(repo, before, published)
        if dry_run:
            print(page, end="")
            return
        files[hub_push.README] = page.encode()
        said = message or f"Add {', '.join(one.name for one in published)}"
        address = hub_push.push(repo, files, said, private, after)
    if json:
        output.print_json({"commit": address, "files": {one.name: one.hashes for one in published}})
        return
    output.say(f"pushed {address}", 2)
    output.remark(f'next: bitwright run {repo} "Hello"')
