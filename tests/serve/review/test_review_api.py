"""What the page of a review asks: for reviewers alone, kept once, told in words."""

import asyncio
import re
import subprocess
import sys
from collections import Counter

import pytest

from safejudge.constitution.load import dump_constitution
from safejudge.journal.people import decisions
from safejudge.journal.picture import kept_picture, shrunk
from safejudge.serve.review.lead import Differences, agreed


def ask(web, *requests):
    """Ask one after the other; a request is an address, and JSON where something is posted."""

    async def run():
        async with web:
            return [
                await (web.get(path) if not body else web.post(path, json=body[0]))
                for path, *body in requests
            ]

    return asyncio.run(run())


def code(reply):
    return reply.status_code, reply.json()["error"]["code"]


def decision(one, **more):
    return {"judgment": 1, "rule": one.rule, "digest": "", "verdict": "violates"} | more


# --- who may ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "told"), [("", (401, "invalid_api_key")), ("shop", (403, "missing_role"))]
)
def test_nobody_but_a_reviewer_is_told_anything(api_for, who, told):
    paths = [
        "state", "queue", "item?judgment=1&rule=x", "picture?judgment=1", "mine", "agreement",
        "rules", "constitution", "nothing",
    ]  # fmt: skip
    replies = ask(api_for(who), *((f"/review/api/{path}",) for path in paths))
    assert {code(reply) for reply in replies} == {told}
    posted = ask(
        api_for(who), *((f"/review/api/{p}", {}) for p in ("decide", "withdraw", "replay"))
    )
    assert {code(reply) for reply in posted} == {told}


def test_the_page_itself_wants_no_key_and_holds_nothing(api_for, judged):
    paths = ("/review", "/review/review.css", "/review/review.js", "/review/icon.svg")
    for reply in ask(api_for(""), *((path,) for path in paths)):
        assert reply.status_code == 200
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in reply.headers
        assert all(one.rule not in reply.text for one in judged)
        assert not re.search(r"https?://(?!www\.w3\.org)", reply.text)
    page = ask(api_for(""), ("/review",))[0].text
    assert not re.search(r"<script>|<style|\son\w+=|\sstyle=", page)


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://elsewhere.example"},
        {"origin": "null"},
    ],
)
def test_the_page_of_another_site_is_refused(api_for, headers):
    async def run():
        async with api_for("", keyed=False) as web:
            return await web.get("/review/api/state", headers=headers)

    assert code(asyncio.run(run())) == (403, "other_site")


def test_without_keys_it_is_for_this_machine_alone(api_for):
    (reply,) = ask(api_for("", keyed=False), ("/review/api/state",))
    assert reply.json()["reviewer"] == "127.0.0.1"
    rebound = api_for("", keyed=False, base="http://attacker.example")
    assert code(ask(rebound, ("/review/api/state",))[0]) == (403, "other_host")


def test_without_a_journal_it_says_what_to_do(api_for):
    (reply,) = ask(api_for("ann", kept=False), ("/review/api/state",))
    assert code(reply) == (404, "no_journal")
    assert "--journal" in reply.json()["error"]["message"]


