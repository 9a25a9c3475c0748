"""Whether lm-eval's stock client, asking `bitwright serve`, finds the scores that `bitwright tasks` finds.

    pip install lm-eval[api]
    python benchmarks/serve_lm_eval.py MODEL [--items 200]

The task is made here: which of four words follows in a series of numbers or letters written out.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from serving import OURS, served, threads

from bitwright.cli import output

SERIES = (
    "one two three four five six seven eight nine ten eleven twelve".split(),  # noqa: SIM905
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),  # noqa: SIM905
    "January February March April May June July August September October November December".split(),  # noqa: SIM905
    "first second third fourth fifth sixth seventh eighth ninth tenth".split(),  # noqa: SIM905
)
TASK = """
task: series
dataset_path: json
dataset_kwargs: {{data_files: {{test: {path}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{query}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{gold}}}}"
target_delimiter: " "
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
"""


def items(count: int) -> list[dict[str, object]]:
    """Questions with four choices, of which one goes on."""
    chance, found = random.Random(1), []
    for _ in range(count):
        series = chance.choice(SERIES)
        length = chance.randint(1, 3)
        start = chance.randrange(len(series) - length)
        gold, shown = series[start + length], series[start : start + length]
        choices = [gold, *chance.sample([word for word in series if word not in (gold, *shown)], 3)]
        chance.shuffle(choices)
        query = f"In order: {', '.join(shown)},"
        found.append({"query": query, "choices": choices, "gold": choices.index(gold)})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("-t", "--threads", type=int, default=threads())
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "series.jsonl"
        path.write_text("".join(json.dumps(item) + "\n" for item in items(args.items)))
        (Path(folder) / "series.yaml").write_text(TASK.format(path=path))
        scored = run("bitwright", "tasks", str(args.model), "--tasks", str(path), "--json")
        ours = json.loads(scored)["tasks"][0]
        with served(OURS, args.model, 4, 2048, args.threads) as server:
            told = f"model={args.model.name},base_url={server.url}/v1/completions,num_concurrent=4,max_length=2047"
            run("lm_eval", "run", "--model", "local-completions", "--model_args", told, "--tasks", "series",
                "--include_path", folder, "--output_path", folder)  # fmt: skip
        (written,) = Path(folder).rglob("results_*.json")
        theirs = json.loads(written.read_text())["results"]["series"]
    rows = [["bitwright tasks", ours["acc"], ours["acc_norm"]["mean"]],
            ["lm-eval", theirs["acc,none"], theirs["acc_norm,none"]]]  # fmt: skip
    output.print_table(["", ">acc", ">acc_norm"], [[name, *(f"{own:.4f}" for own in scores)] for name, *scores in rows])


def run(*module: str) -> str:
    """Run a module; what it printed."""
    offline = os.environ | {"HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-m", *module], check=True, stdout=subprocess.PIPE, text=True, env=offline
    ).stdout


if __name__ == "__main__":
    main()
