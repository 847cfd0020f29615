"""From records and labels to thresholds, to decisions, and back to whether they hold."""

import json

import pytest
import yaml
from calibration import (
    POLICY,
    RULES,
    drawn,
    judgment,
    leaf,
    provenance,
    reasoned,
    rule,
    verdict,
    write,
)

from safejudge.cli.app import main
from safejudge.decide import thresholds as files
from safejudge.decide.check import check
from safejudge.decide.decision import Decision, decide
from safejudge.decide.reasoning import measure
from safejudge.decide.sample import Row, read_sample
from safejudge.decide.thresholds import Absent, RuleThresholds, Threshold, fit, load
from safejudge.errors import InputError
from safejudge.files.stored import open_stored
from safejudge.policy import Policy
from safejudge.show.page import made_by
from safejudge.types import CaptionUse, Constitution, Frames, Outcome


def run(*words):
    return main(["calibrate", *map(str, words)])


@pytest.fixture
def files_of(tmp_path):
    return write(tmp_path / "run", drawn(300))


@pytest.fixture
def made(files_of, tmp_path):
    out = tmp_path / "thresholds.yaml"
    assert run("--records", files_of[0], "--labels", files_of[1], "--out", out) == 0
    return out


def sample_of(records, labels):
    stored = open_stored(records)
    return read_sample(stored, made_by.about(stored, None, [Policy()]), labels)


def test_a_good_judge_gets_both_thresholds_for_every_rule(made, capsys):
    found = load(made)
    for entry in found.rules.values():
        assert entry.block.bound <= 0.05
        assert entry.pass_.bound <= 0.05
        assert entry.block.at >= entry.pass_.at
        assert entry.labels == 300
    assert found.reasoning.verdict == "not asked"
    assert len(found.images) == 300
    assert made.read_text().startswith("# Thresholds of safejudge.")


def test_no_last_digit_moves_a_labelled_image_across_its_threshold(files_of, made):
    sample = sample_of(*files_of)
    for name, kept in load(made).rules.items():
        for row in sample.rules[name].rows:
            for side in (kept.block, kept.pass_):
                assert abs(row.score - side.at) > 1e-5 * side.at * (1 - side.at)


def test_the_same_input_gives_the_same_file(files_of, made, tmp_path):
    lines = files_of[0].read_text().splitlines(keepends=True)
    files_of[0].write_text("".join([lines[0], *reversed(lines[1:])]))
    again = tmp_path / "again.yaml"
    assert run("--records", files_of[0], "--labels", files_of[1], "--out", again) == 0
    assert yaml.safe_load(again.read_text())["rules"] == yaml.safe_load(made.read_text())["rules"]


def test_too_few_labels_leave_a_rule_without_and_say_how_many_are_missing(tmp_path, capsys):
    records, labels = write(tmp_path / "few", drawn(20))
    out = tmp_path / "t.yaml"
    assert run("--records", records, "--labels", labels, "--out", out) == 4
    entry = load(out).rules["knives"]
    assert isinstance(entry.block, Absent)
    assert entry.block.missing == 46 - entry.violations
    assert entry.pass_.missing == 46 - (20 - entry.violations)
    assert entry.probability.missing == 60
    said = capsys.readouterr().out
    assert f"at least {entry.block.missing} more" in said
    assert entry.probability.why == "not applied: 40 labels over all rules, 100 are the fewest"


def test_bounds_are_refused_where_nothing_else_is_there(tmp_path, capsys):
    made = [(judgment(f"{k}.png", {"knives": verdict(0.9, "lower"), "fire": verdict(0.1, "upper")}),
             {"knives": True, "fire": False}) for k in range(30)]  # fmt: skip
    records, labels = write(tmp_path / "b", made)
    assert run("--records", records, "--labels", labels, "--out", tmp_path / "t.yaml") == 2
    assert "--exhaustive" in capsys.readouterr().err
    assert not (tmp_path / "t.yaml").exists()


