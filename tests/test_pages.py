"""The pages are true: their Python runs, their commands parse, their links lead somewhere.

README.md, and the page of each folder.

A block that cannot be run here says why on the line before its fence: `<!-- not run: reason -->`.
Everything else in ```python is run beside `demo/`, the folder of scenes that `make demo` draws;
of ```console (lines after `$ `) and ```sh only the command line is checked; ```yaml has to load
as a constitution.
"""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest

from safejudge import load_constitution
from safejudge.cli import app as cli
from safejudge.constitution.policy_file import load_policy

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "safejudge" / "sketch" / "models" / "vlm" / "model.safetensors"
FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>\S[^\n]*) -->\n+)?```(?P<kind>\w*)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
COMMANDS = {"console", "sh"}


class Block(NamedTuple):
    page: Path
    kind: str
    body: str
    reason: str | None
    line: int


def blocks(page, text):
    """Every fenced block, with the line on which it begins and why it is not run, if it is not."""
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start("body"))
        yield Block(page, found["kind"], found["body"], found["reason"], line)


def commands(block):
    """The words of every command of a block; pipes and redirections end a command."""
    text = block.body.replace("\\\n", " ")
    if block.kind == "console":  # lines without a prompt are output
        text = "\n".join(re.findall(r"^\$ (.*)$", text, re.MULTILINE))
    for line in text.splitlines():
        words = shlex.shlex(line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        command = []
        for word in [*words, ";"]:
            if set(word) <= set(words.punctuation_chars):
                if command:
                    yield command
                command = []
            else:
                command.append(word)


FOLDERS = ("constitutions", "benchmarks", "safejudge")
PAGES = [ROOT / "README.md", *(p for f in FOLDERS for p in sorted((ROOT / f).rglob("README.md")))]
BLOCKS = [block for page in PAGES for block in blocks(page, page.read_text(encoding="utf-8"))]
README_WORDS = 2500
"""More nobody reads standing."""


def of(*kinds):
    return [
        pytest.param(b, id=f"{b.page.relative_to(ROOT)}-{b.line}")
        for b in BLOCKS
        if b.kind in kinds
    ]


def pages():
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES]


@pytest.fixture(scope="module")
def beside_scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    draw = ["sketch", "scenes", "--out", str(folder / "demo"), "--count", "12", "--seed", "7"]
    assert cli.main(draw) == 0
    return folder


@pytest.mark.parametrize("block", of("python"))
def test_python_runs(block, beside_scenes, monkeypatch):
    if block.reason is not None:
        pytest.skip(block.reason)
    if "hf:sketch" in block.body and not WEIGHTS.is_file():
        pytest.skip("the weights of sketch are not here")
    monkeypatch.chdir(beside_scenes)
    # So many lines before it that a traceback shows the page's own numbers.
    code = compile("\n" * block.line + block.body, str(block.page), "exec")
    exec(code, {"__name__": "__main__"})  # noqa: S102 - our own pages


def refusal(words):
    """The command line if the parser refuses it, else None; --help and --version end with 0."""
    try:
        cli.parse(words)
    except SystemExit as end:
        return f"safejudge {shlex.join(words)}" if end.code else None
    return None


@pytest.mark.parametrize("block", of(*COMMANDS))
def test_commands_parse(block):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    for program, *words in commands(block):
        if Path(program).name == "safejudge":
            assert refusal(words) is None
        elif program == "make":
            assert {word for word in words if "=" not in word} <= targets


@pytest.mark.parametrize("block", of("yaml"))
def test_constitutions_and_policies_load(block, tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text(block.body, encoding="utf-8")
    if block.body.startswith("base:"):
        assert load_policy(file).name == "rules"
    else:
        assert load_constitution(file).rules


LINK = re.compile(r"\]\((?!https?:)(?P<path>[^)#]*)(?:#(?P<anchor>[^)]*))?\)")


def anchors(page):
    """The names under which a page's headings can be linked."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page):
    for link in LINK.finditer(page.read_text(encoding="utf-8")):
        target = (page.parent / link["path"]).resolve() if link["path"] else page
        assert target.exists(), link.group()
        if link["anchor"]:
            assert link["anchor"] in anchors(target), link.group()


@pytest.mark.parametrize("page", pages())
def test_scripts_that_are_named_exist(page):
    text = page.read_text(encoding="utf-8")
    for script in re.findall(r"python (benchmarks/[\w/]+\.py)", text):
        assert (ROOT / script).is_file(), script
    for module in re.findall(r"python -m (benchmarks(?:\.\w+)+)", text):
        place = ROOT.joinpath(*module.split("."))
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), module


def test_the_tree_is_the_tree():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (tree,) = (b.body for b in BLOCKS if b.page == ROOT / "README.md" and "safejudge/\n" in b.body)
    named = {name.rstrip("/,") for name in re.findall(r"[\w.]+(?:/|\.py)", tree)}
    package = ROOT / "safejudge"
    there = {path.name for path in package.rglob("*") if path.is_dir() or path.suffix == ".py"}
    assert named <= there | {"safejudge", "constitutions", "benchmarks", "tests", "rubrics",
                             "contract", "saved"}  # fmt: skip
    shown = {path.name for path in package.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert shown - named <= {"__init__.py", "__main__.py", "__pycache__"}
    assert len(text.split()) <= README_WORDS


def test_there_is_something_to_check():
    kinds = {block.kind for block in BLOCKS if block.reason is None}
    assert "python" in kinds
    assert kinds & COMMANDS


def test_only_a_wrong_command_is_refused():
    assert refusal(["judge", "a b", "--outt", "c"]) == "safejudge judge 'a b' --outt c"
    assert refusal(["judge", "a b", "--out", "c"]) is None
    assert refusal(["judge", "--help"]) is None


def test_blocks_and_commands_are_found():
    text = (
        "```\noutput\n```\n"
        "```console\n$ safejudge judge 'a b' \\\n    --out c | jq . > d  # why\nc: safe\n"
        "$ make demo && ls\n```\n"
        "<!-- not run: needs a GPU -->\n```python\nx = 1\n```\n"
    )
    plain, console, python = blocks(ROOT, text)
    assert plain == Block(ROOT, "", "output\n", None, 1)
    assert python == Block(ROOT, "python", "x = 1\n", "needs a GPU", 11)
    assert text.splitlines()[python.line] == "x = 1"
    assert list(commands(console)) == [
        ["safejudge", "judge", "a b", "--out", "c"],
        ["jq", "."],
        ["d"],
        ["make", "demo"],
        ["ls"],
    ]
