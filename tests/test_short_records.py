"""Short records: what acts on an image is what full records say; the rest is refused by name."""

import json
from pathlib import Path

import pytest
import yaml
from calibration import POLICY, drawn, judgment, leaf, verdict, write
from hypothesis import given
from hypothesis import strategies as st
from test_standing import RULES, Sees, shade

from safejudge.cli import app as cli
from safejudge.decide.sample import was_read
from safejudge.decide.thresholds import load
from safejudge.files import records
from safejudge.files.short import shortened
from safejudge.files.standing import settled
from safejudge.files.stored import open_stored
from safejudge.files.tally import Tally
from safejudge.show.page.recorded import result_of_content
from safejudge.types import Read, ReasoningTrace


@pytest.fixture
def engine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("rules.yaml").write_text(RULES)
    made = Sees()
    monkeypatch.setattr("safejudge.engines.models.open_engine", lambda *_, **__: made)
    return made


def judge(*arguments, out="r.jsonl"):
    told = ["--constitution", "rules.yaml", "--engine", "fake:", "--out", out]
    return cli.main(["judge", *arguments, *told])


def short(*arguments, **options):
    return judge("--record", "short", *arguments, **options)


def lines(out="r.jsonl"):
    return [json.loads(line) for line in Path(out).read_text().splitlines()]


# --- what they hold -------------------------------------------------------------------------------


def leaves():
    """Every kind of answer that something hangs on."""
    silent = {"reads": (Read(view="full", score=None, label_mass=0.0),)}
    heard = {"reasoning": ReasoningTrace(text="so", problem="no JSON")}
    return st.sampled_from(
        [
            leaf(0.9, "yes"),
            leaf(0.1, "no"),
            leaf(0.5, "undecided"),
            leaf(0.5, "undecided", test="label_mass"),
            leaf(0.5, "undecided", test="not_asked"),
            leaf(0.5, "undecided", test="unreadable").model_copy(update=silent),
            leaf(0.5, "undecided", test="unreadable").model_copy(update=heard),
        ]
    )


@given(
    st.lists(leaves(), min_size=1, max_size=3),
    st.sampled_from(["violated", "not_violated", "undecided"]),
    st.sampled_from(["exact", "upper", "lower"]),
)
def test_what_hangs_on_the_answers_is_worked_out_before_they_go(answers, outcome, bound):
    made = judgment("a.png", {"knives": verdict(0.5, bound, outcome, leaves=tuple(answers))})
    full = json.loads(records.to_line(records.record("a.png", made)))
    kept = shortened(full)
    assert settled(kept) == settled(full)
    again = result_of_content(kept, made.provenance)
    assert was_read(again.rules["knives"]) == was_read(made.rules["knives"])
    told = ("outcome", "score", "margin", "bound", "frame", "background")
    for name in told:
        assert getattr(again.rules["knives"], name) == getattr(made.rules["knives"], name)
    for name in ("image", "id", "label", "violations", "score", "margin", "usage", "undecided_by"):
        assert getattr(again, name) == getattr(made, name)
    assert "preconditions" not in json.dumps(kept)


def test_a_run_writes_them_and_counts_as_full_ones_do(engine, capsys):
    for value in (9, 250):
        shade(f"in/{value}.png", value)
    Path("in/junk.png").write_bytes(b"junk")
    assert judge("in", out="full.jsonl") == 1
    told = capsys.readouterr().err.splitlines()[0].split("; ")
    assert short("in") == 1
    assert capsys.readouterr().err.splitlines()[0].split("; ")[0] == told[0]
    head, *kept = lines()
    assert head["record"] == "short"
    assert "record" not in lines("full.jsonl")[0]
    assert kept == [shortened(line) for line in lines("full.jsonl")[1:]]
    whole, parts = Tally(), Tally()
    for line, part in zip(lines("full.jsonl")[1:], kept, strict=True):
        whole.add(line)
        parts.add(part)
    assert whole == parts


def test_what_was_not_answered_is_asked_again(engine):
    shade("a.png", 250)
    shade("b.png", 9)
    assert short("b.png") == 0
    engine.down = True
    assert short("a.png", "b.png", "--resume") == 4
    assert [line.get("unread") for line in lines()[1:]] == [None, ["bright"]]
    engine.down = False
    assert short("a.png", "b.png", "--resume") == 1
    assert [(line["image"], line["label"]) for line in lines()[1:]] == [
        ("b.png", "safe"),
        ("a.png", "unsafe"),
    ]


def test_a_pipe_says_that_they_are_short(engine, capsys, monkeypatch):
    shade("a.png", 9)
    told = ["--constitution", "rules.yaml", "--engine", "fake:"]
    assert cli.main(["judge", "a.png", "--record", "short", *told]) == 0
    Path("piped.jsonl").write_text(capsys.readouterr().out)
    assert cli.main(["replay", "piped.jsonl", "--constitution", "rules.yaml"]) == 2
    assert "--record short" in capsys.readouterr().err


# --- what reads them ------------------------------------------------------------------------------


