"""The page of a review in a real Chromium: by keyboard alone, for everybody, without a network."""

import itertools
import re

import pytest
from review_pages import Page

from safejudge import OutputError
from safejudge.journal.people import decisions

SIZES = {"desk": (1400, 900), "phone": (390, 844)}


@pytest.fixture
def page_of(chromium, app_of, reviewers):
    """Open the page as somebody; at the end nothing may have been fetched elsewhere."""
    opened = []

    def make(who="ann", *, size="desk", scheme="light", motion="no-preference", **settings):
        page = Page(chromium, app_of(**settings), SIZES[size], scheme, motion)
        opened.append(page)
        if who:
            page.sign_in(reviewers[1][who])
        return page

    yield make
    for page in opened:
        page.close()
        assert page.elsewhere == []
        assert page.violations == []
        assert page.errors == []


def test_a_queue_is_gone_through_by_keyboard_alone(page_of, journal, reviewers):
    page = page_of(who="")
    page.tab_to("#key")
    page.type(reviewers[1]["ann"])
    page.press("Enter")
    page.see("#item-title", "Does it violate")
    asked = []
    for number in range(11):
        asked.append(page.text("#item-title"))
        page.press("yn?"[number % 3])
        page.wait_for_next(left=10 - number)
    page.see("#item-title", "Nothing is open")
    said = decisions(journal)
    assert [one.verdict for one in said[:3]] == ["violates", "does_not", "cannot_tell"]
    assert len(said) == 11
    assert {one.reviewer for one in said} == {"ann"}
    page.press("u")
    page.see("#item-title", asked[-1])
    assert len(decisions(journal)) == 10


def test_what_was_decided_before_a_reload_can_be_undone(page_of, journal):
    page = page_of()
    first = page.text("#item-title")
    page.press("y")
    page.see("#live", "Violates: kept.")
    page.reload()
    page.see("#item-title", "Does it violate")
    page.press("u")
    page.see("#item-title", first)
    page.see("#live", "Undone.")
    assert decisions(journal) == []


def test_the_picture_is_blurred_until_asked_and_anew_for_each(page_of):
    page = page_of()
    page.see_picture(blurred=True)
    page.press("b")
    page.see_picture(blurred=False)
    page.see("#live", "The picture is shown.")
    page.press("b")
    page.see_picture(blurred=True)
    page.press("b")
    for key, place in (("j", 1), ("k", 0)):
        page.press(key)
        page.at_place(place)
        page.see_picture(blurred=True)


def test_what_is_written_into_a_note_decides_nothing(page_of, journal):
    page = page_of()
    page.click(".noting summary")
    page.focus("#note")
    page.type("nyu?")
    assert decisions(journal) == []
    page.press("Escape")
    page.press("n")
    page.see("#live", "Does not: kept.")
    (said,) = decisions(journal)
    assert said.note == "nyu?"


def test_keys_can_be_turned_off(page_of, journal):
    page = page_of()
    page.press("h")
    page.see("#help", "undo your latest decision")
    page.press("y")
    page.click("#keys-on")
    page.press("Escape")
    page.press("y")
    page.press("h")
    assert not page.is_visible("#help")
    assert decisions(journal) == []
    page.click("[data-verdict=violates]")
    page.see("#live", "Violates: kept.")


def test_a_question_is_announced_and_has_the_focus(page_of):
    page = page_of()
    page.see("#live", "Does it violate")
    page.see("#live", "Asked because")
    assert page.focused() == "item-title"
    page.press("y")
    page.see("#live", "Violates: kept. Does it violate")
    assert page.focused() == "item-title"


# --- when something is wrong ----------------------------------------------------------------------


def test_a_decision_is_not_lost_when_the_connection_breaks(page_of, journal):
    page = page_of()
    first = page.text("#item-title")
    page.offline(True)
    page.press("y")
    page.see("#unsent-text", "1 decision is not sent")
    page.offline(False)
    page.see("#live", "All decisions are sent.")
    (said,) = decisions(journal)
    assert said.rule in first
    assert not page.is_visible("#unsent")


@pytest.mark.parametrize("proxy", [False, True], ids=["cut", "proxy"])
def test_it_can_be_sent_again_or_undone_before_it_is_sent(page_of, journal, proxy):
    page = page_of()
    first = page.text("#item-title")
    page.broken(True, proxy=proxy)
    page.press("y")
    page.see("#unsent-text", "1 decision is not sent")
    page.click("#send-again")
    page.see("#trouble", "cannot be reached")
    page.press("u")
    page.broken(False)
    page.click("#trouble button")
    page.see("#item-title", first)
    page.gone("#unsent")
    page.broken(True, proxy=proxy)
    page.press("n")
    page.see("#unsent-text", "1 decision")
    page.broken(False)
    page.reload()
    page.see("#live", "All decisions are sent.")
    (said,) = decisions(journal)
    assert said.verdict == "does_not"


