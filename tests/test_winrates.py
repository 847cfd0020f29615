"""Win rates of two generators: blind pairs, votes of people and of judges, figures by hand."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from safejudge.cli import app as cli
from safejudge.engines.fake import FakeEngine
from safejudge.engines.models import Models
from safejudge.errors import InputError
from safejudge.evals.winrates import study as studies
from safejudge.evals.winrates.judging import file_of, judge
from safejudge.evals.winrates.page import page_of
from safejudge.evals.winrates.rates import ALL, compare
from safejudge.evals.winrates.study import Pair, Study, Vote
from safejudge.policy import Policy

RED, BLUE = (200, 30, 30), (30, 30, 200)


@pytest.fixture
def drawn(tmp_path):
    """Twelve pictures of two generators, `old` in red and `new` in blue, and their prompts."""
    lines = []
    for name, colour in (("old", RED), ("new", BLUE)):
        (tmp_path / name).mkdir()
        for number in range(12):
            Image.new("RGB", (8, 8), colour).save(tmp_path / name / f"{number}.png")
    lines = [json.dumps({"image": f"{n}.png", "prompt": f"</script> {n}"}) for n in range(12)]
    (tmp_path / "prompts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def planned(folder, seed=0):
    return studies.plan((folder / "old", folder / "new"), folder / "prompts.jsonl", seed)


def test_sides_and_order_hang_on_the_seed(drawn):
    study = planned(drawn)
    assert planned(drawn) == study
    assert study.generators == ("old", "new")
    sides = [tuple(pair.left for pair in planned(drawn, seed).pairs) for seed in range(4)]
    assert len(set(sides)) == 4
    assert 0 < sum(sides[0]) < 12
    assert [pair.image for pair in study.pairs] != [pair.image for pair in planned(drawn, 1).pairs]
    left, right = study.paths(study.pairs[0])
    assert {left.parent.name, right.parent.name} == {"old", "new"}


def test_what_one_folder_lacks_is_told(drawn):
    (drawn / "new" / "3.png").unlink()
    with pytest.warns(UserWarning, match="1 of 12 pictures are not in one of the folders"):
        assert len(planned(drawn).pairs) == 11
    with pytest.raises(InputError, match="both generators"):
        studies.plan((drawn / "old", drawn / "old" / ".." / "old"), drawn / "prompts.jsonl", 0)
    with pytest.raises(InputError, match="no folder"):
        studies.plan((drawn / "old", drawn / "none"), drawn / "prompts.jsonl", 0)
    (drawn / "out.jsonl").write_text('{"image": "../old/1.png", "prompt": "a"}', encoding="utf-8")
    with pytest.raises(InputError, match="outside"):
        studies.plan((drawn / "old", drawn / "new"), drawn / "out.jsonl", 0)


def test_the_page_says_nothing_of_who_drew_what(drawn):
    study = planned(drawn)
    text, shown = page_of(study, Policy())
    assert shown == study
    markup = re.sub(r"data:image/jpeg;base64,[\w+/=]*", "", text)
    assert not re.search(r"\bold\b|\bnew\b|\.png", markup.partition("<script>")[0])
    assert str(drawn) not in text
    assert text.count("data:image/jpeg") == 24
    assert text.count("</script>") == 1  # prompts are text


VOTES = {"a": "left right tie left unread".split(), "b": "left left tie tie left".split()}  # noqa: SIM905


def hand_study():
    """Five pairs; the first generator stands left in the first three."""
    pairs = [
        Pair(id=f"p{n}", prompt="", image=f"{n}.png", left=0 if n < 3 else 1) for n in range(5)
    ]
    return Study(generators=("x", "y"), folders=("/x", "/y"), seed=0, pairs=tuple(pairs))


def test_rates_by_hand():
    votes = [
        Vote(pair=f"p{n}", rater=rater, choice=choice)
        for rater, choices in VOTES.items()
        for n, choice in enumerate(choices)
    ]
    strange = [
        Vote(pair="q", rater="a", choice="left"),
        votes[0].model_copy(update={"choice": "tie"}),
    ]
    found = compare(hand_study(), [*votes, *strange])
    assert (found.unknown, found.repeated) == (1, 1)
    # a: win, loss, tie, loss, unread; b: win, win, tie, tie, loss
    a, b, both = (found.rates[name] for name in ("a", "b", ALL))
    assert (a.wins.value, a.ties.value, a.losses.value, a.rate.n, a.unread) == (
        0.25,
        0.25,
        0.5,
        4,
        1,
    )
    assert a.rate.value == pytest.approx(1.5 / 4)
    assert (b.wins.value, b.ties.value, b.losses.value) == (0.4, 0.4, 0.2)
    # majority: win, tie (1 : 1), tie, tie (tie : loss), loss
    assert (both.wins.value, both.ties.value, both.losses.value) == (0.2, 0.6, 0.2)
    # equal in 2 of 4; by chance (1 * 2 + 1 * 2 + 2 * 0) / 16 = 1 / 4
    assert found.kappas["a", "b"].value == pytest.approx((0.5 - 0.25) / 0.75)
    assert found.orders["a"].chosen_left.value == pytest.approx(2 / 3)
    assert found.orders["a"].both is None


def test_nobody_and_one_rater():
    found = compare(hand_study(), [Vote(pair="p0", rater="a", choice="left")])
    assert list(found.rates) == ["a"]
    assert np.isnan(found.alpha.value)
    assert compare(hand_study(), []).rates == {}


@pytest.mark.parametrize(
    ("likes", "rate", "same", "first"),
    [("blue", 0.0, 1.0, 0.0), ("red", 1.0, 1.0, 0.0), ("first", 0.5, 0.0, 1.0)],
)
def test_a_judge_votes_in_both_orders(drawn, likes, rate, same, first):
    def answer(probe):
        red = probe.images[0].pixels[0, 0, 0] > 100
        return {"first": 0.9, "red": 0.9 if red else 0.1, "blue": 0.1 if red else 0.9}[likes]

    study = planned(drawn)
    votes = judge(study, Models(FakeEngine(answer)), Policy(), "overall", lambda _: None)
    assert len(votes) == 24
    found = compare(study, votes)
    (rates,), (order,) = found.rates.values(), found.orders.values()
    assert rates.rate.value == rate
    assert order.both["same_answer"].value == same
    assert order.both["always_A"].value == first
    assert order.chosen_left.value == (1.0 if likes == "first" else 0.5)


def test_a_picture_that_cannot_be_read_is_unread(drawn):
    study = planned(drawn)
    (drawn / "old" / "3.png").write_bytes(b"no")
    votes = judge(study, Models(FakeEngine()), Policy(), "overall", lambda _: None)
    assert sum(vote.choice == "unread" for vote in votes) == 2
    (rates,) = compare(study, votes).rates.values()
    assert (rates.unread, rates.rate.n) == (1, 11)
    with pytest.warns(UserWarning, match=r"1 pair of 12 left out.*3\.png"):
        text, shown = page_of(study, Policy())
    assert len(shown.pairs) == 11
    assert text.count("data:image/jpeg") == 22
    for file in (drawn / "old").glob("*.png"):
        file.write_bytes(b"no")
    with pytest.raises(InputError, match="no pair can be shown"):
        page_of(study, Policy())


def test_the_commands(drawn, capsys):
    out = drawn / "study"
    made = ["winrates", "page", str(drawn / "old"), str(drawn / "new")]
    made += ["--prompts", str(drawn / "prompts.jsonl"), "--out", str(out)]
    assert cli.main(made) == 0
    assert cli.main(made) == 2
    assert cli.main(["winrates", "figures", str(out)]) == 2
    assert "nobody has voted" in capsys.readouterr().err
    assert cli.main(["winrates", "judge", str(out), "--engine", "fake:"]) == 0
    assert cli.main(["winrates", "judge", str(out), "--engine", "fake:"]) == 2
    assert (out / file_of("fake:")).is_file()
    study = studies.read(out)
    lines = [
        json.dumps({"pair": pair.id, "rater": "ann", "choice": "left"}) for pair in study.pairs
    ]
    (out / "votes-ann.jsonl").write_text("\n".join([*lines, lines[0]]), encoding="utf-8")
    capsys.readouterr()
    assert cli.main(["winrates", "figures", str(out)]) == 4
    told = capsys.readouterr().out
    assert "old against new" in told
    assert "Krippendorff's alpha" in told
    assert "1 vote given twice; the first counts" in told
    (out / "votes-bad.jsonl").write_text(
        '{"pair": "a", "rater": "b", "choice": "up"}', encoding="utf-8"
    )
    assert cli.main(["winrates", "figures", str(out)]) == 2
    assert "votes-bad.jsonl:1: `choice`" in capsys.readouterr().err
