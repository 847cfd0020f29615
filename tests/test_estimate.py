"""`judge --estimate`: what a run would take, from a probe; nothing written, nothing promised."""

import math
import random
from pathlib import Path

import pytest
from test_standing import RULES, Sees, shade

from safejudge.cli import app as cli
from safejudge.cli import estimate as door
from safejudge.cli import probe
from safejudge.cli.projection import (
    Projection,
    added_bytes,
    bytes_each,
    projected,
    shared,
    together,
)
from safejudge.engines.meter import Tokens
from safejudge.files.recordfile import TOGETHER

COUNT = 60


@pytest.fixture
def engine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("rules.yaml").write_text(RULES)
    made = Sees()
    monkeypatch.setattr("safejudge.engines.models.open_engine", lambda *_, **__: made)
    return made


@pytest.fixture
def shades(engine):
    for number in range(COUNT):
        shade(f"in/{number:02d}.png", number)
    return engine


def judge(*arguments):
    return cli.main(["judge", *arguments, "--constitution", "rules.yaml", "--engine", "fake:"])


def estimated(*arguments):
    told = ["judge", *arguments, "--constitution", "rules.yaml", "--engine", "fake:"]
    return probe.estimate(cli.parse(told)[1])


def looked_at(engine):
    """The shades that were shown."""
    asked = (one for wave in engine.history for one in wave if one.images)
    return {int(one.images[0].pixels.mean()) for one in asked}


# --- arithmetic -----------------------------------------------------------------------------------


def test_a_probe_of_all_images_is_no_guess():
    assert projected([1.0, 2.0, 3.0], 3) == Projection(6.0, 6.0, 6.0)


def test_what_was_seen_is_the_least_and_nothing_seen_is_not_nothing():
    found = projected([0.0] * 32, 10_000)
    assert (found.value, found.low) == (0.0, 0.0)
    assert 10_000 * 0.1 < found.high < 10_000 * 0.12  # one each of the share that 0 of 32 allow
    assert projected([5.0, 1.0], 3).low == 6.0
    assert projected([5.0], 3) == Projection(15.0, 5.0, math.inf)


@pytest.mark.parametrize(
    "kind",
    [
        lambda lot: lot.gauss(20, 5),
        lambda lot: lot.expovariate(0.5),
        lambda lot: float(lot.random() < 0.1),
        lambda lot: float(lot.random() < 0.3) * lot.randrange(1, 4),
    ],
)
def test_the_range_holds_the_total_about_as_often_as_it_says(kind):
    lot = random.Random(3)
    held = 0
    for _ in range(400):
        run = [max(0.0, kind(lot)) for _ in range(400)]
        found = projected(lot.sample(run, 32), 400)
        held += found.low <= sum(run) <= found.high
    assert held >= 0.91 * 400


def test_shares_keep_the_sum():
    assert shared(6.0, [1, 2, 0]) == [2.0, 4.0, 0.0]
    assert shared(6.0, [0, 0, 0]) == [2.0, 2.0, 2.0]


def test_what_packs_badly_counts_for_more():
    size_of = lambda rows: 100 + sum(9 if row else 1 for row in rows)  # noqa: E731
    assert added_bytes([1, 0, 0, 1], size_of) == [9, 1, 1, 9]


def test_records_are_written_as_many_at_a_time_as_the_run_would():
    assert together(0.01) == TOGETHER
    assert together(3.0) == 3
    assert together(60.0) == 1
    sizes = {1: 10, 2: 14, 4: 22}  # ten bytes, four for each further
    size_of = lambda rows: sizes[len(rows)]  # noqa: E731
    assert bytes_each([0] * 4, size_of, 1).value == 10
    assert bytes_each([0] * 4, size_of, 2) == Projection(7, 7, 7)
    assert bytes_each([0] * 4, size_of, 100).value == (10 + 99 * 4) / 100
    sizes = {2: 20, 4: 36, 8: 52}  # eight bytes for each further, then four
    found = bytes_each([0] * 8, size_of, 16)
    assert found == Projection((52 + 8 * 2) / 16, (52 + 8 * 1) / 16, (52 + 8 * 4) / 16)


# --- the command ----------------------------------------------------------------------------------


def test_it_says_what_a_run_takes_and_writes_nothing(shades, capsys):
    before = sorted(Path().rglob("*"))
    assert judge("in", "--out", "r.jsonl", "--estimate") == 0
    assert sorted(Path().rglob("*")) == before
    told = capsys.readouterr().out
    assert "Estimate from 32 of 60 images" in told
    assert "rarer than 1 in 9 may be missing" in " ".join(told.split())
    assert len(looked_at(shades)) == probe.PROBE + probe.WARM_UP
    rows = {line.split("  ")[0]: line for line in told.splitlines()}
    assert "60" in rows["questions"]
    assert "prompt tokens" not in rows  # the engine does not count them
    found = estimated("in", "--out", "r.jsonl").figures
    assert judge("in", "--out", "r.jsonl") == 0
    head, _, lines = Path("r.jsonl").read_text().partition("\n")
    assert head
    assert found[probe.BYTES].value == pytest.approx(len(lines.encode()), rel=0.02)
    assert found[probe.QUESTIONS].value == COUNT


