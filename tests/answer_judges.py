"""What the tests of judged answers share: a judge that is told what to say, and made-up data."""

from __future__ import annotations

import json
import re

import numpy as np
from PIL import Image

from safejudge.engines.models import Models
from safejudge.evals.suite import Run
from safejudge.policy import Policy
from safejudge.types import AnswerProbs, EngineCard, Probe

POLICY = Policy()
_SHOWN = re.compile(r"^Answer(?: [A-Z])?:\n(=+\d+=+)\n(.*?)\n\1$", re.DOTALL | re.MULTILINE)


def shown(request):
    """The answers that a request shows, in their order."""
    text = request.question if isinstance(request, Probe) else request.messages[-1].text
    return [answer for _, answer in _SHOWN.findall(text)]


def worth(answer):
    """How good an answer says it is: `... worth 4`."""
    found = re.findall(r"worth (\d)", answer)
    return int(found[-1]) if found else 1


def peaked(labels, label, mass=0.9):
    rest = (1 - mass) / (len(labels) - 1)
    return AnswerProbs(tuple(mass if one == label else rest for one in labels))


class Honest:
    """Says what answers are worth; any part of it may be put in its place."""

    def __init__(self, probs=None, reply=None, uri="hf:stand-in"):
        self.card = EngineCard(uri, "stand-in", "1")
        self.probs, self.reply = probs or self.likely, reply or self.writes
        self.asked, self.waves = [], 0

    def check_statements(self, statements):
        pass

    def answer_probs(self, probes):
        self.asked += probes
        self.waves += 1
        return [self.probs(probe) for probe in probes]

    def reason(self, requests):
        self.asked += requests
        return [self.reply(request) for request in requests]

    def likely(self, probe):
        return peaked(probe.labels, self.verdict(probe))

    def writes(self, request):
        verdict = self.verdict(request)
        if len(verdict) == len(shown(request)) > 2:
            return f"So: [{', '.join(f'[{letter}]' for letter in verdict)}]"
        return f"Well done.\n[[{verdict}]]"

    @staticmethod
    def verdict(request):
        values = [worth(answer) for answer in shown(request)]
        if len(values) == 1:
            return str(values[0])
        if len(values) == 2:
            return "C" if values[0] == values[1] else "A" if values[0] > values[1] else "B"
        best = sorted(range(len(values)), key=lambda place: -values[place])
        return "".join("ABCDEF"[place] for place in best)

    def close(self):
        pass


def draw(path, shade=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((24, 24, 3), shade, dtype=np.uint8)).save(path)


def lines(path, records):
    path.write_text("".join(f"{json.dumps(one)}\n" for one in records), encoding="utf-8")


def told(tmp_path, engine, data="data", **changes):
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    settings = {"window": 2} | changes
    return Run(out=out, models=Models(engine), policy=POLICY, data=str(tmp_path / data), **settings)


def recorded(tmp_path):
    """The run's records, without what made them."""
    text = (tmp_path / "out/records.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()][1:]


def judged(suite, tmp_path, engine, **changes):
    suite.judge(told(tmp_path, engine, **changes))
    scored = suite.report(tmp_path / "out")
    json.dumps([scored.numbers, scored.samples], allow_nan=False)
    for table in scored.tables:
        assert all(len(row) == len(table.columns) for row in table.rows)
    assert len(scored.predictions) == len(
        {(one.protocol, one.sample) for one in scored.predictions}
    )
    return scored


# --- MLLM-as-a-Judge ----------------------------------------------------------------------------


def answer_of(value, name="drawer"):
    return {"name": name, "answer": f"It is a ball, worth {value}"}


def score_record(item, value, human=None, **more):
    return {"score_id": item, "id": 100 + item, "instruction": f"What is on picture {item}?",
            "image_path": f"{item}.png", "original_dataset": "shapes",
            "human": value if human is None else human} | answer_of(value) | more  # fmt: skip


def pair_record(item, first, second, human, **more):
    return {"id": 200 + item, "pair_id": item, "instruction": f"What is on picture {item}?",
            "image_path": f"image/{item}.png", "original_dataset": "shapes",
            "answer1": answer_of(first), "answer2": answer_of(second, "painter"),
            "human": human} | more  # fmt: skip


def batch_record(item, values, human, **more):
    names = ("drawer", "painter", "potter", "weaver")
    answers = [answer_of(value, name) for value, name in zip(values, names, strict=False)]
    return {"id": item, "instruction": f"What is on picture {item}?", "image_path": f"{item}.png",
            "original_dataset": "maps", "answers": answers,
            "human_answer": human} | more  # fmt: skip


def mllm_folder(tmp_path, count=6):
    """Scores, pairs and rankings on which the honest judge is always right."""
    data = tmp_path / "data"
    for item in range(count):
        draw(data / f"image/{item}.png", 40 + item)
    values = [1 + item % 5 for item in range(count)]
    lines(data / "score.jsonl", [score_record(item, v) for item, v in enumerate(values)])
    pairs = [(2, 4, "B"), (5, 1, "A"), (3, 3, "C")]
    lines(
        data / "pair.jsonl", [pair_record(item, *pairs[item % len(pairs)]) for item in range(count)]
    )
    ranks = [((1, 2, 3, 4), "DCBA"), ((3, 5, 1), "BAC")]
    lines(
        data / "batch.jsonl",
        [batch_record(item, *ranks[item % len(ranks)]) for item in range(count)],
    )
    return data


# --- Multimodal RewardBench ---------------------------------------------------------------------


def triplet(item, first, second, **more):
    return {"ID": f"vqa_{item}", "Category": "vqa", "Text": f"What is on picture {item}?",
            "Image": f"images/shapes/{item}.png", "Output1": f"A ball, worth {first}",
            "Output2": f"Some ball, worth {second}",
            "Better": "Output1" if first > second else "Output2"} | more  # fmt: skip


def rewardbench_folder(tmp_path, count=6):
    data = tmp_path / "data"
    for item in range(count):
        draw(data / f"images/shapes/{item}.png", 40 + item)
    rows = [triplet(item, *((4, 2), (1, 5))[item % 2]) for item in range(count)]
    (data / "all.json").write_text(json.dumps(rows))
    return data
