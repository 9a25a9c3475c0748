"""What the memory of prompts is worth: seconds to the first token of a long prompt, cold, as a later turn of the same
conversation, after a restart of the server, and after it was killed.

    python benchmarks/serve_prefix.py MODEL --prompt-tokens 6000 --rounds 3 [--peer path/to/llama-server]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

import httpx2
from serving import OURS, Server, Streamed, chat, parser, served

from bitwright.cli import output

WORDS = ("the", "of", "and", "to", "in", "is", "that", "for", "it", "as", "was", "with", "be", "by", "on", "not", "his")


def prompt(server: Server, tokens: int, chance: random.Random) -> str:
    """A system prompt of about so many tokens."""
    text = " ".join(chance.choices(WORDS, k=2 * tokens))
    ids = httpx2.post(f"{server.url}/tokenize", json={"content": text}).json()["tokens"][:tokens]
    return str(httpx2.post(f"{server.url}/detokenize", json={"tokens": ids}).json()["content"])


def ask(server: Server, messages: list[dict[str, str]]) -> Streamed:
    """One short answer."""

    async def asked() -> Streamed:
        async with httpx2.AsyncClient(timeout=3600) as client:
            return await chat(client, server.url, messages, 8, 1)

    found = asyncio.run(asked())
    if found.error or found.status != 200:
        raise SystemExit(f"{server.name}: {found.status} {found.error}")
    return found


def turns(name: str, args: argparse.Namespace, seed: int) -> dict[str, Streamed]:
    """The first answer's times, cold and later. Only bitwright keeps prompts when it ends."""
    start = (name, args.model, 2, args.ctx, args.threads)
    with served(*start) as server:
        chance = random.Random(seed)
        told = [{"role": "system", "content": prompt(server, args.prompt_tokens, chance)}]
        question = [*told, {"role": "user", "content": "What is it about?"}]
        later = [*question, {"role": "assistant", "content": "Words."}, {"role": "user", "content": "Which ones?"}]
        ask(server, [{"role": "user", "content": "Hi"}])  # packed, and warm
        found = {"cold": ask(server, question), "next turn": ask(server, later)}
        found["another conversation"] = ask(server, [*told, {"role": "user", "content": "Begin again."}])
    if name == OURS:
        with served(*start) as server:
            ask(server, [{"role": "user", "content": "Hi"}])
            found["after a restart"] = ask(server, later)
            other = [{"role": "system", "content": prompt(server, args.prompt_tokens, chance)}, question[-1]]
            ask(server, other)
            time.sleep(2)  # written by then
            server.process.kill()
        with served(*start) as server:
            ask(server, [{"role": "user", "content": "Hi"}])
            found["after kill -9"] = ask(server, other)
    return found


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--prompt-tokens", type=int, default=6000)
    options.add_argument("--ctx", type=int, default=8192)
    options.add_argument("--rounds", type=int, default=3)
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["BITWRIGHT_CACHE"] = cache
        rows = []
        for name in [OURS, *([args.peer] if args.peer else [])]:
            rounds = [turns(name, args, seed) for seed in range(args.rounds)]
            cold = statistics.median(own["cold"].first for own in rounds)
            for turn in rounds[0]:
                first = statistics.median(own[turn].first for own in rounds)
                cached = statistics.median(own[turn].cached for own in rounds)
                rows.append([Path(name).name, turn, f"{first:.3f}", f"{cached:.0f}", f"{cold / first:.1f}"])
    output.print_table(["", "", ">first token, s", ">tokens cached", ">times faster than cold"], rows)


if __name__ == "__main__":
    main()