def test_a_rule_with_a_few_bounds_gets_none_for_they_are_not_left_out_by_chance(tmp_path):
    made = drawn(200)
    first, truths = made[0]
    rules = first.rules | {"knives": verdict(0.99, "lower")}
    made[0] = (first.model_copy(update={"rules": rules}), truths)
    records, labels = write(tmp_path / "b", made)
    out = tmp_path / "t.yaml"
    assert run("--records", records, "--labels", labels, "--out", out) == 4
    found = load(out).rules
    assert "1 of 200 scores are bounds" in found["knives"].block.why
    assert isinstance(found["fire"].pass_, Threshold)


def test_what_says_nothing_new_counts_once(tmp_path):
    made = drawn(100)
    twin, truths = made[0]
    made.append((twin.model_copy(update={"image": "copy.png"}), truths))
    records, labels = write(tmp_path / "r", made)
    rows = [json.loads(line) for line in labels.read_text().splitlines()]
    for row in rows[10:20]:
        row["group"] = "one film"
    labels.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sample = sample_of(records, labels)
    assert sample.repeated == 1 + 9
    assert len(sample.rules["knives"].rows) == 91


def test_labels_find_their_records_by_place_or_name(tmp_path, capsys):
    records, labels = write(tmp_path / "r", drawn(60))
    other = tmp_path / "elsewhere"
    other.mkdir()
    moved = other / "labels.jsonl"
    moved.write_text(labels.read_text() + '{"image": "nobody.png", "label": "safe"}\n')
    sample = sample_of(records, moved)
    assert (len(sample.judged), sample.unjudged) == (60, 1)
    moved.write_text('{"image": "nobody.png", "label": "safe"}\n')
    assert run("--records", records, "--labels", moved, "--out", tmp_path / "t.yaml") == 2
    assert "nobody.png" in capsys.readouterr().err


def test_a_safe_image_violates_no_rule_and_an_unsafe_one_without_rules_says_nothing(tmp_path):
    records, labels = write(tmp_path / "r", drawn(3))
    labels.write_text(
        '{"image": "img-0000.png", "label": "safe"}\n{"image": "img-0001.png", "label": "unsafe"}\n'
    )
    sample = sample_of(records, labels)
    (row,) = sample.rules["fire"].rows
    assert row.violated is False


def test_skipped_rules_and_unread_answers_are_left_out_and_told(tmp_path, capsys):
    made = drawn(120)
    for number in range(10):
        skipped = verdict(0.2, outcome="not_relevant")
        made[number] = (
            made[number][0].model_copy(
                update={"rules": made[number][0].rules | {"knives": skipped}}
            ),
            {"knives": number < 4, "fire": False},
        )
    unread = verdict(0.5, outcome="undecided", leaves=(leaf(0.5, "undecided", test="label_mass"),))
    made[50] = (
        made[50][0].model_copy(update={"rules": made[50][0].rules | {"knives": unread}}),
        made[50][1],
    )
    records, labels = write(tmp_path / "r", made)
    sample = sample_of(records, labels).rules["knives"]
    assert (len(sample.rows), sample.skipped, sample.skipped_violated) == (109, 10, 4)
    assert sample.left_out == {"unread": 1}
    run("--records", records, "--labels", labels, "--out", tmp_path / "t.yaml")
    assert "left out 4 of" in capsys.readouterr().out


# --- decisions ------------------------------------------------------------------------------------


def threshold(at, promise=0.05):
    return Threshold(at=at, promise=promise, delta=0.1, n=60, errors=0, bound=0.04)


def entry(block=0.8, passed=0.2, probability=None):
    absent = Absent(why="too few")
    return RuleThresholds.model_validate({
        "digest": "d", "labels": 100, "violations": 40,
        "block": absent if block is None else threshold(block),
        "pass": absent if passed is None else threshold(passed),
        "probability": probability or absent,
    })  # fmt: skip


def action(rules, entries, policy=POLICY, **more):
    return decide(judgment("a.png", rules).model_copy(update=more), entries, policy)


@pytest.mark.parametrize(
    ("score", "bound", "wanted"),
    [
        (0.81, "exact", "block"),
        (0.8, "exact", "person"),  # strictly above
        (0.5, "exact", "person"),
        (0.2, "exact", "person"),
        (0.19, "exact", "pass"),
        (0.9, "lower", "block"),  # it can only be higher
        (0.7, "lower", "person"),
        (0.1, "upper", "pass"),
        (0.3, "upper", "person"),
    ],
)
def test_a_score_is_held_against_both_thresholds(score, bound, wanted):
    said = action({"knives": verdict(score, bound)}, {"knives": entry()})
    assert said.rules["knives"].action == said.action == wanted
    if wanted != "person":
        assert said.rules["knives"].promise == 0.05
        assert said.rules["knives"].threshold in (0.8, 0.2)