def test_the_probe_is_drawn_over_the_whole_listing_and_always_the_same(shades):
    estimated("in")
    first = looked_at(shades)
    assert first != set(range(len(first)))
    assert max(first) > 50
    shades.history.clear()
    estimated("in")
    assert looked_at(shades) == first
    shades.history.clear()
    estimated("in", "--limit", "40")
    assert max(looked_at(shades)) < 40


def test_few_images_are_all_judged(engine, capsys):
    for number in range(5):
        shade(f"{number}.png", number)
    assert judge(*(f"{n}.png" for n in range(5)), "--estimate") == 0
    told = capsys.readouterr().out
    assert "Estimate from 5 of 5 images" in told
    assert "the first image included" in told
    assert len(looked_at(engine)) == 5


def test_forms_of_records_differ_in_bytes(shades):
    pytest.importorskip("backports.zstd", reason="pip install 'safejudge[zstd]'")
    each = {}
    for form in ("full", "short"):
        for name in ("r.jsonl", "r.jsonl.zst"):
            found = estimated("in", "--record", form, "--out", name)
            each[form, name] = found.figures[probe.BYTES].value
            assert judge("in", "--record", form, "--out", name) == 0
            assert each[form, name] == pytest.approx(Path(name).stat().st_size, rel=0.5)
            Path(name).unlink()
    assert each["short", "r.jsonl.zst"] < each["short", "r.jsonl"] < each["full", "r.jsonl"]


def test_what_the_run_would_pass_over_is_told(shades, capsys):
    Path("in/shard.tar").write_bytes(bytes(257) + b"ustar" + bytes(250))
    assert judge("in", "--estimate", "--limit", "50") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Passed over, not looked at: 1 file (1 x a tar file, which --ray looks into" in said
    assert f"Left out: {COUNT - 50} images beyond --limit." in said


def test_tokens_are_those_of_the_engine(shades, monkeypatch):
    shades.tokens = Tokens()
    say = shades.answer_probs

    def counting(probes):
        for asked in probes:
            shades.tokens.add(100 if asked.images else 7, None)
        return say(probes)

    monkeypatch.setattr(shades, "answer_probs", counting)
    found = estimated("in").figures[probe.TOKENS]
    assert found.low == found.high == pytest.approx(COUNT * 100, rel=0.003)  # a prior is asked


def test_what_cannot_be_read_is_counted_and_told(shades, capsys):
    for number in range(0, COUNT, 4):
        Path(f"in/{number:02d}.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    found = estimated("in")
    assert 0 < len(found.failed) < probe.PROBE
    expected = COUNT * (1 - len(found.failed) / probe.PROBE)
    assert found.figures[probe.QUESTIONS].value == pytest.approx(expected)
    assert judge("in", "--estimate") == 0
    assert f"{len(found.failed)} of 32 images could not be judged" in capsys.readouterr().out
    for number in range(COUNT):
        Path(f"in/{number:02d}.png").write_bytes(b"")
    assert judge(*(f"in/{n:02d}.png" for n in range(COUNT)), "--estimate") == 2
    assert "none of 32 images could be judged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--resume", "--out", "r.jsonl"], "leave --resume"),
        (["--overwrite", "--out", "r.jsonl"], "leave --resume"),
        (["--shadow", "other.yaml"], "leave --shadow out"),
        (["--ray"], "--out DIR"),
    ],
)
def test_what_it_cannot_speak_of_is_refused_by_name(shades, capsys, more, named):
    assert judge("in", "--estimate", *more) == 2
    assert named in capsys.readouterr().err
    assert not shades.history


def test_with_ray_it_looks_into_shards_and_says_where_it_was_made(shades, capsys):
    pytest.importorskip("pyarrow", reason="pip install 'safejudge[ray]'")
    import tarfile

    with tarfile.open("s.tar", "w") as tar:
        tar.add("in")
    assert judge("s.tar", "--ray", "--out", "parts", "--estimate") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Estimate from 32 of 60 images" in told
    assert "records (full, Parquet)" in told
    assert "Estimated here, with one engine" in told
    assert not Path("parts").exists()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(43.21, "43.2 s"), (150, "2.5 min"), (9000, "2.5 h"), (864_000, "10 days")],
)
def test_durations_are_said_as_people_do(seconds, said):
    assert door._duration(seconds) == said


def test_sizes_are_said_as_people_do():
    assert door._size(27.3e9) == "27.3 GB"
    assert door._size(2.5e12) == "2,500 GB"
    assert door._size(168_410) == "0.168 MB"
    assert door._size(12) == "12 B"
