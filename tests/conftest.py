"""What every test shares: no deadlines, and no writing into anybody's cache folder."""

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SAFEJUDGE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
