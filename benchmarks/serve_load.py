"""How a server bears many clients: tokens a second, time to the first token, errors, memory; compared with one stream.

    python benchmarks/serve_load.py MODEL --clients 64 --minutes 10                     # the soak
    python benchmarks/serve_load.py MODEL --peer path/to/llama-server --clients 16 --minutes 1 --rounds 3

Each client asks one thing after another; some leave in the middle (`--leaving`). With a peer, both servers get the same
load in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from pathlib import Path

import httpx2
from serving import OURS, Server, Streamed, chat, parser, served

from bitwright.cli import output

SYSTEM = "You are a helpful assistant. Answer in plain English, and keep to what you know. " * 6
TOPICS = ("the sea", "bread", "bicycles", "winter", "the moon", "chess", "a small town", "trees", "music", "trains")


async def client(number: int, url: str, until: float, args: argparse.Namespace) -> list[Streamed]:
    """What one client gets."""
    chance, found = random.Random(f"{args.seed}/{number}"), []
    async with httpx2.AsyncClient(timeout=600) as connection:
        while time.monotonic() < until:
            question = (
                f"Tell me {chance.randint(2, 9)} things about {chance.choice(TOPICS)}, number {chance.random():.3f}."
            )
            messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
            leaves = chance.randint(1, 20) if chance.random() < args.leaving else None
            found.append(await chat(connection, url, messages, args.tokens, chance.randint(0, 1 << 30), leaves))
            if found[-1].status == 429:
                await asyncio.sleep(chance.random())
    return found


async def clients(
    server: Server, count: int, seconds: float, args: argparse.Namespace
) -> tuple[list[Streamed], float, int]:
    """What `count` clients get, how long it took, and the server's memory after half of the time."""
    started = time.monotonic()

    async def halfway() -> int:
        await asyncio.sleep(seconds / 2)
        return server.own_bytes

    middle = asyncio.create_task(halfway())
    found = await asyncio.gather(*(client(n, server.url, started + seconds, args) for n in range(count)))
    return [own for several in found for own in several], time.monotonic() - started, await middle


def load(server: Server, count: int, seconds: float, args: argparse.Namespace) -> dict[str, float]:
    """Put a load on a server, and say how it bore it."""
    before = server.own_bytes
    found, took, middle = asyncio.run(clients(server, count, seconds, args))
    wrong = [own for own in found if own.error or own.status not in (200, 429)]
    if wrong:
        output.say(f"{server.name}: {len(wrong)} errors, the first of them: {wrong[0].status} {wrong[0].error}")
    firsts = sorted(own.first for own in found if own.first)
    return {
        "tokens": sum(own.tokens for own in found) / took,
        "first": statistics.median(firsts),
        "slow": firsts[int(len(firsts) * 0.95)],
        "answers": sum(own.status == 200 for own in found),
        "busy": sum(own.status == 429 for own in found),
        "errors": len(wrong),
        "grown": middle - before,
        "later": server.own_bytes - middle,
    }


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--clients", type=int, default=64)
    options.add_argument("--minutes", type=float, default=1.0)
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument("--tokens", type=int, default=64, help="the most tokens of an answer")
    options.add_argument("--leaving", type=float, default=0.2, help="share of the clients that leave in the middle")
    options.add_argument("--parallel", type=int, default=16)
    options.add_argument("--ctx", type=int, default=1024)
    options.add_argument("--seed", type=int, default=0)
    args = options.parse_args()
    rows: list[list[str]] = []
    several: dict[str, list[dict[str, float]]] = {name: [] for name in [OURS, *([args.peer] if args.peer else [])]}
    for turn in range(args.rounds):
        args.seed += turn
        for name in several:
            with served(name, args.model, args.parallel, args.ctx, args.threads) as server:
                load(server, 2, 3, args)  # packed, and warm
                one = load(server, 1, min(args.minutes * 60, 20), argparse.Namespace(**{**vars(args), "leaving": 0}))
                many = load(server, args.clients, args.minutes * 60, args)
                several[name].append({**many, "one": one["tokens"]})
    for name, turns in several.items():
        middle = {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}
        total = {key: sum(turn[key] for turn in turns) for key in ("answers", "busy", "errors")}
        rates = [middle["one"], middle["tokens"], middle["tokens"] / middle["one"], middle["first"], middle["slow"]]
        rows.append([
            Path(name).name, *(f"{rate:.2f}" for rate in rates), *(f"{count:.0f}" for count in total.values()),
            *(output.human_bytes(max(int(middle[half]), 0)) for half in ("grown", "later")),
        ])  # fmt: skip
    headers = ["", ">one stream, t/s", f">{args.clients} clients, t/s", ">times", ">first token, s", ">95%, s",
               ">answers", ">429", ">errors", ">memory grown, first half", ">second"]  # fmt: skip
    output.print_table(headers, rows)


if __name__ == "__main__":
    main()