def test_one_rule_blocks_and_all_have_to_pass():
    both = {"knives": entry(), "fire": entry()}

    def said(first, second):
        return action({"knives": verdict(first), "fire": verdict(second)}, both).action

    assert said(0.9, 0.5) == "block"
    assert said(0.1, 0.1) == "pass"
    assert said(0.1, 0.5) == "person"


def test_a_rule_without_thresholds_lets_no_image_pass_and_its_outcome_stays():
    rules = {"knives": verdict(0.01), "fire": verdict(0.99)}
    said = action(rules, {"knives": entry()})
    assert (said.action, said.rules["fire"].why) == ("person", "no threshold")
    assert action(rules, {"knives": entry(), "fire": entry(block=None)}).action == "person"
    assert action(rules, {"knives": entry(passed=None), "fire": entry()}).action == "block"


def test_what_was_not_asked_says_nothing_but_something_has_to_be_asked():
    skipped = verdict(0.1, outcome="not_relevant")
    said = action({"knives": verdict(0.1), "fire": skipped}, {"knives": entry()})
    assert (said.action, said.rules["fire"].action) == ("pass", "not_asked")
    assert action({"fire": skipped}, {"fire": entry()}).action == "person"


@pytest.mark.parametrize(
    "unseen",
    [{"frames": Frames(looked_at=8, of=90)}, {"caption": CaptionUse(tokens=900, shown=0)}],
)
def test_what_nobody_looked_at_is_never_passed(unseen):
    entries = {"knives": entry(passed=0.7)}
    every = POLICY.model_copy(update={"every_frame": True})
    # The second is unsafe by its label, which therefore does not say what was not looked at.
    assert action({"knives": verdict(0.1)}, entries, every, **unseen).action == "person"
    assert action({"knives": verdict(0.6)}, entries, every, **unseen).action == "person"
    assert action({"knives": verdict(0.9)}, entries, every, **unseen).action == "block"


def test_frames_that_the_policy_samples_are_enough():
    said = action({"knives": verdict(0.1)}, {"knives": entry()}, frames=Frames(looked_at=8, of=90))
    assert said.action == "pass"


def test_what_could_not_be_read_is_for_a_person_though_its_half_lies_below_a_threshold():
    unread = verdict(0.5, outcome="undecided", leaves=(leaf(0.5, "undecided", test="unreadable"),))
    said = action({"knives": unread}, {"knives": entry(passed=0.7, block=0.8)})
    assert (said.action, said.rules["knives"].why) == ("person", "no readable answer")


def test_an_open_score_is_a_score():
    still_open = verdict(0.3, outcome="undecided", leaves=(leaf(0.3, "undecided"),))
    assert action({"knives": still_open}, {"knives": entry(passed=0.4)}).action == "pass"


def test_probabilities_stand_beside_exact_scores_only():
    slope = {"offset": -1.0, "slope": 0.5, "before": 0.5, "after": 0.4}
    entries = {"knives": entry(probability=slope)}
    found = action({"knives": verdict(0.5 + 1e-9)}, entries).rules["knives"].probability
    assert found == pytest.approx(0.2689, abs=1e-4)
    assert action({"knives": verdict(0.9, "lower")}, entries).rules["knives"].probability is None


@pytest.mark.parametrize(
    ("score", "bound", "likely"),
    [
        (0.6, "exact", "safe"),  # even odds lie at a score of .88
        (0.95, "exact", "unsafe"),
        (0.95, "lower", "unsafe"),  # it can only be higher
        (0.95, "upper", None),
        (0.6, "upper", "safe"),
        (0.6, "lower", None),
    ],
)
def test_what_is_likelier_goes_by_the_labels_and_promises_nothing(score, bound, likely):
    slope = {"offset": -2.0, "slope": 1.0, "before": 0.5, "after": 0.4}
    entries = {"knives": entry(None, None, probability=slope)}
    said = action({"knives": verdict(score, bound)}, entries)
    assert (said.action, said.likely) == ("person", likely)


