"""Constitutions that were damaged at random: each is loaded or refused, and soon.

Seeds are the shipped constitutions and rubrics, and made-up ones of deep or long conditions; each
is damaged in some places: characters, lines, keys, indentation, signs of YAML. Every file is loaded
and linted. What would be a fault: an exception of another type, a file that loads though lint finds
an error or the other way round, a second of CPU.

Beside them stand constitutions that are built to be slow: as many clauses and statements as a file
holds, alike in all the ways that make matching them hard.

`python benchmarks/mutated_rules.py [--count 3000] [--seed 1]`
"""

from __future__ import annotations

import argparse
import json
import random
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measure import record

from safejudge.constitution.lint.findings import lint
from safejudge.constitution.load import load_constitution, rubric_shelf, shipped_constitutions
from safejudge.errors import ConstitutionError
from safejudge.show.markdown import table

SHELF = Path(__file__).parents[1] / "constitutions"
SIGNS = (
    "&a", "*a", "<<: *a", "!!python/name:os.system", "!<tag:yaml.org,2002:str>", "? ", "- ", "[",
    "]", "{", "}", ": ", "#", " # x", "|", ">", "%YAML 1.1\n", "---\n", "...\n", "'", '"',
    "\\U0011", "\t", "\u2028", "\u200b", "\ufeff", "null", "~", "yes", "no", "1e400", ".nan",
    "2001-01-01", "12:30", "none:", "any:", "all:", "condition:", "=", "\r\n", "\n\n", " " * 40,
    "a" * 3000, "é", "unless ", " and ", " or ", ", ", "; ",
)  # fmt: skip
KEYS = ("condition", "all", "any", "none", "id", "statement", "text", "objective", "severity")

Damage = Callable[[str, random.Random], str]


# --- damage ---------------------------------------------------------------------------------------


def sign(text: str, chance: random.Random) -> str:
    place = chance.randrange(len(text) + 1)
    return text[:place] + chance.choice(SIGNS) + text[place:]


def gap(text: str, chance: random.Random) -> str:
    place = chance.randrange(len(text) + 1)
    return text[:place] + text[place + chance.randrange(1, 60) :]


def character(text: str, chance: random.Random) -> str:
    place = chance.randrange(len(text) + 1)
    return (
        text[:place]
        + chr(chance.choice((chance.randrange(32, 127), chance.randrange(0xD7FF))))
        + text[place + 1 :]
    )


def line(text: str, chance: random.Random) -> str:
    lines = text.split("\n")
    lines.insert(chance.randrange(len(lines) + 1), chance.choice(lines))
    return "\n".join(lines)


def indentation(text: str, chance: random.Random) -> str:
    lines = text.split("\n")
    row = chance.randrange(len(lines))
    lines[row] = " " * chance.randrange(9) + lines[row].lstrip()
    return "\n".join(lines)


def copy(text: str, chance: random.Random) -> str:
    first, second = sorted(chance.randrange(len(text) + 1) for _ in range(2))
    return text[:second] + text[first : min(second, first + 3000)] + text[second:]


def key(text: str, chance: random.Random) -> str:
    return text.replace(chance.choice(KEYS), chance.choice(KEYS), chance.choice((1, 2, -1)))


DAMAGES: tuple[Damage, ...] = (sign, gap, character, line, indentation, copy, key)


def damaged(text: str, chance: random.Random) -> str:
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        text = chance.choice(DAMAGES)(text, chance)
    return text


# --- what is damaged ------------------------------------------------------------------------------


def seeds() -> list[str]:
    names = [SHELF / f"{name}.yaml" for name in shipped_constitutions()]
    shipped = [
        path.read_text(encoding="utf-8")
        for path in (*names, *sorted(rubric_shelf().glob("*.yaml")))
    ]
    return [*shipped, *(constitution(objective, tree) for objective, tree in MADE_UP)]


def constitution(objective: str, condition: Any) -> str:
    """A file of one rule."""
    rule = {"id": "r", "category": "c", "severity": "low", "text": "t", "objective": objective}
    return "name: n\nrules:\n- " + json.dumps(rule | {"condition": condition}) + "\n"


