"""Policies: what they are called, what files say, what an open leaf means."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge.cli import app as cli
from safejudge.cli.app import parse
from safejudge.constitution.policy_file import load_policy
from safejudge.errors import InputError, PolicyError
from safejudge.judge import Judge, chosen_policy
from safejudge.policy import EARLIER, POLICIES, Policy

DIGESTS = {
    "default": (
        "cfc8b54ff6e3bbe48ecbf9873e7aadca2b8f9c377cb2255af134dab9016511d1",
        "018264738b77b2dc07f7421e76cb4f0761d2aaa4993f6e8e8a73bdd9656621d6",
    ),
    "clue": (
        "308eb89731e1ecaf5b85d1db907d5acde4d9d46599e56c3c0add9b854550bea1",
        "0a0dcb17c544999cd3859130e34482890a4c117bcb661aeeb4db490bbbaebe59",
    ),
    "clue-tree": (
        "08fa32e01f25164294539b0ebaacec358145201a2e4979ae6d45b0e4ec37263c",
        "f5ded1e75e569a1617692f05b271809745994081f4823271880ce002835fcb4d",
    ),
}
"""Of every preset: the digest, and that of version 0.1.0."""


def written(tmp_path, text, name="mine.yaml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


# --- what an open leaf means --------------------------------------------------------------------


def test_digests_are_what_they_were():
    assert set(DIGESTS) == set(POLICIES)
    for name, digests in DIGESTS.items():
        policy = POLICIES[name]()
        assert (policy.digest(), policy.as_of_0_1_0()[1]) == digests
    without = "d21639afdf80a87b050e31da766c79360b454867bafb7b3e671512ba678e029a"
    assert Policy(region=True, open_means="undecided").digest() == without
    (before,) = EARLIER["default"]
    assert (before.digest(), before.as_of_0_1_0()[1]) == (
        "bf59d2366caac99fd66605857614f542fb0cd8d34badc3bbde4a9062263282f9",
        "5b00957bcf54c9d652dcbf177ef9224fd27b8cc75fabb0081490c94e031022cf",
    )
    assert len({Policy(open_means=m).digest() for m in ("reason", "undecided", "no")}) == 3


@given(st.text(), st.text())
def test_no_text_of_a_policy_is_taken_for_a_setting(name, seed):
    texts = [name, f'{name}"open_means":"reason"', f'{name}"cascade":true']
    assert len({Policy(name=text, frame_seed=seed).digest() for text in texts}) == 3


def test_earlier_files_say_cascade():
    assert Policy.model_validate({"cascade": True}) == Policy()
    assert Policy(cascade=False) == Policy(open_means="undecided")
    assert Policy.model_validate({"cascade": False, "open_means": "no"}).open_means == "no"
    for contradiction in ({"cascade": True, "open_means": "no"}, {"cascade": "false"},
                          {"cascade": False, "open_means": "reason"}):  # fmt: skip
        with pytest.raises(ValueError, match="cascade"):
            Policy.model_validate(contradiction)
    assert "cascade" not in Policy(cascade=True).model_dump()


def test_a_policy_pickled_earlier_is_taken_up():
    policy = Policy(name="old", reject_factor=0.1)
    state = policy.__getstate__()
    fields = {name: value for name, value in state["__dict__"].items() if name != "open_means"}
    old = Policy.__new__(Policy)
    old.__setstate__(state | {"__dict__": fields | {"cascade": False}})
    assert old == policy.model_copy(update={"open_means": "undecided"})
    assert pickle.loads(pickle.dumps(policy)) == policy  # noqa: S301 - our own


# --- files ----------------------------------------------------------------------------------------


def test_a_file_starts_from_a_preset(tmp_path):
    text = (
        "base: clue-tree  # Algorithm 1\nreject_factor: 0.2\nopen_means: no\nprior: false\n"
        "max_frames: null\nfill: grey\nmax_pixels: 100\ncrop_area: 1e-3\n"
    )
    path = written(tmp_path, text)
    wanted = Policy.clue_tree().model_copy(
        update={"name": "mine", "reject_factor": 0.2, "open_means": "no", "prior": False,
                "max_frames": None, "fill": "grey", "max_pixels": 100, "crop_area": 0.001}
    )  # fmt: skip
    assert load_policy(path) == load_policy(str(path)) == chosen_policy(str(path)) == wanted
    assert load_policy(written(tmp_path, "name: strict\n")) == Policy(name="strict")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("reject_facto: 0.2", ":1: a policy has no field `reject_facto`; do you mean reject_"),
        ("prior: true\ncascade: false", ":2: a policy has no field `cascade`; do you mean open_"),
        ("prior: no", "`prior` is `no`; write true or false"),
        ("reject_factor: high", "`reject_factor` is `high`; write a number"),
        ("max_frames: 2.5", "`max_frames` is `2.5`; write a whole number or null"),
        ("max_frames: 010", "write a whole number"),
        ("prior: true\nreject_factor: 1.2", ":2: `reject_factor` is 1.2; Input should be less"),
        ("open_means: maybe", "write reason or undecided or no"),
        ("prior: true\nprior: false", ":2: `prior` is written twice (first on line 1)"),
        ("prior:", "`prior` has no value"),
        ("fill: [grey]", "`fill` is a list or a mapping"),
        ("base: cluw", "is no preset\n  instead: `base:` and one of clue, "),
        ("- prior", "the file holds a list\n  instead: fields of a policy"),
        ("", "the file is empty\n  instead: fields of a policy"),
        ("prior: &x true", "an anchor or alias"),
        ("crop_area: 0x10", "write a number"),
        ("crop_area: 1_0", "write a number"),
        ("max_frames: 1:30", "write a whole number"),
    ],
)  # fmt: skip
def test_a_file_is_refused_by_its_line(tmp_path, text, said):
    with pytest.raises(PolicyError) as refused:
        load_policy(written(tmp_path, text))
    assert said in str(refused.value)
    assert "mine.yaml" in str(refused.value)


@pytest.mark.filterwarnings("error")
def test_a_setting_without_effect_is_a_warning(tmp_path):
    path = written(tmp_path, "open_means: no\nmax_reasoning_tokens: 64\n")
    with pytest.warns(UserWarning, match="mine.yaml:2: `max_reasoning_tokens` has no effect: open"):
        load_policy(path)
    with pytest.warns(UserWarning, match="--set region_margin: .* region is false"):
        load_policy("default", [("region", "false"), ("region_margin", "0.5")])
    load_policy("default", [("region", "true"), ("region_margin", "0.5")])


def test_names_and_paths():
    for wrong in ("clu", "Default", ""):
        with pytest.raises(PolicyError, match="there is no policy"):
            load_policy(wrong)
    with pytest.raises(PolicyError, match="choose from clue, "):
        Judge.load("sketch", "fake:", "clu")
    with pytest.raises(PolicyError, match="there is no file of this name"):
        load_policy("./none.yaml")
    with pytest.raises(PolicyError, match="set twice"):
        load_policy("default", [("prior", "true"), ("prior", "false")])


# --- on the command line ------------------------------------------------------------------------


def options(*words, command="judge"):
    paths = ["x.png"]
    _, options = parse([command, *paths, "--constitution", "sketch", "--engine", "fake:", *words])
    return options.judge


def test_settings_win_over_the_file(tmp_path):
    path = written(tmp_path, "base: clue\nreject_factor: 0.2\naccept_factor: 0.7\n")
    policy = options(
        "--policy", str(path), "--set", "reject_factor=0.1", "--set", "open-means=no", "--no-prior"
    ).policy()
    changes = {"reject_factor": 0.1, "accept_factor": 0.7, "open_means": "no", "prior": False}
    assert policy == Policy.clue().model_copy(update={"name": "mine", **changes})
    assert options("--set", "prior=false", "--no-prior", command="explain").policy().prior is False


def test_ids_are_written_with_spaces_between(tmp_path):
    wanted = Policy(name="p", never_skipped=("open-blade", "fire"))
    path = tmp_path / "p.yaml"
    path.write_text("never_skipped: open-blade fire\n")
    assert load_policy(path) == wanted
    assert load_policy("default", [("never_skipped", "fire")]).never_skipped == ("fire",)
    assert wanted.digest() != Policy(name="p").digest()
    assert Policy.model_validate_json(wanted.model_dump_json()) == wanted


def test_a_switch_may_not_contradict_a_setting(capsys):
    with pytest.raises(InputError, match="another option, makes prior False"):
        options("--set", "prior=true", "--no-prior").policy()
    with pytest.raises(InputError, match="makes max_frames 3"):
        options("--set", "max_frames=4", "--frames", "3").policy()
    for wrong in ("prior", "=1", "a b=1", "prior="):
        assert cli.main(["judge", "x.png", "--set", wrong]) == 2
        assert "is not FIELD=VALUE" in capsys.readouterr().err


def test_a_warning_is_told_once(capsys, tmp_path):
    path = written(tmp_path, "open_means: no\nmax_reasoning_tokens: 64\n")
    chosen = ["--constitution", "sketch", "--engine", "fake:", "--policy", str(path)]
    cli.main(["explain", "none.png", *chosen])
    said = capsys.readouterr().err
    assert said.count("mine.yaml:2: `max_reasoning_tokens` has no effect") == 1


def test_a_wrong_policy_ends_with_2(capsys, tmp_path):
    chosen = ["--constitution", "sketch", "--engine", "fake:"]
    for command in (["judge", "x.png"], ["explain", "x.png"]):
        assert cli.main([*command, *chosen, "--policy", "clu"]) == 2
        assert "there is no policy 'clu'; choose from clue" in capsys.readouterr().err
        assert cli.main([*command, *chosen, "--set", "reject_facto=1"]) == 2
        assert "do you mean reject_factor?" in capsys.readouterr().err


@pytest.mark.parametrize("name", POLICIES)
def test_another_process_knows_it_by_the_same_digest(name):
    policy = POLICIES[name]()
    assert pickle.loads(pickle.dumps(policy)).digest() == policy.digest()  # noqa: S301 - our own


@pytest.mark.parametrize("later", ["confirm", "mirror", "shared_reasoning"])
def test_a_setting_that_came_later_stands_where_it_always_stands(later):
    """Whoever changes a policy that was pickled before it gets the digest of any other such."""
    state = Policy().__getstate__()
    fields = {name: value for name, value in state["__dict__"].items() if name != later}
    old = Policy.__new__(Policy)
    old.__setstate__(state | {"__dict__": fields})
    assert old.model_copy(update={later: True}).digest() == Policy(**{later: True}).digest()
