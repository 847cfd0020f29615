"""Whether the families that people run are read where they answer, and as transformers reads them.

Tiny models with random weights: architecture, processor, control tokens and the form of the chat
template are each family's own (`tests/contract/families.py`). With `--vllm-python` the same probes
go through vLLM in that environment. `python benchmarks/families.py --vllm-python PATH`
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import torch
from kept import Kept
from measure import record

from safejudge.engines.local.hf import HFEngine
from safejudge.engines.open import open_engine
from safejudge.errors import SafejudgeError
from safejudge.show.markdown import table
from safejudge.text import first_line

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "contract"))
from families import FAMILIES, build_family
from family_reads import BLUE, MIXED, ODD, RED, Oracle, ask

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from safejudge.engines.base import Engine

HEAD = [
    "family", "untold", "a prompt ends with", "mass", "transformers, dP", "batch, dM",
    "in bfloat16", "in float16", "vLLM, dM", "odd sizes", "patch rows, plain", "patch rows",
]  # fmt: skip
PATIENCE = 600
"""Seconds that vLLM may take to open a model and answer."""
QUESTIONS = 20
"""About one picture, for the rows of patches that its vision encoder works on."""


def engine_of(name: str, folder: Path, **options: Any) -> HFEngine:
    """Open a family, told what its model writes before an answer."""
    if FAMILIES[name].opening:
        options["reply_prefix"] = FAMILIES[name].opening
    return HFEngine(str(folder), uri=f"hf:{name}", device="cpu", batch_size=8, **options)


def untold(name: str, folder: Path) -> str:
    """Whether it opens with nothing said, or why it does not."""
    try:
        HFEngine(str(folder), uri=f"hf:{name}", device="cpu").close()
    except SafejudgeError as error:
        said = first_line(error).removeprefix(f"{folder}: ").replace(str(folder), name)
        return f"refused: {said[:120]}"
    return "opens"


def by_batch(engine: Engine) -> float:
    """Largest |dM| of a probe between a batch, padded to the longest, and by itself."""
    statements = ["a dog is visible" + " and a red bus is next to it" * more for more in range(6)]
    probes = [
        ask(images, statement) for images in ((RED,), (BLUE,), ()) for statement in statements
    ]
    together = engine.answer_probs(probes)
    alone = [engine.answer_probs([probe])[0] for probe in probes]
    return largest([a.p_labels for a in together], [a.p_labels for a in alone])


def largest(left: Sequence[Sequence[float]], right: Sequence[Sequence[float]]) -> float:
    """Largest |dM| over yes and no, each the share of yes in the mass of both."""
    shares = [
        abs(one[0] / sum(one) - other[0] / sum(other))
        for one, other in zip(left, right, strict=True)
        if len(one) == len(other) == 2
    ]
    return max(shares)


def odd_sizes(engine: Engine) -> str:
    """What pictures of 1x1, 2x2, 3x200 and 200x3 cost."""
    try:
        answers = engine.answer_probs([ask((image,)) for image in (RED, *ODD)])
    except SafejudgeError as error:
        return f"end the call: {first_line(error)[:80]}"
    lost = [
        f"{image.pixels.shape[1]}x{image.pixels.shape[0]}"
        for image, answer in zip((RED, *ODD), answers, strict=True)
        if answer.problem
    ]
    return f"not read: {', '.join(lost)}" if lost else "all read"


def patch_rows(engine: HFEngine) -> int:
    """Rows that the first block of the vision encoder works on, for 20 questions on a picture."""
    named = engine._model.named_modules()  # noqa: SLF001
    first = next(
        module
        for name, module in named
        if ("vision" in name or "visual" in name) and name.endswith((".layers.0", ".blocks.0"))
    )
    rows: list[int] = []
    handle = first.register_forward_pre_hook(
        lambda _, args, kwargs: rows.append(_states(args, kwargs).shape[:-1].numel()),
        with_kwargs=True,
    )
    engine.answer_probs([ask((RED,), f"statement {i}") for i in range(QUESTIONS)])
    handle.remove()
    return sum(rows)


def _states(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    return next(value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor))


def measured(name: str, folder: Path, vllm: str | None) -> Iterator[tuple[str, Any]]:
    """Yield the columns of a family; none but the first two where it does not open."""
    yield "untold", untold(name, folder)
    try:
        engine = engine_of(name, folder)
    except (SafejudgeError, TypeError):
        return
    yield "a prompt ends with", repr(engine._chat.question_prompt()[-36:])  # noqa: SLF001
    answers = engine.answer_probs(MIXED)
    yield "mass", min(answer.label_mass for answer in answers if len(answer.p_labels) == 2)
    oracle = Oracle(folder, engine, FAMILIES[name].opening)
    yield (
        "transformers, dP",
        max(
            abs(one - other)
            for probe, answer in zip(MIXED, answers, strict=True)
            for one, other in zip(answer.p_labels, oracle.probabilities(probe), strict=True)
        ),
    )
    yield "batch, dM", by_batch(engine)
    for dtype in ("bfloat16", "float16"):
        half = engine_of(name, folder, dtype=dtype)
        yield f"in {dtype}", by_batch(half)
        half.close()
    if vllm is not None:
        yield "vLLM, dM", through_vllm(name, folder, vllm, [list(a.p_labels) for a in answers])
    yield "odd sizes", odd_sizes(engine)
    with patch.object(engine, "_reader", engine._plain):  # noqa: SLF001
        yield "patch rows, plain", patch_rows(engine)
    yield "patch rows", patch_rows(engine_of(name, folder))


def through_vllm(name: str, folder: Path, python: str, ours: list[list[float]]) -> float | str:
    """Largest |dM| to vLLM's reads, in a process of its own environment; or what it said."""
    out = folder / "vllm.json"
    try:
        run = subprocess.run(
            [python, __file__, "--read", name, str(folder), str(out)],
            capture_output=True, text=True, timeout=PATIENCE, check=False,
            env={**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"no answer in {PATIENCE} s"
    if run.returncode or not out.is_file():
        said = [line for line in run.stderr.splitlines() if "Error" in line]
        # What vLLM's own process met stands behind what the other says of it.
        return f"not read: {said[-1].partition('It met: ')[2][:100] if said else run.returncode}"
    return largest(ours, json.loads(out.read_text()))


def read_by_vllm(name: str, folder: str, out: str) -> None:
    """The other process: answer the probes and leave the probabilities in a file."""
    options: dict[str, Any] = {"dtype": "float32", "max_model_len": 1024}
    options["limit_mm_per_prompt"] = {"image": 4, "video": 0}
    options["enforce_eager"] = True  # it compiles some architectures for minutes
    if FAMILIES[name].opening:
        options["reply_prefix"] = FAMILIES[name].opening
    with_vllm = open_engine(f"vllm:{folder}", **options)
    read = [list(answer.p_labels) for answer in with_vllm.answer_probs(MIXED)]
    Path(out).write_text(json.dumps(read))


def shown(value: Any) -> str:
    """A number to two digits, or words that do not end their cell."""
    return f"{value:.2g}" if isinstance(value, float) else str(value).replace("|", "\\|")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", choices=[[], *FAMILIES], help="all of them if none")
    parser.add_argument("--vllm-python", metavar="PATH", help="Python of an environment with vLLM")
    parser.add_argument("--kept", type=Path, help="goes on where a run with this file was stopped")
    parser.add_argument("--read", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.read:
        read_by_vllm(*args.read)
        return
    numbers: dict[str, dict[str, Any]] = {}
    kept = Kept(args.kept)
    with tempfile.TemporaryDirectory() as scratch:
        for name in args.families or FAMILIES:
            try:
                folder = build_family(name, Path(scratch) / name)
            except ImportError as error:
                numbers[name] = {"untold": f"not built: {first_line(error)[:120]}"}
                continue
            numbers[name] = kept.row(name, lambda: dict(measured(name, folder, args.vllm_python)))  # noqa: B023 - called at once
            print(name, numbers[name], flush=True)
    columns = [column for column in HEAD[1:] if any(column in row for row in numbers.values())]
    rows = [
        [name, *(shown(row.get(column, "")) for column in columns)] for name, row in numbers.items()
    ]
    if not args.families:
        record("families", numbers, table([HEAD[0], *columns], rows))


if __name__ == "__main__":
    main()
