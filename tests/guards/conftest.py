"""What the tests of guards share: judges of colours."""

import pytest
from colours import RULES, Colours

from safejudge import Policy
from safejudge.guards import SharedJudge


@pytest.fixture
def engine():
    return Colours()


@pytest.fixture
def shared(engine):
    """Makes shared judges of the engine, and closes them."""
    made = []

    def make(**options):
        policy = Policy(open_means="undecided", **options.pop("policy", {}))
        made.append(SharedJudge(RULES, engine, policy, cache=None, **options))
        return made[-1]

    yield make
    engine.go.set()
    for one in made:
        one.close()
