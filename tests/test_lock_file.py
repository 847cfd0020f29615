"""Locks: what is written reads back, what is wrong is refused, and constitutions that use them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safejudge.constitution import load as constitution
from safejudge.constitution.lint.findings import lint
from safejudge.constitution.load import (
    load_constitution,
    lock_path,
    read_lock,
    shipped_constitutions,
)
from safejudge.constitution.lock import (
    MAX_BYTES,
    Compiler,
    Lock,
    LockedRule,
    Superseded,
    Version,
    dump_lock,
    fingerprint,
    parse_lock,
)
from safejudge.errors import ConstitutionError
from safejudge.types import AllOf, AnyOf, DraftRule, NoneOf, Precondition, Severity, leaves

TEXT = "No dogs without a lead."
TEXT_LINE = f"  text: {TEXT}"
OBJECTIVE = "A dog is visible, unless a lead is on the dog."
CONDITION = AllOf(
    all=(
        Precondition(statement="a dog is visible", look_at="dog"),
        NoneOf(none=(Precondition(statement="a lead is on the dog", look_at="lead"),)),
    )
)
SUPERSEDED = Superseded(objective="A dog.", condition=Precondition(statement="a dog"))
COMPILER = Compiler(model="fake:", prompts="ab" * 32, safejudge="0.1.0")


def draft(**changes):
    fields = {
        "id": "dogs",
        "category": "animals",
        "severity": Severity.LOW,
        "text": "No dogs without a lead.",
    }
    return DraftRule(**fields | changes)


def entry(rule=None, **changes):
    """Return the compiled form of a rule as the compiler would leave it."""
    rule = rule or draft()
    fields = {
        "id": rule.id,
        "text": rule.text,
        "source": rule.source(),
        "compiler": COMPILER,
        "versions": (Version(objective="A dog.", score=9, explanation="A dog can be seen."),),
        "objective": OBJECTIVE,
        "condition": CONDITION,
        "covers": ("a dog is visible", "a lead is on the dog"),
    }
    fields |= changes
    written = fingerprint(fields["objective"], fields["condition"])
    return LockedRule(**{"written": written} | fields)


def locked(*entries):
    return Lock(constitution="park", rules=entries or (entry(),))


def text_of(*entries):
    return dump_lock(locked(*entries))


def refused(text):
    with pytest.raises(ConstitutionError) as caught:
        parse_lock("park.lock.yaml", text if isinstance(text, bytes) else text.encode())
    error = caught.value
    assert error.file == "park.lock.yaml"
    assert error.instead
    return error


def line_of(text, words):
    (line,) = (number for number, line in enumerate(text.splitlines(), 1) if words in line)
    return line


# --- round trips ----------------------------------------------------------------------------------

TRICKY = (
    "no off yes y 010 0x1f 12:30:45 1e3 1_000 null ~ 2024-01-01 << = - ? : # , & * ! | > % @ ` "
    "--- ... a: b:b #c d#e f! {g [h ' '' \" \\n \\ \u00e9 \u200d \U0001f469\u200d\U0001f692 "
    "\U0001f600 \u4e00 \u05d0 .5 5. 0b1 +1"
)
PLAIN = st.text(
    st.characters(exclude_categories=("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")), min_size=1, max_size=12
)
TEXTS = (
    st.lists(st.sampled_from(TRICKY.split()) | PLAIN, min_size=1, max_size=5)
    .map(lambda words: " ".join(" ".join(words).split()))
    .filter(bool)
)
NAMES = TEXTS.filter(lambda text: len(text) <= 64)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64) | st.sampled_from(
    ["0" * 64, "1" * 64, "0" * 63 + "e", "1e" + "0" * 62]
)


VERSIONS = st.builds(Version, objective=TEXTS, score=st.integers(1, 10), explanation=TEXTS)


def conditions(depth):
    leaf = st.builds(Precondition, statement=TEXTS, look_at=st.none() | TEXTS)
    if depth == 0:
        return leaf
    parts = st.lists(conditions(depth - 1), min_size=1, max_size=3).map(tuple)
    return (
        leaf
        | st.builds(AllOf, all=parts)
        | st.builds(AnyOf, any=parts)
        | st.builds(NoneOf, none=parts)
    )


@st.composite
def entries(draw):
    condition, objective = draw(conditions(2)), draw(TEXTS)
    count = len(list(leaves(condition)))
    return LockedRule(
        id=draw(NAMES),
        text=draw(TEXTS),
        source=draw(DIGESTS),
        compiler=draw(
            st.builds(
                Compiler,
                model=TEXTS,
                revision=st.none() | DIGESTS,
                prompts=DIGESTS,
                safejudge=NAMES,
            )
        ),
        versions=tuple(draw(st.lists(VERSIONS, max_size=2))),
        objective=objective,
        condition=condition,
        covers=tuple(draw(st.lists(st.just("") | TEXTS, min_size=count, max_size=count))),
        review=tuple(draw(st.lists(TEXTS, max_size=2))),
        written=draw(DIGESTS | st.just(fingerprint(objective, condition))),
        superseded=draw(
            st.none() | st.builds(Superseded, objective=TEXTS, condition=conditions(1))
        ),
    )


LOCKS = st.builds(
    Lock,
    constitution=NAMES,
    rules=st.lists(entries(), max_size=2, unique_by=lambda rule: rule.id).map(tuple),
)


@settings(max_examples=60)
@given(LOCKS)
def test_what_is_written_reads_back_equal(lock):
    text = dump_lock(lock)
    assert parse_lock("l", text.encode()) == lock
    assert dump_lock(parse_lock("l", text.encode())) == text
    assert text.count("\n  edited: by hand\n") == sum(rule.edited for rule in lock.rules)


def test_the_file_says_what_it_is_and_reads_top_down():
    text = text_of(entry(review=("look here",), superseded=SUPERSEDED))
    assert text.startswith("# Written by `safejudge compile`")
    keys = re.findall(r"^(?:- |  )?(\w+):", text, re.MULTILINE)
    assert keys == [
        "constitution", "rules",
        "id", "text", "source", "compiler", "versions", "objective", "condition", "review",
        "superseded", "written",
    ]  # fmt: skip
    below = text.splitlines()[line_of(text, "statement: a dog is visible") :][:2]
    assert [line.strip() for line in below] == ["look_at: dog", "covers: a dog is visible"]


def test_what_a_person_may_leave_out():
    text = text_of()
    text = re.sub(r"  versions:\n(?:  - .*\n    .*\n    .*\n)+", "", text)
    text = re.sub(r" +covers: .*\n", "", text)
    (found,) = parse_lock("l", text.encode()).rules
    assert (found.versions, found.covers, found.review) == ((), ("", ""), ())
    assert (found.objective, found.condition) == (OBJECTIVE, CONDITION)
    assert not found.edited


def test_an_entry_is_found_by_its_id():
    cats = entry(draft(id="cats"))
    assert locked(entry(), cats).rule("cats") is cats
    assert locked(entry(), cats).rule("cat") is None


# --- what people change ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "edited"),
    [
        ("objective: A dog is visible,", "objective: A dog is lying,", True),
        ("statement: a dog is visible", "statement: a big dog is visible", True),
        ("look_at: dog", "look_at: dog and lead", True),
        ("      look_at: dog\n", "", True),
        ("    all:", "    any:", True),
        ("  review:\n  - look here\n", "", False),
        ("covers: a dog is visible", "covers: a dog", False),
        ("explanation: A dog can be seen.", "explanation: Dogs can be seen.", False),
        ("statement: a dog is visible", "statement:   a dog\n        is visible", False),
    ],
)
def test_a_changed_objective_or_condition_is_noticed(old, new, edited):
    text = text_of(entry(review=("look here",)))
    assert text.count(old) == 1
    (found,) = parse_lock("l", text.replace(old, new).encode()).rules
    assert found.edited == edited
    assert ("edited: by hand" in text_of(found)) == edited


def test_the_mark_of_a_change_is_a_remark_and_nothing_more():
    changed = entry().model_copy(update={"objective": "A dog."})
    text = text_of(changed)
    without = text.replace("  edited: by hand\n", "")
    assert without != text
    assert parse_lock("l", without.encode()) == parse_lock("l", text.encode()) == locked(changed)
    unchanged = text_of().replace("  written:", "  edited: by hand\n  written:")
    assert not parse_lock("l", unchanged.encode()).rules[0].edited


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "line", "problem"),
    [
        ("  written:", "  writen:", "writen:", "unknown key `writen`"),
        ("      look_at: dog", "      looks_at: dog", "looks_at", "unknown key `looks_at`"),
        ("    all:", "    and:", "    and:", "unknown key `and`"),
        ("rules:", "rule: []\nrules:", "rule: []", "unknown key `rule`"),
        ("constitution: park\n", "", "rules:", "`constitution`: Field required"),
        ("  text: No dogs without a lead.\n", "", "- id: dogs", "`text`: Field required"),
        ("    model: 'fake:'\n", "", "  compiler:", "`model`: Field required"),
        (TEXT_LINE, "  text:", "text:", "`text` has no value"),
        (TEXT_LINE, "  text: 7", "text:", "is `7`, which YAML reads as the number 7"),
        (TEXT_LINE, "  text: yes", "text:", "is `yes`, which YAML reads as true"),
        (TEXT_LINE, "  text: ' '", "text:", "`text`: is empty"),
        (TEXT_LINE, "  text: [dogs]", "text:", "`text`: Input should be a valid string"),
        (TEXT_LINE, f"  text: {'x' * 2001}", "text:", "`text`: has 2001 characters"),
        ("source: ", "source: x", "source:", "`source`: String should match pattern"),
        ("    prompts: abab", "    prompts: AB", "prompts:", "`prompts`: String should match"),
        ("score: '9'", "score: '0'", "score:", "`score`: Input should be greater than"),
        ("score: '9'", "score: '11'", "score:", "`score`: Input should be less than"),
        ("score: '9'", "score: nine", "score:", "`score`: Input should be a valid integer"),
        ("  written:", "  edited: me\n  written:", "edited:", "`edited`: Input should be"),
        ("    all:", "    statement: a cat\n    all:", "condition:", "side by side"),
        ("    - none:\n", "    - none: []\n      all:\n", "    - none", "side by side"),
        ("      look_at: dog", "      any: [a cat]", "statement: a dog", "side by side"),
        ("rules:", "rules: &all", "rules:", "an anchor or alias"),
        ("  text:", "\ttext:", "text:", "not YAML"),
        (TEXT_LINE, "  text: No\u202edogs.", "text:", "hidden character U+202E"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_line(old, new, line, problem):
    text = text_of()
    assert text.count(old) >= 1
    text = text.replace(old, new, 1)
    error = refused(text)
    assert error.line == next(n for n, words in enumerate(text.split("\n"), 1) if line in words)
    assert problem in error.problem


def test_an_id_stands_once():
    text = text_of(entry(), entry(draft(id="cats")), entry())
    error = refused(text)
    assert error.line == max(n for n, line in enumerate(text.splitlines(), 1) if "id: dogs" in line)
    assert error.problem == "`dogs` is locked twice"


@pytest.mark.parametrize(
    ("raw", "line", "problem"),
    [
        (b"", None, "the file is empty"),
        (b"# nothing\n", None, "the file is empty"),
        (b"- a\n", 1, "the file holds a list"),
        (b"a lock\n", 1, "the file holds bare text"),
        (b"constitution: p\n# \xff\n", 2, "the file is not UTF-8 text"),
        (b"constitution: p\nrules: []\n---\n", 3, "a second document starts here"),
        (b"constitution: p\nconstitution: q\nrules: []\n", 2, "is written twice"),
        (b"constitution: p\nrules: none\n", 2, "`rules`: Input should be a valid tuple"),
        (b"name: p\nrules: []\n", 1, "unknown key `name`"),
        (b"#" * (MAX_BYTES + 1), None, f"the file has more than {MAX_BYTES // 1024} KiB"),
        (b"a: " + b"[" * 40 + b"]" * 40, 1, "lists and mappings are nested deeper than 32"),
    ],
)
def test_files_that_are_no_locks(raw, line, problem):
    error = refused(raw)
    assert error.line == line
    assert problem in error.problem
    assert "`name:`" not in error.instead  # that is how a constitution starts


@settings(max_examples=150)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode()))
def test_noise_is_refused(raw):
    refused(raw)


@settings(max_examples=150)
@given(st.data())
def test_damaged_locks_are_read_or_refused_and_nothing_else(data):
    text = text_of()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 30)))
    new = data.draw(st.sampled_from(["", "\n", ": ", "- ", "  ", "'", "[", "none:", "\n  x: y\n"]))
    try:
        lock = parse_lock("l", (text[:start] + new + text[end:]).encode())
    except ConstitutionError as error:
        assert error.file == "l"  # noqa: PT017 - most are refused, and some are not
    else:
        assert parse_lock("l", dump_lock(lock).encode()) == lock


# --- constitutions with a lock --------------------------------------------------------------------

PARK = """\
name: park
rules:
  - id: fire
    category: fire
    severity: low
    text: No fires.
    objective: A fire is visible.
    condition: a fire is visible
  - id: dogs
    category: animals
    severity: low
    text: No dogs without a lead.
