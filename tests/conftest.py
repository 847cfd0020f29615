"""What every test shares: no deadlines, and no writing into anybody's cache folder."""

import os

import pytest
from hypothesis import settings

# Ray's workers step back behind whatever else runs: beside busy programs they would hardly move.
os.environ.setdefault("RAY_worker_niceness", "0")

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SAFEJUDGE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