MADE_UP = (
    ("A knife is visible, unless a kitchen or a restaurant is shown; or two people fight.",
     {"all": ["a knife is visible", {"none": [{"any": ["a kitchen is shown", "b"]}]}]}),
    ("Either a, b, c or d, and e, unless f.", {"any": [{"all": list("abc")}, {"none": ["f"]}]}),
    ("x, " * 100, {"any": [f"x {n}" for n in range(60)]}),
    ("and or unless , ; , or and", {"none": [{"none": [{"all": ["a", "a", "b"]}]}]}),
)  # fmt: skip


def slow() -> Iterator[tuple[str, str]]:
    """Constitutions of the hardest kinds, as large as a file may be."""
    xs = "x, " * 333
    pairs = [a + b for a in "bcdfghjklm" for b in "bcdfghjklmnpqrst"]
    chance = random.Random(0)  # noqa: S311
    yield (
        "333 clauses, 100 statements that hold each",
        constitution(xs, {"any": [f"x {n}" for n in range(100)]}),
    )
    yield (
        "the same, 12,000 statements",
        constitution(xs, {"any": [f"x {n}" for n in range(12_000)]}),
    )
    yield "the same, one statement 18,000 times", constitution(xs, {"any": ["x"] * 18_000})
    yield (
        "110 clauses that nothing holds, 12,000 statements near",
        constitution(
            "".join(f"x q{n}, " for n in range(110)), {"any": [f"x {n}" for n in range(12_000)]}
        ),
    )
    yield (
        "160 clauses in any of 900 statements of 80 words",
        constitution(
            "".join(f"{pair}, " for pair in pairs),
            {"any": [" ".join(chance.sample(pairs, 80)) for _ in range(900)]},
        ),
    )
    yield (
        "one clause of 200 words, 12,000 statements of two",
        constitution(
            " ".join(f"w{n}" for n in range(200)),
            {"all": [f"w{n % 200} z{n}" for n in range(12_000)]},
        ),
    )
    yield (
        "statements with connectives of their own",
        constitution(xs, {"any": [f"x or {n} and y" for n in range(6_000)]}),
    )
    yield (
        "3,000 branches of the same statements",
        constitution("x y, x z, " * 90, {"any": [{"all": ["x y", "x z"]}] * 3_000}),
    )
    rule = {
        "id": "r",
        "category": "c",
        "severity": "low",
        "text": "t",
        "objective": "x, " * 100,
        "condition": {"any": ["x 1", "x 2", "y"]},
    }
    rules = "".join(f"- {json.dumps(rule | {'id': f'r{n}'})}\n" for n in range(600))
    yield "600 rules", f"name: n\nrules:\n{rules}"


# --- what becomes of it ---------------------------------------------------------------------------


def outcome(path: Path) -> tuple[str, float]:
    """What loading and linting a file comes to, and the CPU seconds of both."""
    start = time.process_time()
    try:
        load_constitution(path)
        loads = True
    except ConstitutionError:
        loads = False
    errors = any(finding.level == "error" for finding in lint(path))
    seconds = time.process_time() - start
    if loads == errors:
        return "load and lint disagree", seconds
    return "loaded" if loads else "refused", seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    chance, texts = random.Random(options.seed), seeds()  # noqa: S311
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    with TemporaryDirectory() as folder:
        path = Path(folder, "rules.yaml")
        for _ in range(options.count):
            path.write_bytes(damaged(chance.choice(texts), chance).encode("utf-8", "surrogatepass"))
            try:
                word, seconds = outcome(path)
            except Exception as error:  # noqa: BLE001 - to be counted
                word, seconds = f"raised {type(error).__name__}", 0.0
            outcomes[word] += 1
            slowest = max(slowest, seconds)
        built = {}
        for name, text in slow():
            path.write_text(text, encoding="utf-8")
            built[name] = (len(text), *outcome(path))
    rows = [(word, str(count)) for word, count in sorted(outcomes.items())]
    rows.append(("slowest, seconds of CPU", f"{slowest:.2f}"))
    text = f"Damaged constitutions, seed {options.seed}\n\n{table(('', str(options.count)), rows)}"
    heads = ("built to be slow", "bytes", "", "seconds of CPU")
    rows = [
        (name, f"{size:,}", word, f"{seconds:.2f}") for name, (size, word, seconds) in built.items()
    ]
    text += f"\n\n{table(heads, rows)}"
    record("mutated-rules", {"outcomes": outcomes, "slowest": slowest, "built": built}, text)


if __name__ == "__main__":
    main()
