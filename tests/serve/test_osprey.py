"""The plugin for ROOST's Osprey beside a real server: scores, labels, and what is neither."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import osprey_stand_in
import pytest
from proxied import Handler, serving

import safejudge.serve.integrations

FOLDER = Path(safejudge.serve.integrations.__file__).parent / "osprey"


@pytest.fixture
def plugin_of(monkeypatch):
    """Load the plugin for a server, as an Osprey worker with this environment does."""

    def load(url, key="", seconds="30"):
        for name, module in osprey_stand_in.modules().items():
            monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setenv("SAFEJUDGE_URL", url)
        monkeypatch.setenv("SAFEJUDGE_KEY", key)
        monkeypatch.setenv("SAFEJUDGE_TIMEOUT", seconds)
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # not for the judge
        spec = importlib.util.spec_from_file_location(
            "osprey_plugin", FOLDER / "safejudge_osprey.py"
        )
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


class Action:
    """One action of Osprey with the functions of a plugin."""

    def __init__(self, plugin):
        self.plugin = plugin
        functions = plugin.register_udfs()
        self.context = osprey_stand_in.ExecutionContext(
            {function: function.create_provider() for function in functions}
        )

    def score(self, url, **rule):
        arguments = self.plugin.ScoreArguments(image_url=url, **rule)
        return self.plugin.SafejudgeScore().execute(self.context, arguments)

    def label(self, url):
        arguments = self.plugin.LabelArguments(image_url=url)
        return self.plugin.SafejudgeLabel().execute(self.context, arguments)


@pytest.fixture
def action(plugin_of, server, keys):
    return Action(plugin_of(f"{server.url}/", keys[1]["shop"]))


def test_an_unsafe_image_has_a_high_score_and_a_safe_one_a_low_one(action, unsafe, safe):
    assert 0.5 < action.score(unsafe.url) <= 1
    assert action.score(unsafe.url) == action.score(unsafe.url, rule=unsafe.violations[0])
    assert action.label(unsafe.url) == "unsafe"
    assert 0 <= action.score(safe.url) < 0.5
    assert action.label(safe.url) == "safe"


def test_undecided_is_no_score_and_no_zero(action, noise):
    assert action.score(noise.url) is None
    assert action.label(noise.url) == "undecided"


@pytest.mark.parametrize("url", ["broken", "http://169.254.169.254/latest"])
def test_what_nobody_looked_at_fails_and_the_label_says_so(action, broken, url):
    url = broken.url if url == "broken" else url
    with pytest.raises(osprey_stand_in.ExternalServiceException, match="422: not_judged"):
        action.score(url)
    assert action.label(url) == "failed"


def test_a_rule_that_the_server_does_not_have_fails(action, unsafe):
    with pytest.raises(osprey_stand_in.ExternalServiceException, match="no rule 'armed-robot'"):
        action.score(unsafe.url, rule="armed-robot")


def test_a_wrong_key_and_no_server_fail(plugin_of, server, unsafe):
    with serving(Handler) as gone:
        port = gone.server_address[1]
    for url, says in ((server.url, "status 401"), (f"http://127.0.0.1:{port}", "no answer")):
        action = Action(plugin_of(url, "wrong"))
        with pytest.raises(osprey_stand_in.ExternalServiceException, match=says):
            action.score(unsafe.url)
        assert action.label(unsafe.url) == "failed"


# --- servers that lie -----------------------------------------------------------------------------


GOOD = {
    "results": [
        {"label": "safe", "score": 0.2, "rules": {"r": {"outcome": "not_violated", "score": 0.2}}}
    ],
    "coverage": {"received": 1, "judged": 1, "failed": 0, "frames_unseen": 0},
}


@pytest.fixture
def answered(plugin_of):
    """What an action finds where a server answers so."""

    def find(content, look, **options):
        class Answer(Handler):
            def do_POST(self):  # noqa: N802 - http.server's name
                self.body()
                asked.append(self.path)
                self.answer(200, content)

        asked = []
        with serving(Answer) as server:
            action = Action(plugin_of(f"http://127.0.0.1:{server.server_address[1]}", **options))
            return look(action), asked

    return find


def test_functions_of_one_action_ask_once(answered):
    found, asked = answered(
        GOOD, lambda one: (one.score("x"), one.score("x", rule="r"), one.label("x"))
    )
    assert found == (0.2, 0.2, "safe")
    assert asked == ["/v1/judge"]


def _changed(record=None, **coverage):
    return {
        "results": [GOOD["results"][0] | (record or {})],
        "coverage": GOOD["coverage"] | coverage,
    }


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        b"no JSON",
        {"results": GOOD["results"]},
        {"results": [], "coverage": GOOD["coverage"]},
        {"results": GOOD["results"] * 2, "coverage": GOOD["coverage"]},
        _changed(judged=0),
        _changed(failed=1),
        _changed({"label": "fine"}),
        _changed({"score": "0", "rules": {"r": {"outcome": "violated", "score": "0"}}}),
        _changed({"score": True, "rules": {"r": {"outcome": "violated", "score": True}}}),
        _changed({"score": 1.5, "rules": {"r": {"outcome": "violated", "score": 1.5}}}),
        _changed({"label": "unsafe", "score": math.nan}),
    ],
)
def test_a_reply_that_does_not_say_so_is_no_score(answered, content):
    def look(action):
        with pytest.raises(osprey_stand_in.ExternalServiceException):
            action.score("x")

    answered(content, look)


def test_a_safe_image_of_which_frames_were_not_seen_is_open(answered):
    found, _ = answered(_changed(frames_unseen=2), lambda one: (one.score("x"), one.label("x")))
    assert found == (None, "undecided")


def test_a_rule_that_was_skipped_scores_nothing(answered):
    skipped = _changed({"score": None, "rules": {"r": {"outcome": "not_relevant", "score": None}}})
    found, _ = answered(skipped, lambda one: (one.score("x", rule="r"), one.score("x")))
    assert found == (0.0, 0.0)


def test_a_redirect_is_not_followed(answered, plugin_of):
    def look(other):
        class Away(Handler):
            def do_POST(self):  # noqa: N802 - http.server's name
                self.body()
                self.send_response(307)
                self.send_header("location", other.plugin.SERVER._url + "/v1/judge")
                self.send_header("content-length", "0")
                self.end_headers()

        with serving(Away) as server:
            action = Action(plugin_of(f"http://127.0.0.1:{server.server_address[1]}", "secret"))
            assert action.label("x") == "failed"

    _, asked = answered(GOOD, look)
    assert asked == []


# --- Osprey itself --------------------------------------------------------------------------------


def in_osprey(server, key, rules, images):
    done = subprocess.run(
        [os.environ["OSPREY_PYTHON"], Path(__file__).with_name("osprey_rules.py"), FOLDER],
        input=json.dumps({"rules": rules, "images": images}),
        env={**os.environ, "SAFEJUDGE_URL": server.url, "SAFEJUDGE_KEY": key},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


needs_osprey = pytest.mark.skipif(
    "OSPREY_PYTHON" not in os.environ,
    reason="needs ROOST's Osprey: OSPREY_PYTHON names a Python that has it",
)


@needs_osprey
def test_the_rules_of_the_page_run_in_ospreys_engine(  # noqa: PLR0917 - fixtures
    server, keys, unsafe, safe, noise, broken
):
    readme = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    (rules,) = (part.partition("```")[0] for part in readme.split("```text\n# rules.sml\n")[1:])
    rules = rules.replace("armed-child", unsafe.violations[0])
    images = {"unsafe": unsafe.url, "safe": safe.url, "noise": noise.url, "broken": broken.url}
    found = in_osprey(server, keys[1]["shop"], rules, images)
    rated = {name: one["features"] for name, one in found.items()}
    assert {name: one["Blocked"] for name, one in rated.items()} == {
        "unsafe": True, "safe": False, "noise": False, "broken": False,
    }  # fmt: skip
    assert {name: one["ForPeople"] for name, one in rated.items()} == {
        "unsafe": True, "safe": False, "noise": True, "broken": True,
    }  # fmt: skip
    assert found["noise"]["errors"] == []
    assert "422: not_judged" in found["broken"]["errors"][0]


@needs_osprey
def test_osprey_refuses_a_rule_that_forgets_that_there_may_be_no_score(server, keys, safe):
    rules = (
        'Url: str = JsonData(path="$.url")\n'
        'Bad = Rule(when_all=[SafejudgeScore(image_url=Url) > 0.9], description="bad")\n'
    )
    found = in_osprey(server, keys[1]["shop"], rules, {"safe": safe.url})
    assert "refused" in found["safe"], found
