"""MJ-Bench-Video with a real model: frames of drawn videos, several in one question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from safejudge.engines.models import Models
from safejudge.evals.mjbench_video.suite import SUITE
from safejudge.evals.mjbench_video.topics import ASPECTS, CRITERIA, OVERALL
from safejudge.evals.suite import Run
from safejudge.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from safejudge.engines.base import Engine

av = pytest.importorskip("av")
COMPARED = ("Alignment", "Safety", "Fineness", "Coherence & Consistency", "Bias")


def film(path: Path, seed: int) -> None:
    """Eight frames: a square that moves over a ground of one colour."""
    colour = np.random.default_rng(seed).integers(0, 256, 3)
    with av.open(str(path), "w", format="mp4") as out:
        track = out.add_stream("mpeg4", rate=4)
        track.height, track.width, track.pix_fmt = 48, 64, "yuv420p"
        for n in range(8):
            pixels = np.full((48, 64, 3), colour, np.uint8)
            pixels[16:32, 6 * n : 6 * n + 16] = 255 - colour
            out.mux(track.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(track.encode())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    rows = []
    for number, preferred in enumerate(("Video 1 better", "Video 2 better")):
        row = {
            "caption": f"a square moves, {number}",
            "category_preference": dict.fromkeys(COMPARED, "Same"),
            "overall_preference": preferred,
        }
        for side in (0, 1):
            film(folder / f"{number}_{side}.mp4", 2 * number + side)
            row[f"video_{side}_path"] = f"{number}_{side}.mp4"
            names = [name for below in CRITERIA.values() for name in below]
            row[f"video_{side}_label"] = dict.fromkeys(names, 1)
            row[f"video_{side}_overall_score"] = dict.fromkeys(ASPECTS, 2 - side)
        rows.append(row)
    (folder / "test.json").write_text(json.dumps(rows))
    return folder


def test_frames_are_read_together(
    shared: Callable[[str], Engine], data: Path, tmp_path: Path
) -> None:
    name = "smolvlm"
    args = {"frames": 3, "topics": "overall"}
    policy = Policy(minimum_label_mass=0.0)  # random weights say anything
    run = Run(tmp_path, Models(shared(name)), policy, data=str(data / "test.json"), args=args)
    SUITE.judge(run)
    rows = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()[1:]]
    assert [row["shown"] for row in rows] == [[[3, 8], [3, 8]]] * 2
    scores = [one["score"] for row in rows for one in row["said"]["weighted"][OVERALL]]
    assert all(1 <= score <= 10 for score in scores)
    assert len(set(scores)) == 4  # the model sees which video it is
    assert SUITE.report is not None
    result = SUITE.report(tmp_path)
    assert result.numbers[f"hf:{name}, weighted"]["overall.read"]["value"] == 1
    assert result.coverage is not None
    assert result.coverage.judged == 2