def test_a_server_without_the_extra_for_journals_starts_all_the_same():
    code = (
        "import sys; sys.modules['sqlalchemy'] = None\n"
        "from safejudge.serve.app import api_of\n"
        "print([r.path for r in api_of(None).routes if 'review' in getattr(r, 'path', '')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- the queue ----------------------------------------------------------------------------------


def test_the_queue_goes_by_need(api_for, judged):
    everything, some, none = ask(
        api_for(),
        ("/review/api/queue",),
        ("/review/api/queue?why=shadow&limit=2",),
        ("/review/api/queue?why=fun",),
    )
    whys = [one["why"] for one in everything.json()["questions"]]
    assert whys == sorted(whys, key=("undecided", "between", "shadow", "audit").index)
    assert Counter(whys) == everything.json()["open"]
    assert {one["why"] for one in some.json()["questions"]} == {"shadow"}
    assert len(some.json()["questions"]) == 2
    assert none.status_code == 400


def test_a_question_shows_the_tree_and_why(api_for, judged, say, digests):
    say(0, "does_not", "bob", "<b>plush</b>")
    (reply,) = ask(api_for(), (f"/review/api/item?judgment=1&rule={judged[0].rule}",))
    item = reply.json()
    one = judged[0]
    assert item["image_id"] == one.result.id
    assert item["digest"] == digests[one.rule]
    assert item["why"] == ["undecided"]
    assert 'class="tree"' in item["html"]
    for answer in one.result.rules[one.rule].preconditions:
        assert answer.statement in item["html"]
    assert "bob" in item["html"]
    assert "&lt;b&gt;plush" in item["html"]
    assert "style=" not in item["html"]
    missing = [
        "/review/api/item?judgment=999&rule=x",
        "/review/api/item?judgment=1&rule=nothing",
        "/review/api/item?judgment=0&rule=x",
    ]
    assert [r.status_code for r in ask(api_for(), *((path,) for path in missing))] == [
        404,
        404,
        400,
    ]


def test_what_other_versions_say_stands_beside(api_for, judged):
    (reply,) = ask(api_for(), (f"/review/api/item?judgment=3&rule={judged[2].rule}",))
    assert "stricter" in reply.json()["html"]


def test_a_picture_is_shown_where_one_was_kept(api_for):
    shown, none = ask(
        api_for(), ("/review/api/picture?judgment=1",), ("/review/api/picture?judgment=6",)
    )
    assert shown.headers["content-type"] == "image/jpeg"
    assert shown.headers["cache-control"] == "no-store"
    assert shown.content[:2] == b"\xff\xd8"
    assert code(none) == (404, "no_picture")


def test_a_small_picture_says_how_large_the_whole_was():
    import numpy as np

    small = shrunk(np.zeros((60, 200, 3), np.uint8), 50)
    found = kept_picture(small)
    assert found.of == (200, 60)
    assert kept_picture(b"<svg onload='x'/>") is None
    noise = np.random.default_rng(1).integers(0, 255, (900, 900, 3), dtype=np.uint8)
    assert len(shrunk(noise, 900)) <= 2**16


def test_boxes_are_placed_in_per_cent(api_for, journal, judged, service):
    from safejudge.journal.rows import Row
    from safejudge.types import Box

    one = judged[0]
    verdict = one.result.rules[one.rule]
    box = Box(word="knife", confidence=0.5, left=24, top=48, right=72, bottom=96)
    leaf = verdict.preconditions[0].model_copy(update={"boxes": (box,)})
    rules = one.result.rules | {one.rule: verdict.model_copy(update={"preconditions": (leaf,)})}
    result = one.result.model_copy(update={"rules": rules})
    small = shrunk(one.pixels, 48)
    journal.add(service.version.judge, [Row(result, caption="boxed", thumbnail=small)])
    number = journal.count()
    (reply,) = ask(api_for(), (f"/review/api/item?judgment={number}&rule={one.rule}",))
    (placed,) = reply.json()["boxes"]
    assert placed == {
        "word": "knife", "confidence": 0.5,
        "left": 25.0, "top": 50.0, "width": 50.0, "height": 50.0,
    }  # fmt: skip


# --- decisions ----------------------------------------------------------------------------------


def test_a_decision_is_kept_under_the_name_of_the_key(api_for, journal, judged, digests):
    one = judged[0]
    body = decision(one, digest=digests[one.rule], note="a toy")
    kept, queue, again, mine = ask(
        api_for(),
        ("/review/api/decide", body),
        ("/review/api/queue",),
        ("/review/api/decide", body),
        ("/review/api/mine",),
    )
    assert kept.json()["open"]["undecided"] == 2
    assert one.result.id not in [q["image_id"] for q in queue.json()["questions"]]
    assert again.json()["decision"] == kept.json()["decision"]
    (there,) = decisions(journal, standing=False)
    assert (there.reviewer, there.verdict, there.note) == ("ann", "violates", "a toy")
    assert mine.json()[0]["judgment"] == 1
    changed, withdrawn, gone = ask(
        api_for(),
        ("/review/api/decide", body | {"verdict": "does_not"}),
        ("/review/api/withdraw", {"decision": there.id + 1}),
        ("/review/api/withdraw", {"decision": there.id + 1}),
    )
    assert changed.json()["decision"] == there.id + 1
    assert withdrawn.json()["open"]["undecided"] == 3
    assert code(gone) == (409, "gone")
    assert decisions(journal) == []


def test_what_is_no_decision_is_refused(api_for, journal, judged, digests):
    one = judged[0]
    good = decision(one, digest=digests[one.rule])
    bad = [
        good | {"verdict": "perhaps"},
        good | {"note": "x" * 2001},
        good | {"judgment": 999},
        good | {"rule": "nothing"},
        good | {"more": 1},
        {},
    ]
    replies = ask(api_for(), *(("/review/api/decide", body) for body in bad))
    assert [reply.status_code for reply in replies] == [400, 400, 404, 404, 400, 400]
    assert decisions(journal) == []


def test_a_rule_that_was_reworded_meanwhile_keeps_nothing(api_for, journal, judged):
    (reply,) = ask(api_for(), ("/review/api/decide", decision(judged[0], digest="0" * 16)))
    assert code(reply) == (409, "reworded")
    assert decisions(journal) == []


def test_an_outdated_decision_is_to_be_looked_at_again(api_for, judged, say):
    say(0, "violates", "bob", digest="0" * 16)
    (reply,) = ask(api_for(), (f"/review/api/item?judgment=1&rule={judged[0].rule}",))
    assert "to be looked at again" in reply.json()["html"]


def test_who_comes_second_is_told_and_may_stand_beside(api_for, journal, judged, say, digests):
    one = judged[0]
    say(0, "does_not", "bob")
    body = decision(one, digest=digests[one.rule])
    refused, kept = ask(
        api_for(),
        ("/review/api/decide", body),
        ("/review/api/decide", body | {"beside": True}),
    )
    assert code(refused) == (409, "answered")
    assert "bob" in refused.json()["error"]["message"]
    assert kept.status_code == 200
    assert {o.reviewer for o in decisions(journal)} == {"ann", "bob"}


def test_of_two_reviewers_neither_sees_the_other_first(api_for, judged, say, digests):
    one = judged[0]
    say(0, "does_not", "bob", "not a knife", reviewers=2)
    address = f"/review/api/item?judgment=1&rule={one.rule}"
    body = decision(one, digest=digests[one.rule])
    before, kept, after = ask(
        api_for(reviewers=2), (address,), ("/review/api/decide", body), (address,)
    )
    assert "not a knife" not in before.json()["html"]
    assert "1 other reviewer answered" in before.json()["html"]
    assert kept.status_code == 200
    assert "not a knife" in after.json()["html"]
    assert after.json()["mine"] is not None


def test_reviewing_goes_on_while_the_engine_is_down(api_for, service, judged, digests, monkeypatch):
    monkeypatch.setattr(service, "_down", RuntimeError("out of memory"))
    one = judged[0]
    state, kept = ask(
        api_for(),
        ("/review/api/state",),
        ("/review/api/decide", decision(one, digest=digests[one.rule])),
    )
    assert "out of memory" in state.json()["problem"]
    assert kept.status_code == 200


# --- whoever answers for the rules --------------------------------------------------------------


def test_each_rule_says_how_often_and_how_sure(api_for, judged, say):
    for place in range(4):
        say(place, "violates", "ann")
    (reply,) = ask(api_for(), ("/review/api/rules?weeks=8",))
    found = {one["rule"]: one for one in reply.json()["rules"]}
    for rule, one in found.items():
        outcomes = Counter(o.result.rules[rule].outcome for o in judged)
        assert {k: n for k, n in one["outcomes"].items() if n} == outcomes
        scores = [o.result.rules[rule].score for o in judged]
        known = [score for score in scores if score is not None]
        assert one["mean"]["n"] == len(known)
        if known:
            assert one["mean"]["value"] == pytest.approx(sum(known) / len(known))
        assert one["near_half"]["n"] == len(known)
        assert sum(week["mean"]["n"] for week in one["weeks"]) == len(known)
    drawn = found[judged[3].rule]["audited"]
    assert drawn["differ"]["n"] + drawn["open_violates"] == 1
    assert "style=" not in reply.json()["html"]
    assert reply.json()["html"].count('role="img"') >= len(found)


def test_differences_are_counted_by_their_side():
    from safejudge.journal.beside import Beside

    def beside(people, judge):
        return Beside("i", "r", "audit", people, judge, 0.5)

    found = Differences.of(
        [beside("violates", "violated")] * 5
        + [beside("does_not", "not_violated")] * 2
        + [beside("violates", "not_violated"), beside("violates", "not_relevant")]
        + [beside("does_not", "violated"), beside("violates", "undecided")]
        + [beside("does_not", "undecided"), beside("split", "violated")]
        + [beside("cannot_tell", "violated")]
    )
    assert (found.differ.value, found.differ.n) == (0.3, 10)
    assert found.differ.low < 0.3 < found.differ.high
    assert (found.missed, found.alarms, found.unclear) == (2, 1, 2)
    assert (found.open_violates, found.open_does_not) == (1, 1)


def test_agreement_is_told_with_how_many(api_for, say):
    assert ask(api_for(), ("/review/api/agreement",))[0].json()["alpha"]["n"] == 0
    said = ["violates", "does_not", "violates", "does_not"]
    for place, verdict in enumerate(said):
        say(place, verdict, "ann", reviewers=2)
        say(place, verdict if place else "does_not", "bob", reviewers=2)
    (reply,) = ask(api_for(), ("/review/api/agreement",))
    (pair,) = reply.json()["pairs"]
    assert pair["reviewers"] == ["ann", "bob"]
    assert pair["n"] == 4
    assert pair["value"] == pytest.approx(0.5)  # p_o = 3/4, p_e = 1/2
    alone = agreed({("i", "r", "d"): {"ann": "violates", "bob": "violates"}})
    assert alone.json()["alpha"]["value"] is None


def test_a_replay_says_what_would_change(api_for, service, judged):
    rules = service.version.judge.constitution
    (current,) = ask(api_for(), ("/review/api/constitution",))
    text = current.json()["constitution"]
    assert text == dump_constitution(rules)
    same, without, bad, none, setting = ask(
        api_for(),
        ("/review/api/replay", {"constitution": text}),
        ("/review/api/replay", {"constitution": dump_constitution(_without(rules, judged))}),
        ("/review/api/replay", {"constitution": "name: x\nrules: nothing\n"}),
        ("/review/api/replay", {}),
        ("/review/api/replay", {"settings": "reject_factr=0.2"}),
    )
    assert same.json()["images"] == len(judged)
    assert same.json()["changed"] == same.json()["open"] == 0
    violated = [o for o in judged if o.result.label == "unsafe"]
    assert without.json()["changed"] >= len(violated) > 0
    assert without.json()["html"].count("#item/") == without.json()["changed"]
    assert code(bad) == (400, "invalid_rules")
    assert code(none) == (400, "no_change")
    assert "reject_factor" in setting.json()["error"]["message"]


def _without(rules, judged):
    """Rules without those that any of the pictures violates."""
    violated = {rule for one in judged for rule in one.result.violations}
    kept = tuple(rule for rule in rules.rules if rule.id not in violated)
    return rules.model_copy(update={"rules": kept})


def test_settings_name_no_files(api_for, tmp_path):
    (reply,) = ask(api_for(), ("/review/api/replay", {"settings": "base=/etc/passwd"}))
    assert reply.status_code == 400
    assert "root" not in reply.text