def test_without_a_line_the_likelier_is_what_the_judge_says_and_all_rules_count():
    entries = {"knives": entry(), "fire": entry()}
    both = {"knives": verdict(0.1), "fire": verdict(0.9)}
    assert action(both, entries).likely == "unsafe"
    assert action({"knives": verdict(0.1)}, entries).likely == "safe"
    still_open = verdict(0.5, outcome="undecided", leaves=(leaf(0.5, "undecided"),))
    assert action({"knives": verdict(0.1), "fire": still_open}, entries).likely is None
    assert (
        action({"knives": verdict(0.1), "fire": verdict(0.1)}, {"knives": entry()}).likely is None
    )
    caption = CaptionUse(tokens=900, shown=0)
    assert action({"knives": verdict(0.1)}, entries, caption=caption).likely is None


# --- the file -------------------------------------------------------------------------------------


def fitted(made, rules=RULES, policy=POLICY, revision="r1"):
    return fit(load(made), rules, provenance(policy, rules, revision), policy)


def test_thresholds_of_another_model_or_policy_are_refused(made):
    with pytest.raises(InputError, match="another model"):
        fitted(made, revision="r2")
    with pytest.raises(InputError, match="another policy"):
        fitted(made, policy=POLICY.model_copy(update={"reject_factor": 0.2}))


def test_whether_every_question_is_asked_and_the_seed_are_no_other_policy(made):
    early = POLICY.model_copy(update={"exhaustive": False, "frame_seed": "secret"})
    kept, notes = fitted(made, policy=early)
    assert (set(kept), notes) == ({"knives", "fire"}, [])


def test_a_changed_rule_loses_its_thresholds_and_others_keep_theirs(made):
    changed = Constitution(
        name="made-up",
        rules=(RULES.rules[0], rule("fire", "a great fire is shown"), rule("new", "x")),
    )
    kept, notes = fitted(made, rules=changed)
    assert set(kept) == {"knives"}
    assert "another constitution" in notes[0]
    assert "fire, new" in notes[1]


def test_the_digest_of_a_rule_is_of_words_and_condition_not_of_its_heading():
    one = RULES.rules[0]
    assert one.digest() == one.model_copy(update={"category": "other"}).digest()
    for name in ("text", "objective", "relevance"):
        assert one.digest() != one.model_copy(update={name: "changed"}).digest()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no thresholds"),
        ("[1, 2]", "holds no thresholds"),
        ("a: &x [1]\nb: *x\n", "aliases"),
        ("a: [", "is no YAML"),
        ("safejudge_thresholds: 2\n", "this version"),
        ("safejudge_thresholds: 1\nrules: {}\n", "calibrate again"),
    ],
)
def test_files_that_are_none_are_refused(tmp_path, text, said):
    path = tmp_path / "t.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        load(path)


@pytest.mark.parametrize(
    ("name", "value"), [("at", 1.5), ("at", float("nan")), ("bound", "x"), ("n", -1)]
)
def test_numbers_that_are_none_are_refused(made, name, value):
    content = yaml.safe_load(made.read_text())
    content["rules"]["fire"]["block"][name] = value
    made.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=r"rules\.fire\.block"):
        load(made)


def test_thresholds_that_cross_are_refused(made):
    content = yaml.safe_load(made.read_text())
    content["rules"]["fire"]["block"]["at"] = 0.0
    made.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match="block lies below pass"):
        load(made)


def test_a_file_is_read_as_it_was_written(made, tmp_path):
    found = load(made)
    files.dump(found, tmp_path / "b.yaml")
    assert load(tmp_path / "b.yaml") == found
    assert load(tmp_path / "b.yaml").digest() == found.digest()


# --- checks ---------------------------------------------------------------------------------------


def test_fresh_images_of_the_same_kind_keep_the_promises(made, tmp_path, capsys):
    records, labels = write(tmp_path / "fresh", drawn(500, seed=9, prefix="new"))
    assert run("--records", records, "--labels", labels, "--check", made) == 0
    assert capsys.readouterr().out.count(" kept ") == 4


