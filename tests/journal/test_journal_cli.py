"""The command line of journals: what judge keeps is found, taken out, taken in and let go of."""

import json

import numpy as np
import pytest
from PIL import Image

from safejudge.cli.app import main

FAKE = ("--engine", "fake:", "--constitution", "sketch", "--no-prior")


@pytest.fixture
def judged(tmp_path):
    """A journal and the records of the same run."""
    random = np.random.default_rng(2)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(6):
        pixels = random.integers(0, 255, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "6.png").write_bytes(b"no picture")
    journal, out = tmp_path / "journal.db", tmp_path / "records.jsonl"
    code = main(["judge", str(folder), *FAKE, "--journal", str(journal), "--out", str(out)])
    assert code in (1, 4)
    return journal, out


def lines(path):
    return path.read_text(encoding="utf-8").splitlines()


def test_what_is_taken_out_is_what_judge_wrote(judged, tmp_path):
    journal, out = judged
    taken = tmp_path / "taken.jsonl"
    assert main(["journal", "export", str(journal), "--out", str(taken)]) == 0
    assert lines(taken)[1:] == lines(out)[1:]
    again = tmp_path / "again.db"
    assert main(["journal", "import", str(again), str(taken)]) == 0
    second = tmp_path / "second.jsonl"
    assert main(["journal", "export", str(again), "--out", str(second)]) == 0
    assert lines(second)[1:] == lines(out)[1:]


def test_a_journal_is_replayed_and_reported_as_records_are(judged, tmp_path, capsys):
    journal, out = judged
    new = []
    for number, records in enumerate((journal, out)):
        file = tmp_path / f"replayed{number}.jsonl"
        command = ["replay", str(records), "--set", "reject_factor=0.9", "--out", str(file)]
        new.append((main(command), lines(file)[1:]))
    assert new[0] == new[1]
    page = tmp_path / "page.html"
    assert main(["report", str(journal), "--out", str(page)]) == 0
    assert "6.png" in page.read_text(encoding="utf-8")


def test_a_search_in_a_pipe_is_json_lines(judged, capsys):
    journal, out = judged
    assert main(["journal", "search", str(journal), "--label", "failed"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["image"].endswith("6.png")
    assert main(["journal", "search", str(journal), "--since", "2100-01-01"]) == 2
    first = json.loads(lines(out)[1])["id"]
    assert main(["journal", "show", str(journal), first[:10]]) == 0
    assert first[:12] in capsys.readouterr().out
    assert main(["journal", "show", str(journal), "0123456789"]) == 2


def test_what_is_old_is_let_go_of(judged, capsys):
    journal, _ = judged
    assert main(["journal", "prune", str(journal), "--days", "1"]) == 0
    assert "0 judgments deleted" in capsys.readouterr().out
    assert main(["journal", "prune", str(journal), "--days", "0"]) == 0
    assert "7 judgments deleted" in capsys.readouterr().out


def test_what_is_no_journal_is_refused(tmp_path, capsys):
    assert main(["journal", "search", str(tmp_path / "missing.db")]) == 2
    assert "is no journal" in capsys.readouterr().err


def test_a_shadow_says_what_would_change_and_is_kept_under_its_name(judged, tmp_path, capsys):
    journal, out = judged
    other = tmp_path / "strict.yaml"
    other.write_text("set: {accept_factor: 0.0, reject_factor: 1.0}\n", encoding="utf-8")
    again = tmp_path / "again.jsonl"
    pictures = str(tmp_path / "pictures")
    options = ["--journal", str(journal), "--out", str(again), "--shadow", str(other)]
    main(["judge", pictures, *FAKE, *options])
    told = capsys.readouterr().err
    assert lines(again)[1:] == lines(out)[1:]
    assert "shadow strict:" in told
    main(["journal", "search", str(journal), "--variant", "strict", "--limit", "20"])
    shadows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(shadows) == 7
    file = tmp_path / "strict.jsonl"
    settings = ["--set", "accept_factor=0.0", "--set", "reject_factor=1.0"]
    main(["judge", pictures, *FAKE, *settings, "--out", str(file)])
    expected = {json.loads(line)["image"]: json.loads(line) for line in lines(file)[1:]}
    for shadow in shadows:
        assert shadow.get("label") == expected[shadow["image"]].get("label")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("conztitution: x\n", "do you mean constitution"),
        ("policy: [a, b]\n", "is one value"),
        ("set: {1: 2}\n", "FIELD=VALUE"),
        ("engine: 'fake:'\nport: 80\n", "`port` is no option"),
    ],
)
def test_a_file_of_a_shadow_is_strict(tmp_path, capsys, text, told):
    other = tmp_path / "other.yaml"
    other.write_text(text, encoding="utf-8")
    picture = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(picture)
    assert main(["judge", str(picture), *FAKE, "--shadow", str(other)]) == 2
    assert told in capsys.readouterr().err
