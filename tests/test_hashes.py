"""Hashes of pictures that no model may be shown: what matches, what does not, and every door."""

from __future__ import annotations

import hashlib
import io
import pickle

import numpy as np
import pytest
from PIL import Image, ImageDraw

from safejudge import AllOf, Constitution, Failure, InputError, Judge, Policy, Precondition, Rule
from safejudge.engines.fake import FakeEngine
from safejudge.guards.refusals import refusal_of
from safejudge.guards.shared import Opened
from safejudge.images.hashes import HashList, hex_of, pdq_of
from safejudge.opening import JudgeSpec

pytest.importorskip("pdqhash", reason="no pdqhash: pip install 'safejudge[hashes]'")

RULES = Constitution(
    name="things",
    rules=(
        Rule(
            id="cat",
            category="things",
            severity="low",
            text="No cat.",
            objective="No cat.",
            condition=AllOf(all=(Precondition(statement="a cat is visible"),)),
        ),
    ),
)


def scene(seed, side=480):
    """A drawn picture with features of every size."""
    random = np.random.default_rng(seed)
    image = Image.fromarray(random.integers(0, 255, (6, 6, 3), dtype=np.uint8))
    image = image.resize((side, side), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(14):
        x, y, r = random.integers(0, side, 3)
        colour = tuple(int(c) for c in random.integers(0, 255, 3))
        draw.ellipse((x - r // 4, y - r // 4, x + r // 4, y + r // 4), fill=colour)
    return image


def listed(*images, name="known.txt"):
    hashes = [hex_of(pdq_of(np.asarray(image))[0][0]) for image in images]
    return HashList.of(hashes, name)


def holds(known, image):
    return known.holds(np.asarray(image.convert("RGB")))


def encoded(image, fmt="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, fmt, **options)
    return stream.getvalue()


def opened(data):
    return Image.open(io.BytesIO(data))


# --- what matches ---------------------------------------------------------------------------------

CHANGES = {
    "compressed": lambda image: opened(encoded(image, "JPEG", quality=30)),
    "halved": lambda image: image.resize((240, 240)),
    "stretched": lambda image: image.resize((700, 480)),
    "enlarged": lambda image: image.resize((1900, 1900)),
    "cropped": lambda image: image.crop((4, 4, 476, 476)),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "upside down": lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    "turned": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "grey": lambda image: image.convert("L"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_picture_matches_however_it_was_saved(change):
    known = listed(*(scene(seed) for seed in range(6)))
    assert all(holds(known, CHANGES[change](scene(seed))) for seed in range(6))


def test_other_pictures_do_not_match():
    known = listed(*(scene(seed) for seed in range(6)))
    assert not any(holds(known, scene(seed)) for seed in range(100, 140))


def test_a_picture_without_features_matches_nothing():
    """Its hash is like that of every other one: one grey square on a list would block them all."""
    flat = Image.new("RGB", (200, 200), (120, 120, 120))
    known = listed(flat)
    assert not holds(known, flat)
    for size in ((1, 1), (1, 300), (300, 1), (3, 3)):
        assert not holds(known, Image.new("RGB", size))


def test_the_edge_is_at_thirty_one_bits():
    picture = np.asarray(scene(1))
    bits = np.unpackbits(pdq_of(picture)[0][0].view(np.uint8))

    def turned(count):
        other = bits.copy()
        other[:count] ^= 1
        return HashList.of([np.packbits(other).tobytes().hex()], "x")

    assert turned(31).holds(picture)
    assert not turned(32).holds(picture)


def test_one_hash_is_found_among_a_hundred_thousand():
    random = np.random.default_rng(3)
    many = [random.bytes(32).hex() for _ in range(100_000)]
    own = hex_of(pdq_of(np.asarray(scene(1)))[0][0])
    known = HashList.of([*many, own], "many")
    assert holds(known, scene(1))
    assert not holds(known, scene(2))


# --- files ----------------------------------------------------------------------------------------

A, B = "a1" * 32, "0f" * 32


def test_a_file_has_a_hash_a_line_and_comments(tmp_path):
    file = tmp_path / "known.txt"
    file.write_text(f"\ufeff# ours\n{A}\n\n{B.upper()} # why\r\n{A},case 7\n", encoding="utf-8")
    known = HashList.read(file)
    assert known.name == "known.txt"
    assert known == HashList.of([B, A, A], "other")
    assert known.digest == hashlib.sha256(bytes.fromhex(B + A)).hexdigest()
    assert known != HashList.of([A], "known.txt")
    assert pickle.loads(pickle.dumps(known)) == known  # noqa: S301 - our own


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{A}\n{A[:63]}\n", "known.txt:2:"),
        (f"{A}0\n", "known.txt:1:"),
        (f"{A}\n{A} case 7\n", "known.txt:2:"),
        (f"hash,why\n{A}\n{'g' * 64}\n", "2 such lines: 1, 3"),
        ("", "holds no hash"),
        ("# nothing\n\n", "holds no hash"),
        ("\xff", "is not UTF-8"),
    ],
)
def test_a_file_that_is_half_right_is_refused(tmp_path, text, told):
    file = tmp_path / "known.txt"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=told):
        HashList.read(file)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        HashList.read(tmp_path / "none.txt")
    with pytest.raises(InputError, match="cannot be read"):
        Judge.load(RULES, "fake:", skip=tmp_path)


# --- a judge --------------------------------------------------------------------------------------


class Watching(FakeEngine):
    """An engine that remembers what it was shown."""

    def __init__(self):
        super().__init__()
        self.shown = set()

    def answer_probs(self, probes):
        self.shown |= {image.digest for probe in probes for image in probe.images}
        return super().answer_probs(probes)


@pytest.fixture
def known():
    return listed(scene(1))


@pytest.fixture
def judge(known):
    with Judge.load(RULES, Watching(), Policy(allow_failures=True), cache=None, skip=known) as one:
        one.models.engine.shown.clear()  # what proved that it sees
        yield one


def test_what_is_listed_is_shown_to_no_model_and_passes_nowhere(judge):
    known_one, other = encoded(scene(1), "JPEG"), encoded(scene(2))
    found, fine = judge([known_one, other])
    assert isinstance(found, Failure)
    assert (found.reason, found.id) == ("listed", hashlib.sha256(known_one).hexdigest())
    assert found.message == "image[0]: matches a hash of known.txt; not shown to any model"
    assert not isinstance(fine, Failure)
    assert judge.models.engine.shown == {image.digest for image in _pictures(judge, other)}
    assert not judge.passes(found)
    assert refusal_of(found, Opened(judge, None, None)).code == "unsettled"


def _pictures(judge, data):
    from safejudge.images.load import load_image

    return load_image(data, name="x", policy=judge.policy).pictures


def test_one_listed_frame_is_enough(judge):
    frames = [scene(2), scene(1), scene(3)]
    film = encoded(
        frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=100, quality=80
    )
    (found,) = judge([film])
    assert found.reason == "listed"
    assert not judge.models.engine.shown


def test_arrays_and_fronts_are_held_against_the_list_too(judge):
    (found,) = judge([np.asarray(scene(1))])
    assert found.reason == "listed"
    with judge.front() as front:
        assert front.submit(encoded(scene(1))).result().reason == "listed"
    assert not judge.allows(encoded(scene(1)))
    beside = Judge(judge.constitution, judge.models, Policy())
    assert beside([encoded(scene(1))])[0].reason == "listed"
    assert not judge.models.engine.shown


def test_a_reward_knows_the_list(known):
    from safejudge.rewards import SafetyReward

    reward = SafetyReward.load(RULES, "fake:", cache=None, skip=known)
    with pytest.warns(RuntimeWarning, match="none of 1 images"):
        assert reward([scene(1)]) == [None]
    assert reward.counts["listed"] == 1


def test_provenance_says_which_list(judge, known):
    assert judge.provenance.skip_hashes == known.digest
    with Judge.load(RULES, FakeEngine(), cache=None) as free:
        assert "skip_hashes" not in free.provenance.model_dump()
        assert not isinstance(free([encoded(scene(1))])[0], Failure)
    spec = JudgeSpec(RULES, "fake:", cache=None, skip=known)
    with pickle.loads(pickle.dumps(spec)).open() as again:  # noqa: S301 - our own
        assert again([encoded(scene(1))])[0].reason == "listed"


# --- a journal ------------------------------------------------------------------------------------


def test_what_is_listed_later_loses_its_small_picture_and_its_question(judge, known, tmp_path):
    pytest.importorskip("sqlalchemy")
    from safejudge.journal.queue import open_counts
    from safejudge.journal.rows import Need, Row
    from safejudge.journal.store import Journal
    from safejudge.journal.stored import JournalRecords

    data = encoded(scene(1))
    with (
        Journal(str(tmp_path / "j.db")) as journal,
        Judge.load(RULES, FakeEngine(), judge.policy, cache=None) as free,
    ):
        before, other = free([data, encoded(scene(2))])
        journal.add(free, [Row(before, needs=(Need("cat", "undecided", 1.0),), thumbnail=b"jpeg")])
        journal.add(free, [Row(other, needs=(Need("cat", "audit", 1.0),), thumbnail=b"jpeg")])
        with Judge(RULES, free.models, judge.policy) as _:
            free.models.skip = known
            later = Judge(RULES, free.models, judge.policy)
            assert journal.known(later, [(before.id, "")]) == {}
            journal.add(later, [Row(later([data])[0])])
        kept = list(journal.search())
        assert [one.label for one in kept][-1] == "failed"
        assert kept[-1].record["error"]["reason"] == "listed"
        assert [journal.thumbnail(one.id) for one in kept] == [None, b"jpeg", None]
        assert open_counts(journal)["undecided"] == 0
        assert open_counts(journal)["audit"] == 1
        stored = JournalRecords(str(tmp_path / "j.db"))  # a longer list makes no other version
        assert len(list(stored)) == 3
        assert "skip_hashes" not in stored.head["provenance"]
        last = JournalRecords(str(tmp_path / "j.db"), max(journal.heads()))
        assert last.head["provenance"]["skip_hashes"] == known.digest


# --- the command line -----------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, known):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    scene(1).save(pictures / "known.png")
    scene(2).save(pictures / "other.png")
    (tmp_path / "known.txt").write_text(hex_of(known.words[:, 0]) + "\n")
    return tmp_path


def test_a_run_counts_what_is_listed_and_does_not_end_well(folder, capsys):
    from safejudge.cli.app import main
    from safejudge.files.records import read_records

    out, db = folder / "out.jsonl", folder / "j.db"
    judge = ["judge", str(folder / "pictures"), "--engine", "fake:", "--constitution", "sketch"]
    options = ["--no-prior", "--skip-hashes", str(folder / "known.txt"), "--out", str(out)]
    page = folder / "page.html"
    code = main([*judge, *options, "--journal", str(db), "--report", str(page)])
    assert code in (1, 4)
    told = capsys.readouterr().err
    assert "1 x listed" in told
    records = read_records(out)
    (failed,) = [line for line in records.values() if "error" in line]
    assert failed["error"]["reason"] == "listed"
    assert failed["image"].endswith("known.png")
    assert page.read_text(encoding="utf-8").count("data:image/") <= 1
    again = [*judge, "--no-prior", "--out", str(out), "--resume"]
    assert main(again) == 2
    assert "list of hashes" in capsys.readouterr().err


def test_a_list_that_cannot_be_read_begins_no_run(folder, capsys):
    from safejudge.cli.app import main

    (folder / "known.txt").write_text("abc\n")
    judge = ["judge", str(folder / "pictures"), "--engine", "fake:", "--constitution", "sketch"]
    assert main([*judge, "--skip-hashes", str(folder / "known.txt")]) == 2
    assert "is no PDQ hash" in capsys.readouterr().err