def test_another_kind_of_image_breaks_them(made, tmp_path, capsys):
    records, labels = write(
        tmp_path / "fresh", drawn(500, seed=9, sharp=0.5, shift=3, prefix="new")
    )
    assert run("--records", records, "--labels", labels, "--check", made) == 1
    assert "broken" in capsys.readouterr().out


def test_few_images_cannot_tell(made, tmp_path, capsys):
    records, labels = write(tmp_path / "fresh", drawn(20, seed=9, prefix="new"))
    assert run("--records", records, "--labels", labels, "--check", made) == 4
    assert "cannot tell" in capsys.readouterr().out


def test_images_that_made_the_thresholds_test_nothing(made, files_of, tmp_path, capsys):
    assert run("--records", files_of[0], "--labels", files_of[1], "--check", made) == 2
    assert "label fresh ones" in capsys.readouterr().err
    both = drawn(300) + drawn(400, seed=9, prefix="new")
    records, labels = write(tmp_path / "both", both)
    assert run("--records", records, "--labels", labels, "--check", made) == 0
    assert "left out: 300 images" in capsys.readouterr().err


def test_a_check_counts_what_is_acted_on():
    made = [(judgment(f"{k}.png", {"knives": verdict(0.9)}), {"knives": k >= 2}) for k in range(60)]
    sample = type("S", (), {})()
    from safejudge.evals.labelled.labels import Label

    sample.judged = [
        (Label(image=j.image, violations=("knives",) if t["knives"] else ()), j) for j, t in made
    ]
    (block, passed) = check(sample, {"knives": entry()}, POLICY)
    assert (block.n, block.errors, passed.n) == (60, 2, 0)
    assert (block.found, passed.found) == ("cannot tell", "cannot tell")
    assert block.missing == 105 - 60


# --- whether reasoning pays -----------------------------------------------------------------------


def rows_of(*cases):
    """Rows of a rule whose one statement was open at .4 and then reasoned about, or never open."""
    made = []
    for number, (outcome, violated) in enumerate(cases):
        part = reasoned(0.4, outcome)
        said = {"yes": "violated", "no": "not_violated"}[outcome.value]
        look = verdict(part.score, outcome=said, leaves=(part,))
        made.append(Row(f"i{number}", violated, part.score, 0.0, look))
    return {"knives": made}


def test_reasoning_that_finds_violations_pays_and_one_that_makes_them_up_harms():
    yes = Outcome.YES
    good = measure(rows_of(*[(yes, True)] * 40), RULES, POLICY)
    assert (good.verdict, good.gain, good.reasoned) == ("pays", 1.0, 40)
    bad = measure(rows_of(*[(yes, False)] * 40), RULES, POLICY)
    assert (bad.verdict, bad.gain) == ("harms", -1.0)
    even = measure(rows_of(*[(yes, True), (yes, False)] * 20), RULES, POLICY)
    assert (even.verdict, even.gain) == ("cannot tell", 0.0)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_the_open_score_comes_back_from_the_record(outcome):
    from safejudge.decide.reasoning import open_score

    for score in (0.25, 0.4, 0.5, 0.75):
        assert open_score(reasoned(score, outcome)) == pytest.approx(score, abs=1e-12)


# --- the commands ---------------------------------------------------------------------------------


def test_nothing_is_written_over_unasked(files_of, made, capsys):
    assert run("--records", files_of[0], "--labels", files_of[1], "--out", made) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run("--records", files_of[0], "--labels", files_of[1], "--out", made, "--overwrite") == 0


def test_the_page_says_what_it_has_to_and_fetches_nothing(files_of, tmp_path):
    page = tmp_path / "page.html"
    out = tmp_path / "t.yaml"
    run("--records", files_of[0], "--labels", files_of[1], "--out", out, "--report", page)
    text = page.read_text()
    for words in ("Coverage against promise: block", "Reliability, before and after", "ECE",
                  "How many labels would buy what", "2 of 2 rules can block"):  # fmt: skip
        assert words in text
    assert "http" not in text.replace("http-equiv", "")
    assert "<script" not in text


def test_decisions_are_small_json(made):
    said = Decision(action="person", why="not judged: missing").record()
    assert said == {"action": "person", "why": "not judged: missing", "rules": {}}
