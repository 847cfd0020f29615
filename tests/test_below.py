"""A name in somebody's file means a file below its folder, or nothing."""

from contextlib import closing

import pytest

from safejudge.constitution.load import load_constitution
from safejudge.engines.models import Models
from safejudge.errors import InputError
from safejudge.evals.labelled.suite import judge
from safejudge.evals.page import _picture
from safejudge.evals.suite import Run
from safejudge.files.below import leads_out
from safejudge.policy import Policy


@pytest.fixture
def folder(tmp_path):
    inside = tmp_path / "data"
    (inside / "sub").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(b"secret")
    (inside / "sub/a.png").write_bytes(b"a")
    (inside / "link.png").symlink_to(tmp_path / "secret.png")
    (inside / "up").symlink_to(tmp_path)
    (inside / "fine").symlink_to("sub")
    (inside / "loop").symlink_to("loop")
    return inside


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png", "sub/../../secret.png", "/etc/passwd", "link.png", "up/secret.png",
        "loop", "a\0b", "C:\\secret.png", "C:secret.png", "..",
    ],
)  # fmt: skip
def test_names_that_lead_out(folder, name):
    assert leads_out(folder, name)


@pytest.mark.parametrize("name", ["sub/a.png", "./sub/a.png", "fine/a.png", "no.png", "a..b", ""])
def test_names_that_do_not(folder, name):
    assert not leads_out(folder, name)


def test_the_folder_itself_may_be_a_link(folder, tmp_path):
    (tmp_path / "way").symlink_to(folder)
    assert not leads_out(tmp_path / "way", "sub/a.png")
    assert leads_out(tmp_path / "way", "link.png")


@pytest.mark.parametrize("name", ["../secret.png", "{tmp}/secret.png", "link.png"])
def test_labels_of_images_elsewhere_are_refused(folder, tmp_path, name):
    (folder / "labels.csv").write_text(f"image,label\n{name.format(tmp=tmp_path)},safe\n")
    with closing(Models.opened("fake:", None, None, None)) as models:
        run = Run(tmp_path, models, Policy(), load_constitution("sketch"), str(folder))
        with pytest.raises(InputError, match=r"labels\.csv:2: the picture .* lies outside"):
            judge(run)


def test_a_page_shows_nothing_from_elsewhere(folder):
    shown = _picture("../secret.png", folder)
    assert (shown.source, shown.problem) == (
        "",
        "../secret.png: lies outside the folder of the data",
    )