def test_the_other_kind_is_not_continued(engine, capsys):
    shade("a.png", 9)
    assert short("a.png") == 0
    assert judge("a.png", "--resume") == 2
    assert "form of records (--record): short, now full" in capsys.readouterr().err
    assert judge("a.png", out="full.jsonl") == 0
    assert short("a.png", "--resume", out="full.jsonl") == 2
    assert "form of records (--record): full, now short" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["report", "r.jsonl"],
        ["replay", "r.jsonl"],
        ["journal", "import", "new.db", "r.jsonl"],
    ],
)
def test_what_takes_answers_refuses_them_by_name(engine, capsys, command):
    shade("a.png", 9)
    assert short("a.png") == 0
    if command[0] == "journal":
        pytest.importorskip("sqlalchemy")
    capsys.readouterr()
    assert cli.main(command) == 2
    told = capsys.readouterr().err
    assert "r.jsonl: was written with --record short" in told
    assert "judge again with --record full" in told
    assert not Path("r.html").exists()
    assert not Path("new.db").exists()


def test_every_reader_of_records_takes_packed_ones(engine, capsys):
    pytest.importorskip("backports.zstd", reason="pip install 'safejudge[zstd]'")
    pytest.importorskip("sqlalchemy")
    shade("a.png", 9)
    shade("b.png", 250)
    assert judge("a.png", "b.png", out="r.jsonl.zst") == 1
    assert cli.main(["report", "r.jsonl.zst"]) == 0
    assert "the picture is bright" in Path("r.html").read_text()
    again = ["replay", "r.jsonl.zst", "--set", "reject_factor=0.2", "--out", "again.jsonl.zst"]
    assert cli.main(again) in {0, 1, 4}
    assert [r.content["image"] for r in open_stored(Path("again.jsonl.zst"))] == ["a.png", "b.png"]
    assert cli.main(["journal", "import", "j.db", "again.jsonl.zst"]) == 0
    assert cli.main(["journal", "export", "j.db", "--out", "out.jsonl.zst"]) == 0
    assert len(list(open_stored(Path("out.jsonl.zst")))) == 2
    assert judge("a.png", "b.png", "--resume", "--report", "p.html", out="r.jsonl.zst") == 1
    assert "the picture is bright" in Path("p.html").read_text()
    capsys.readouterr()
    assert cli.main(["report", "."]) == 2
    assert "do you mean again.jsonl.zst?" in capsys.readouterr().err


def test_a_page_of_the_run_itself_has_its_traces(engine, capsys):
    shade("a.png", 250)
    assert short("a.png", "--report", "p.html") == 1
    assert "the picture is bright" in Path("p.html").read_text()
    assert short("a.png", "--report", "p.html", "--resume") == 2
    assert "leave --report out" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.zst"])
def test_thresholds_come_out_the_same(tmp_path, suffix, capsys):
    if suffix.endswith("zst"):
        pytest.importorskip("backports.zstd", reason="pip install 'safejudge[zstd]'")
    from safejudge.files.packed import Packer

    silent = verdict(0.5, outcome="undecided", leaves=(leaf(0.5, "undecided", test="label_mass"),))
    odd = judgment("odd.png", {"knives": silent, "fire": verdict(0.1)})
    made = [*drawn(300), (odd, {"knives": True, "fire": False})]
    full, labels = write(tmp_path / "run", made, POLICY)
    head, *kept = (json.loads(line) for line in full.read_text().splitlines())
    text = "".join(map(records.to_line, [head | {"record": "short"}, *map(shortened, kept)]))
    packed = tmp_path / f"short{suffix}"
    data = text.encode()
    packed.write_bytes(Packer(packed).frame(data) if suffix.endswith("zst") else data)
    for path in (full, packed):
        out = tmp_path / f"{path.stem}.yaml"
        told = ["--records", path, "--labels", labels, "--out", out]
        assert cli.main(["calibrate", *map(str, told)]) == 0
    found, again = (tmp_path / "judged.yaml", tmp_path / f"{packed.stem}.yaml")
    first, second = (yaml.safe_load(path.read_text()) for path in (found, again))
    assert first["rules"] == second["rules"]
    assert load(again).reasoning.verdict == "not recorded"
    told = capsys.readouterr().out
    assert told.count("knives: 1 images without a readable answer were left out") == 2
    assert "short records do not say what was reasoned about" in " ".join(told.split())


# --- with Ray -------------------------------------------------------------------------------------


def test_parts_count_the_whole_and_keep_the_short(tmp_path):
    parquet = pytest.importorskip("safejudge.files.parquet", reason="pip install 'safejudge[ray]'")
    silent = leaf(0.5, "undecided", test="not_asked")
    asked = judgment("b.png", {"knives": verdict(0.5, outcome="undecided", leaves=(silent,))})
    made = [records.record(r.image, r) for r in (*(r for r, _ in drawn(3)), asked)]
    made.append({"image": "c.png", "id": None, "error": {"reason": "x", "message": "y"}})
    made = [json.loads(records.to_line(line)) for line in made]
    expected = Tally()
    for line in made:
        expected.add(line)
    head = records.header("1", drawn(1)[0][0].provenance, None, short=True)
    with parquet.Parts(tmp_path / "o", resume=False, overwrite=False, short=True) as parts:
        parts.begin(head)
        parts.add(parquet.to_table(made))
        parts.flush()
        assert parts.tally == expected
    stored = open_stored(tmp_path / "o")
    assert stored.head["record"] == "short"
    assert [record.content for record in stored] == [shortened(line) for line in made]
    assert [settled(record.content) for record in stored] == [True, True, True, False, False]
    with (
        parquet.Parts(tmp_path / "o", resume=True, overwrite=False) as parts,
        pytest.raises(records.OutputError, match=r"--record\): short, now full"),
    ):
        parts.begin(records.header("1", drawn(1)[0][0].provenance, None))
