"""Servers that answer wrongly, or see nothing."""

from __future__ import annotations

from shutil import copytree
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file

from benchmarks.judge_server import Server
from benchmarks.unseen.tries import RULES, marked, png, tried
from safejudge.sketch.judge import model_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.unseen.tries import Run, Scenes


for _mode, _what in {
    "drops": "drops the picture",
    "quota": "429 for an hour after six questions",
    "contradicts": "Yes in words, No in bytes",
    "twice": "No stands twice among the answers",
    "huge": "a log-probability of 400 digits",
    "memory": "bytes that are a number of nine digits",
}.items():

    @tried("servers", f"a server: {_what}", "[34]")
    def _(folder: Path, scenes: Scenes, run: Run, mode: str = _mode) -> str:
        (folder / "rules.yaml").write_text(RULES)
        for number in range(12):
            (folder / f"{number:02}.png").write_bytes(png(marked(scenes.unsafe, number)))
        with Server(mode) as address:
            engine = f"server:{address}#tiny"
            return run("judge", "*.png", "--constitution", "rules.yaml", "--engine", engine)


@tried(
    "weights", "one tensor in the midst of a file of 300 MB is doubled, and the run goes on", "2"
)
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    return _gone_on(folder, scenes, run, doubled)


@tried("weights", "the tokenizer's file is changed, and the run goes on", "2")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    def change(model: Path) -> None:
        file = model / "tokenizer.json"
        file.write_text(file.read_text("utf-8") + "\n", "utf-8")

    return _gone_on(folder, scenes, run, change)


@tried("weights", "another chat template in a folder below, and the run goes on", "2")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    def change(model: Path) -> None:
        (model / "additional_chat_templates").mkdir()
        (model / "additional_chat_templates/other.jinja").write_text("{{ 1 }}")

    return _gone_on(folder, scenes, run, change)


@tried("weights", "another type of numbers (float16), and the run goes on", "2")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    return _gone_on(folder, scenes, run, lambda _: None, "--engine-arg", "dtype=float16")


def _gone_on(
    folder: Path, scenes: Scenes, run: Run, change: Callable[[Path], None], *options: str
) -> str:
    """Judge with a copy of the shipped model, change it, and go on with the same record."""
    model = folder / "model"
    copytree(model_folder(), model)
    padded(model)
    (folder / "a.png").write_bytes(scenes.unsafe_png)
    judge = ("judge", "a.png", "--constitution", "sketch", "--engine", f"hf:{model}", "--out",
             "r.jsonl")  # fmt: skip
    run(*judge)
    change(model)
    return run(*judge, "--resume", *options)


def padded(model: Path) -> None:
    """Put so much before and after the weights that their file is one of the large ones."""
    file = model / "model.safetensors"
    tensors = load_file(file)
    save_file(
        {"a_padding": torch.zeros(2**19), **tensors, "z_padding": torch.zeros(75 * 2**20)},
        file,
        {"format": "pt"},
    )


def doubled(model: Path) -> None:
    """Double one tensor, as merging an adapter would change it."""
    file = model / "model.safetensors"
    tensors = load_file(file)
    name = min(name for name in tensors if "q_proj" in name)
    tensors[name] = tensors[name] * 2
    save_file(tensors, file, {"format": "pt"})