def test_what_is_refused_later_is_told_and_what_fails_is_kept(page_of, journal, say, monkeypatch):
    page = page_of()
    page.broken(True)
    page.press("y")
    page.see("#unsent-text", "1 decision is not sent")
    page.broken(False)
    with monkeypatch.context() as failing:
        failing.setattr(journal, "writing", _full)
        page.click("#send-again")
        page.see("#trouble", "disk is full")
        assert page.is_visible("#unsent")
    say(0, "does_not", "bob")
    page.click("#send-again")
    page.see("#trouble", "answered meanwhile by bob")
    page.gone("#unsent")
    (said,) = decisions(journal)
    assert said.reviewer == "bob"


def _full():
    raise OutputError("the disk is full")


def test_a_wrong_key_is_told_and_asked_for_again(page_of, reviewers):
    page = page_of(who="")
    page.sign_in("sj_wrong", expect=False)
    page.see("#trouble", "does not know this key")
    page.sign_in(reviewers[1]["shop"], expect=False)
    page.see("#trouble", "has no role `review`")
    page.sign_in(reviewers[1]["ann"])
    assert not page.is_visible("#trouble p")
    page.click("#leave")
    page.see("#view-key", "Your key")
    assert page.stored() == {}
    assert page.text("#trace") == ""


def test_who_comes_second_is_told_and_can_stand_beside(page_of, journal, say):
    page = page_of()
    say(0, "does_not", "bob")
    page.press("y")
    page.see("#trouble", "answered meanwhile by bob")
    page.press("y")
    page.see("#live", "Violates: kept.")
    assert len(decisions(journal)) == 2


def test_an_engine_that_is_down_is_told(page_of, service, monkeypatch):
    monkeypatch.setattr(service, "_down", RuntimeError("out of memory"))
    page = page_of()
    page.see("#engine", "No picture is judged now")
    page.press("y")
    page.see("#live", "Violates: kept.")


# --- for everybody --------------------------------------------------------------------------------


@pytest.mark.parametrize("look", list(itertools.product(SIZES, ("light", "dark"))), ids="-".join)
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(
    page_of, say, judged, look, reviewers
):
    for place in range(6):
        say(place, "violates", "bob", "a note")
        say(place, "does_not" if place % 3 else "violates", "eve")
    size, scheme = look
    page = page_of(who="", size=size, scheme=scheme)
    page.check("signed out")
    page.sign_in(reviewers[1]["ann"])
    page.see_picture(blurred=True)
    page.open_all("#trace details")
    page.check("question")
    page.press("b")
    page.check("picture")
    page.press("h")
    page.check("help")
    page.press("Escape")
    page.go(f"#item/1/{judged[0].rule}")
    page.see("#trace", "bob")
    page.check("decided")
    page.go("#rules")
    page.see("#rules", "How far reviewers agree")
    page.open_all("#rules details")
    page.check("rules")
    page.go("#change")
    page.fill("#settings", "reject_factor=0.9\naccept_factor=0.1")
    page.click("#try")
    page.see("#change", "would change")
    page.check("change")
    page.broken(True)
    page.click("#try")
    page.see("#trouble", "cannot be reached")
    page.check("trouble")


def test_nothing_moves_for_who_wants_no_motion(page_of):
    moving, still = page_of(), page_of(motion="reduce")
    for page in (moving, still):
        page.see_picture(blurred=True)
    assert moving.style("#image", "transitionDuration") != "0s"
    assert still.style("#image", "transitionDuration") == "0s"


def test_touch_is_enough_on_a_phone(page_of, journal):
    page = page_of(size="phone")
    page.see_picture(blurred=True)
    page.tap("#veil")
    page.see_picture(blurred=False)
    for verdict in ("violates", "does_not", "cannot_tell"):
        assert page.height(f"[data-verdict={verdict}]") >= 44
    page.tap("[data-verdict=does_not]")
    page.see("#live", "Does not: kept.")
    page.tap("#undo")
    page.see("#live", "Undone.")
    assert decisions(journal) == []


# --- rules and what would change ------------------------------------------------------------------


def test_a_change_is_tried_and_its_images_are_looked_at(page_of):
    page = page_of()
    page.go("#change")
    page.click("#in-force")
    page.see_value("#constitution", "rules:")
    text = page.value("#constitution")
    page.fill("#constitution", "rules: [")
    page.click("#try")
    page.see("#trouble", "olicy:1")
    page.fill("#constitution", text)
    page.click("#try")
    page.see("#change", "0 of 12 images would change")
    page.fill("#settings", "reject_factor=0.9\naccept_factor=0.1")
    page.click("#try")
    page.see("#change", "worst first")
    assert not re.match("0 of", page.text("#found"))
    page.click(".flips a")
    page.see("#item-title", "Does it violate")


def test_the_weeks_are_chosen(page_of):
    page = page_of()
    page.go("#rules")
    page.see("#rules", "The last 13 weeks")
    page.choose("#weeks", "4")
    page.see("#rules", "The last 4 weeks")
