"""Retrieval live: an encoder's recall, and what a judge makes of its nearest ten."""

import json
import math

import pytest
from answer_judges import draw, recorded, told

from safejudge.engines.fake import FakeEncoder, FakeEngine
from safejudge.errors import InputError
from safejudge.evals.retrieval.suite import SUITE


def number(text):
    return int(text.split()[-1])


def shade(picture):
    return int(picture.pixels[0, 0, 0]) // 20


def near(request):
    """The encoder finds the next one as near as the right one."""
    return {0: 0.5, 1: 0.5}.get(number(request.text) - shade(request.picture), 0.1)


def meets(probe):
    return 0.9 if number(probe.question) == shade(probe.images[0]) else 0.2


@pytest.fixture
def data(tmp_path):
    for n in range(4):
        draw(tmp_path / f"{n}.png", 20 * n)
    rows = [{"image": f"{n}.png", "text": f"thing {n}"} for n in range(4)]
    (tmp_path / "pairs.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return tmp_path


def judged(tmp_path, script=meets, encoder=near, longest=1000, **changes):
    engine = FakeEngine(script)
    run = told(tmp_path, engine, data="pairs.jsonl", **changes)
    run.models.encoder = encoder and FakeEncoder(encoder, longest=longest)
    SUITE.judge(run)
    result = SUITE.report(tmp_path / "out")
    figures = [{n: v["value"] for n, v in values.items()} for values in result.numbers.values()]
    return result, figures, [p for wave in engine.history for p in wave]


def test_recall_of_the_encoder_and_what_the_judge_makes_of_it(data):
    result, (encoder, judge), probes = judged(data)
    assert [*result.numbers] == ["fake:encoder", "fake:, of the nearest 10"]
    assert encoder["image_to_text.recall_at_1.ties_against"] == 1 / 4  # the last has no next one
    assert encoder["image_to_text.recall_at_1.ties_for"] == 1
    assert encoder["text_to_image.recall_at_1.ties_against"] == 1 / 4
    assert (judge["rerank.right"], judge["rerank.nearest_right"]) == (1, 1)
    assert len(probes) == 16
    assert (result.coverage.judged, result.coverage.unjudged) == (4, 0)


def test_a_text_of_several_pictures_is_right_for_each(data):
    with (data / "pairs.jsonl").open("a") as file:
        file.write('{"image": "3.png", "text": "thing 0"}\n')
    _, (encoder, judge), _ = judged(data, script=lambda probe: 1 - meets(probe))
    assert encoder["text_to_image.recall_at_1.ties_for"] == 1
    assert judge["rerank.right"] == 0


def test_what_was_not_read_is_not_right_and_is_asked_again(data):
    _, (_, judge), _ = judged(data, script=lambda _: math.nan)
    assert (judge["rerank.right"], judge["rerank.unread"]) == (0, 1)
    _, (_, judge), probes = judged(data, resume=True)
    assert (judge["rerank.right"], len(probes)) == (1, 16)


def test_pictures_and_texts_that_cannot_be_compared_are_told(data):
    (data / "2.png").write_bytes(b"no picture")
    with (data / "pairs.jsonl").open("a") as file:
        file.write('{"image": "1.png", "text": "a far longer thing 9"}\n')
    result, (encoder, _), _ = judged(data, longest=10)
    assert (result.coverage.judged, result.coverage.unjudged) == (3, 1)
    assert "texts that the encoder cannot hold, left out: 1." in result.findings
    assert encoder["image_to_text.without_a_rank"] == 0
    assert result.numbers[next(iter(result.numbers))]["text_to_image.without_a_rank"]["n"] == 3
    assert recorded(data)[2]["error"]["reason"] == "not_an_image"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"encoder": None}, "--encoder"),
        ({"args": {"way": "x"}}, "--suite-arg way"),
    ],
)
def test_what_it_cannot_begin_with_is_refused(data, changes, says):
    with pytest.raises(InputError, match=says):
        judged(data, **changes)


def test_it_needs_a_file(data):
    with pytest.raises(InputError, match="--data pairs"):
        SUITE.judge(told(data, FakeEngine(meets), data="nowhere"))
