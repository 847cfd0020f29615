"""Tables fit the terminal, whatever its width: no number is broken, nothing is lost."""

import io
import re
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from safejudge.show.figures import Table
from safejudge.show.tables import print_end, print_tables

RATE = "0.889 [0.722, 1.000]"
RATES = Table(
    "Right and wrong",
    ("", "n", "true", "undecided", "precision", "recall", "F1", "FPR"),
    (
        ("images", "80", "49", "0", RATE, "1.000 [0.927, 1.000]", RATE, "-"),
        ("armed-child", "80", "7", "12", "-", RATE, RATE, "0.003 [0.001, 0.010]"),
        ("猫" * 30, "80", "7", "", RATE, RATE, RATE, RATE),
    ),
    note="A note of several words.",
    keys=("F1", "recall"),
)


def printed(table, width, *, terminal=True):
    stream = io.StringIO()
    screen = Console(file=stream, width=width, force_terminal=terminal, color_system=None)
    print_tables(screen, [table])
    return [line.rstrip() for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("width", [40, 60, 80, 140, 200])
def test_a_table_fits_and_no_number_is_broken(width):
    lines = printed(RATES, width)
    assert all(cell_len(line) <= width for line in lines)
    text = "\n".join(lines)
    assert text.count(RATE) == 8
    assert text.count("[") == text.count("]") == 10
    assert not re.search(r"\[[^\]\n]*$", text, re.MULTILINE)
    assert text.count("猫") == 30


def test_all_columns_stand_side_by_side_where_there_is_room():
    lines = printed(RATES, 200)
    assert len(lines) == 1 + 1 + 3 + 1 + 1
    assert lines[1].split() == ["n", "true", "undecided", "precision", "recall", "F1", "FPR"]


def test_what_matters_most_stays_beside_the_name_and_the_rest_stands_below():
    _, head, row, below, *_ = printed(RATES, 80)
    assert head.split() == ["n", "true", "undecided", "recall", "F1"]
    assert row.split() == ["images", "80", "49", "0", "1.000", "[0.927,", "1.000]", *RATE.split()]
    assert below == f"    precision {RATE}  FPR -"
    assert printed(RATES, 58)[1].split() == ["recall", "F1"]
    assert printed(RATES, 54)[1].split() == ["F1"]


def test_without_keys_the_columns_to_the_left_stay():
    table = Table("T", ("judge", "a", "b", "c"), (("x", "1" * 10, "2" * 10, "3" * 10),))
    assert printed(table, 30)[1].split() == ["judge", "a", "b"]
    assert printed(table, 30)[3] == f"    c {'3' * 10}"


def test_a_cell_longer_than_the_line_is_cut_into_lines():
    table = Table("T", ("judge", "why"), (("x", "y" * 50),))
    lines = printed(table, 20)
    assert all(len(line) <= 20 for line in lines)
    assert sum(line.count("y") for line in lines) == 50 + len("why") - 2


def test_a_pipe_gets_whole_lines():
    lines = printed(RATES, 60, terminal=False)
    assert len(lines) == 1 + 1 + 3 + 1 + 1
    assert all(line.count("[") == line.count("]") for line in lines)


def test_what_others_wrote_steers_nothing():
    table = Table("\x1b[31mT", ("a\n", "b"), (("\x1b[2J", "[bold]x[/bold]"),), "\x07")
    text = "\n".join(printed(table, 60))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold]x[/bold]" in text


def test_the_one_number_and_the_files_come_last():
    stream = io.StringIO()
    screen = Console(file=stream, width=60, force_terminal=True, color_system=None)
    files = [Path("run/results.json"), Path("run/report.html")]
    print_tables(screen, [RATES], ("A finding.",))
    print_end(screen, "F1 0.750 over 9", files)
    lines = stream.getvalue().splitlines()
    assert lines[-2:] == ["F1 0.750 over 9", "written to run: results.json, report.html"]
