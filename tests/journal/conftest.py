"""Journals of both databases, and judgments to keep in them."""

from __future__ import annotations

import numpy as np
import pytest
from databases import fresh, postgres

from safejudge import AllOf, Constitution, Judge, Policy, Precondition, Rule, Severity
from safejudge.engines.fake import FakeEngine
from safejudge.journal.store import Journal


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory):
    with postgres(tmp_path_factory.mktemp("postgres")) as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path):
    """The address of a journal that is not there yet."""
    if request.param == "sqlite":
        return str(tmp_path / "journal.db")
    return fresh(request.getfixturevalue("postgresql"))


@pytest.fixture
def journal(address):
    with Journal(address) as journal:
        yield journal


def rules(*names, text="No {}."):
    return Constitution(
        name="things",
        rules=tuple(
            Rule(
                id=name,
                category="things",
                severity=Severity.LOW,
                text=text.format(name),
                objective=text.format(name),
                condition=AllOf(all=(Precondition(statement=f"a {name} is visible"),)),
            )
            for name in names
        ),
    )


@pytest.fixture
def judge():
    with Judge.load(rules("cat", "dog"), FakeEngine(), Policy(), cache=None) as judge:
        yield judge


@pytest.fixture
def rules_of():
    return rules


@pytest.fixture
def results(judge):
    """Twenty judgments and a failure."""
    random = np.random.default_rng(5)
    pictures = list(random.integers(0, 255, (20, 16, 16, 3), dtype=np.uint8))
    return judge([*pictures, b"no picture"])