"""
DOGS = 9
"""The line of the rule that has no condition."""
PARK_OWN = PARK + "    objective: A dog is visible.\n    condition: a dog is visible\n"


@pytest.fixture
def park(tmp_path):
    """Write a constitution and, unless it is None, what stands in its lock; return the path."""

    def write(lock, text=PARK):
        file = tmp_path / "park.yaml"
        file.write_text(text)
        if lock is not None:
            lock_path(file).write_text(lock)
        return file

    return write


def test_a_lock_lies_beside_its_constitution():
    assert str(lock_path("a/park.yaml")) == str(Path("a/park.lock.yaml"))
    assert str(lock_path("park.v2.yml")) == "park.v2.lock.yaml"


def test_a_rule_without_a_condition_takes_that_of_the_lock(park):
    file = park(text_of())
    loaded = load_constitution(file)
    assert [rule.id for rule in loaded.rules] == ["fire", "dogs"]
    assert (loaded.rules[1].objective, loaded.rules[1].condition) == (OBJECTIVE, CONDITION)
    assert loaded.rules[1].text == TEXT
    assert load_constitution(str(file)) == loaded
    assert lint(file) == []
    assert read_lock(lock_path(file)) == locked()


def test_what_a_person_corrected_is_used(park):
    text = text_of().replace("objective: A dog is", "objective: A big dog is")
    assert load_constitution(park(text)).rules[1].objective.startswith("A big dog is")


def test_an_objective_of_its_own_may_be_compiled(park):
    own = "Two dogs are visible."
    file = park(text_of(entry(draft(objective=own))), f"{PARK}    objective: {own}\n")
    assert load_constitution(file).rules[1].condition == CONDITION


@pytest.mark.parametrize(
    ("lock", "text", "problem"),
    [
        (None, PARK, "rule `dogs` has no `condition`, nor has {lock}"),
        (text_of(entry(draft(id="cats"))), PARK, "rule `dogs` has no `condition`, nor has {lock}"),
        (
            text_of(),
            PARK.replace(TEXT, "No big dogs."),
            "rule `dogs` has changed since {lock}",
        ),
        (
            text_of(),
            PARK + "    objective: A dog is visible.\n",
            "rule `dogs` has changed since {lock}",
        ),
        (
            text_of(entry(draft(objective="A dog is visible."))),
            PARK + "    objective: A cat is visible.\n",
            "rule `dogs` has changed since {lock}",
        ),
        (
            text_of(entry(draft(objective="A dog is visible."))),
            PARK,
            "rule `dogs` has changed since {lock}",
        ),
    ],
    ids=["no lock", "no entry", "other text", "new objective", "other objective", "lost objective"],
)
def test_a_rule_that_is_not_compiled_is_refused_with_the_command(park, lock, text, problem):
    file = park(lock, text)
    with pytest.raises(ConstitutionError) as caught:
        load_constitution(file)
    error = caught.value
    assert (error.file, error.line) == (str(file), DOGS)
    assert error.problem.startswith(problem.format(lock=lock_path(file)))
    assert f"safejudge compile {file} --llm URI" in error.instead
    (finding,) = lint(file)
    assert (finding.line, finding.level, finding.problem) == (DOGS, "error", error.problem)


def test_every_rule_that_is_not_compiled_is_listed(park):
    file = park(None, PARK + PARK[PARK.index("  - id: dogs") :].replace("dogs", "cats"))
    assert [finding.line for finding in lint(file)] == [DOGS, DOGS + 4]
    with pytest.raises(ConstitutionError, match=f"line {DOGS + 4}: rule `cats`"):
        load_constitution(file)


@pytest.mark.parametrize("lock", ["broken: [", "\udcff", text_of(entry(review=("look here",)))])
def test_rules_with_conditions_of_their_own_ask_no_lock(park, lock, recwarn):
    file = park(None, PARK_OWN)
    lock_path(file).write_bytes(lock.encode(errors="surrogateescape"))
    (_, dogs) = load_constitution(file).rules
    assert (dogs.objective, dogs.condition) == ("A dog is visible.", leaf("a dog is visible"))
    assert lint(file) == []
    assert not recwarn.list


def test_a_rule_with_a_condition_keeps_it_beside_rules_that_have_none(park, recwarn):
    fire = entry(draft(id="fire"), review=("look here",))
    file = park(text_of(fire, entry()))
    assert load_constitution(file).rules[0].condition == leaf("a fire is visible")
    assert lint(file) == []
    assert not recwarn.list


def leaf(statement):
    return Precondition(statement=statement)


def test_a_broken_lock_is_named_with_its_own_line(park):
    file = park(text_of().replace("  written:", "  writen:"))
    with pytest.raises(ConstitutionError) as caught:
        load_constitution(file)
    error, text = caught.value, lock_path(file).read_text()
    assert (error.file, error.line) == (str(lock_path(file)), line_of(text, "writen:"))
    (finding,) = lint(file)
    # A line of the lock is none of the constitution.
    assert (finding.line, finding.level, finding.instead) == (None, "error", error.instead)
    assert finding.problem == str(error).split("\n")[0]


@pytest.mark.parametrize("make", ["mkdir", "mkfifo"])
def test_what_is_no_file_is_no_lock(park, make):
    file = park(None)
    getattr(os, make)(lock_path(file))
    assert read_lock(lock_path(file)) is None
    with pytest.raises(ConstitutionError, match="nor has"):
        load_constitution(file)


# --- review ---------------------------------------------------------------------------------------


def test_rules_marked_for_review_are_warned_about(park):
    file = park(text_of(entry(review=("it lacks `big`", "no second reading"))))
    with pytest.warns(UserWarning, match="marked for review: dogs") as caught:
        load_constitution(file)
    (warning,) = caught
    assert str(warning.message).startswith(f"{lock_path(file)}: compiled")
    assert f"safejudge lint {file}" in str(warning.message)
    assert warning.filename == __file__


def test_lint_lists_what_was_left_open_at_the_line_of_the_rule(park):
    findings = lint(park(text_of(entry(review=("it lacks `big`", "no second reading")))))
    assert [(finding.line, finding.level) for finding in findings] == [(DOGS, "warning")] * 2
    assert [finding.problem for finding in findings] == [
        "rule `dogs` was compiled, and left open: it lacks `big`",
        "rule `dogs` was compiled, and left open: no second reading",
    ]
    assert all("without `review`" in finding.instead for finding in findings)


@pytest.mark.parametrize(
    ("objective", "condition", "says"),
    [
        ("A big dog is near a child.", CONDITION, "says `big` and `near`"),
        (OBJECTIVE, AllOf(all=(leaf("many dogs are visible"),)), "says `many`"),
        (OBJECTIVE, NoneOf(none=(leaf("a dog is visible"),)), "shows nothing at all violates it"),
        (OBJECTIVE, AnyOf(any=(leaf("a dog"), leaf("a dog"))), "more than once"),
        (OBJECTIVE, leaf("a fire is visible"), "its condition is that of rule `fire`"),
        (OBJECTIVE, AllOf(all=(leaf("a dog"), NoneOf(none=(leaf("a dog"),)))), "its exception"),
    ],
)
def test_lint_reads_what_stands_in_the_lock_and_points_at_the_rule(
    park, objective, condition, says
):
    findings = lint(park(text_of(entry(objective=objective, condition=condition))))
    assert {(finding.line, finding.level) for finding in findings} == {(DOGS, "warning")}
    (finding,) = (f for f in findings if "none of the rule's words" not in f.problem)
    assert says in finding.problem


FORGETFUL = [
    ("A toy.", Precondition(statement="a toy is shown"), "none of the rule's words is in"),
    ("A cat is visible.", Precondition(statement="a cat is visible"), "`dogs`, `lead` is missing"),
    (OBJECTIVE, Precondition(statement="a cat is visible"), "is in the condition"),
    ("A dog is on a lead.", Precondition(statement="a dog is on a lead"), "wording forbids it"),
]
"""Objective and condition that a model left behind without a remark, and what lint says."""


@pytest.mark.parametrize(("objective", "condition", "says"), FORGETFUL)
def test_lint_compares_what_a_model_wrote_with_the_rule_s_text(park, objective, condition, says):
    (finding,) = lint(park(text_of(entry(objective=objective, condition=condition))))
    assert (finding.line, finding.level) == (DOGS, "warning")
    assert says in finding.problem
    # What the compiler has remarked itself is not said twice.
    told = finding.problem.removeprefix("rule `dogs` was compiled, and ")
    again = lint(park(text_of(entry(objective=objective, condition=condition, review=(told,)))))
    assert [found.problem for found in again] == [
        f"rule `dogs` was compiled, and left open: {told}"
    ]


def test_lint_leaves_the_words_of_people_alone(park):
    own = "A cat is visible."
    given = entry(draft(objective=own), objective=own, condition=leaf("a cat is visible"))
    assert lint(park(text_of(given), f"{PARK}    objective: {own}\n")) == []
    changed = entry().model_copy(update={"objective": own, "condition": leaf("a cat is visible")})
    assert lint(park(text_of(changed))) == []


def test_lint_says_where_an_edited_entry_contradicts_itself(park):
    text = text_of().replace("objective: A dog is", "objective: A black dog is")
    findings = lint(park(text))
    assert {(finding.line, finding.level) for finding in findings} == {(DOGS, "warning")}
    assert findings[0].problem.startswith(
        "rule `dogs` was compiled, and edited in the lock: of `a black dog is visible`"
    )
    agreeing = text.replace("statement: a dog is", "statement: a black dog is")
    assert lint(park(agreeing)) == []


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("exists", [True, False])
def test_a_lock_is_no_constitution(park, exists):
    file = park(text_of() if exists else None)
    for source in (lock_path(file), str(lock_path(file))):
        with pytest.raises(ConstitutionError) as caught:
            load_constitution(source)
        assert caught.value.problem == "this is a lock, not a constitution"
        assert caught.value.instead == str(file)


def test_shipped_constitutions_may_have_locks_and_these_are_not_listed(park, monkeypatch):
    folder = park(text_of()).parent
    monkeypatch.setattr(constitution, "_shelf", lambda: folder)
    assert shipped_constitutions() == ["park"]
    assert load_constitution("park").rules[1].condition == CONDITION
    with pytest.raises(ConstitutionError, match="no shipped constitution has this name"):
        load_constitution("park.lock")


def test_no_shipped_name_is_that_of_a_lock():
    assert not [name for name in shipped_constitutions() if "lock" in name]
