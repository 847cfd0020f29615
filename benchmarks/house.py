"""The package as a place to work in: sizes, names, documentation and circles of imports.

Filler names: every place that binds a variable, a field or a parameter counts once (targets of
assignments, loops, comprehensions and `with`; captures of `match`; not `self` and `cls`). Such a
name is a filler if all its words are pronouns, determiners, or participles and nouns that say
nothing of the thing (`FILLERS`): `found`, `_WAYS` and `both_ways` are, `found_pairs` is not. The
wider count takes question words, prepositions and more of these verbs as well, so that a name that
moves from one list to the other is seen.

The rest: a function's length runs from its `def` to its last line. Cyclomatic complexity is one,
and one more for every `if`, loop, comprehension, handler, case, and further operand of `and` or
`or`. Names of two files are top-level definitions, without leading underscores. Circles count
imports inside functions too; units are the folders and files that lie side by side in a folder.

`python benchmarks/house.py [CHECKOUT] [--against OTHER] [--json FILE] [--record]`
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import record

from safejudge.show.markdown import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

FILLER_WORDS = """
about asked both each found given here it its kept known made more most named one ones other others
own place places rest said seen shown some such taken that them there these thing things this those
told wanted way ways what which whole
"""
WIDER_WORDS = """
after again all alone any anyone anything asks at before beside by came did done either every
everyone everything few for from gave get give goes gone got had has have he held her him his how in
instead into least less many much neither none nothing of off on our over put she somehow someone
something stood stuff take tell their they to took under us used we went when where who whom whose
why with without your
"""
FILLERS = frozenset(FILLER_WORDS.split())
WIDER = FILLERS.union(WIDER_WORDS.split())
# What somebody reads who adds one, in the old tree and in the new one, as paths from the package.
READS = {
    "an engine": (
        (
            "engines/base.py", "engines/requests.py", "engines/chat.py", "engines/tokens.py",
            "engines/guide.py", "engines/loading.py", "engines/vllm.py", "engines/__init__.py",
            "types.py",
        ),
        ("engines/README.md", "engines/base.py", "types/requests.py"),
    ),
    "a suite": (
        (
            "evals/suite.py", "evals/suites.py", "evals/shipped.py", "evals/outputs.py",
            "evals/run.py", "evals/labelled.py", "evals/answer_run.py", "evals/mjbench_run.py",
            "evals/preference_run.py", "evals/reliability.py", "records.py",
        ),
        ("evals/README.md", "evals/suite.py", "evals/harness.py"),
    ),
    "a check of rules": (
        ("language.py", "coherence.py", "constitution.py", "compile_rule.py"),
        ("constitution/lint/checks.py", "constitution/lint/words.py"),
    ),
}  # fmt: skip
LONG_FUNCTION = 45
FEWEST = 50
"""Bindings of a file that can be among the worst."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Figures = dict[str, Any]
Graph = dict[str, set[str]]


@dataclass(frozen=True)
class Source:
    """A file of Python."""

    path: Path
    module: str
    lines: int
    tree: ast.Module


def package_of(checkout: Path) -> Path:
    """The package of a checkout, or the folder itself if it is one."""
    return checkout if (checkout / "__init__.py").exists() else checkout / "safejudge"


def sources(folder: Path) -> list[Source]:
    """Every file below a folder, under the name that the folder gives it."""
    files = []
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        parts = (folder.name, *path.relative_to(folder).with_suffix("").parts)
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        files.append(Source(path, module, len(text.splitlines()), ast.parse(text)))
    return files


def p95(values: Iterable[int]) -> int:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


def spread(values: Sequence[int]) -> dict[str, float]:
    return {"median": statistics.median(values), "p95": p95(values), "max": max(values)}


# --- functions and documentation ----------------------------------------------------------------


def complexity(function: Function) -> int:
    branches = 1
    for node in ast.walk(function):
        match node:
            case ast.BoolOp():
                branches += len(node.values) - 1
            case (
                ast.If() | ast.IfExp() | ast.For() | ast.AsyncFor() | ast.While()
                | ast.ExceptHandler() | ast.match_case() | ast.comprehension()
            ):  # fmt: skip
                branches += 1
    return branches


def parameters(function: Function) -> list[ast.arg]:
    """Every parameter but `self` and `cls`."""
    arguments = function.args
    stars = [star for star in (arguments.vararg, arguments.kwarg) if star is not None]
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *stars]
    return [argument for argument in every if argument.arg not in {"self", "cls"}]


def functions_of(files: Sequence[Source]) -> list[Function]:
    nodes = (node for file in files for node in ast.walk(file.tree))
    return [node for node in nodes if isinstance(node, Function)]


def of_functions(files: Sequence[Source]) -> Figures:
    functions = functions_of(files)
    lengths = [(node.end_lineno or node.lineno) - node.lineno + 1 for node in functions]
    return {
        "functions": len(functions),
        "function lines": spread(lengths),
        "long functions": sum(length > LONG_FUNCTION for length in lengths),
        "complexity": spread([complexity(node) for node in functions]),
        "parameters": spread([len(parameters(node)) for node in functions]),
        "return annotations": share(node.returns is not None for node in functions),
    }


def share(marks: Iterable[bool]) -> float:
    """In percent."""
    counts = Counter(marks)
    return 100 * counts[True] / max(1, counts.total())


def public(body: Iterable[ast.stmt]) -> Iterator[Documented]:
    """Public functions and classes, and those inside public classes."""
    for node in body:
        if isinstance(node, Documented) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)


def of_docstrings(files: Sequence[Source]) -> Figures:
    nodes = [node for file in files for node in public(file.tree.body)]
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    functions = [node for node in nodes if not isinstance(node, ast.ClassDef)]
    return {
        "function docstrings": share(map(documented, functions)),
        "class docstrings": share(map(documented, classes)),
        "module docstrings": share(documented(file.tree) for file in files),
    }


def documented(node: Documented | ast.Module) -> bool:
    return ast.get_docstring(node) is not None


# --- names --------------------------------------------------------------------------------------


def bound(tree: ast.Module) -> Iterator[str]:
    """Every name that is bound, as often as it is; without imports and definitions."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.arg(arg=name) if name not in {"self", "cls"}:
                yield name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name
            case ast.MatchMapping(rest=str(name)):
                yield name


def is_filler(name: str, fillers: frozenset[str] = FILLERS) -> bool:
    """Whether all the words of a name are fillers; names as `__all__` are Python's own."""
    if name.startswith("__"):
        return False
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip("_")).lower().split("_")
    return all(word.rstrip("0123456789") in fillers for word in words)


def filler_share(files: Iterable[Source], fillers: frozenset[str] = FILLERS) -> float:
    return share(is_filler(name, fillers) for file in files for name in bound(file.tree))


def worst(files: Sequence[Source], folder: Path) -> list[tuple[str, float, int]]:
    """The ten files with the highest shares: path, share, bindings."""
    rows = []
    for file in files:
        count = sum(1 for _ in bound(file.tree))
        if count >= FEWEST:
            path = file.path.relative_to(folder).as_posix()
            rows.append((path, filler_share([file]), count))
    return sorted(rows, key=lambda row: -row[1])[:10]


def of_names(package: Sequence[Source], benchmarks: Sequence[Source], folder: Path) -> Figures:
    fillers = Counter(
        name for file in package for name in bound(file.tree) if is_filler(name)
    ).most_common(20)
    return {
        "fillers, package": filler_share(package),
        "fillers, benchmarks": filler_share(benchmarks) if benchmarks else None,
        "wider fillers, package": filler_share(package, WIDER),
        "wider fillers, benchmarks": filler_share(benchmarks, WIDER) if benchmarks else None,
        "most frequent fillers": dict(fillers),
        "worst files": worst([*package, *benchmarks], folder),
    }


def defined(tree: ast.Module) -> Iterator[str]:
    """Names that a file defines at its top, without leading underscores."""
    for node in tree.body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names = [node.name]
            case ast.Assign():
                names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                names = [name]
            case _:
                continue
        yield from (name.lstrip("_") for name in names if not name.startswith("__"))


def of_definitions(files: Sequence[Source]) -> Figures:
    homes: dict[str, set[str]] = defaultdict(set)
    for file in files:
        for name in defined(file.tree):
            homes[name].add(file.module)
    frequent = Counter({name: len(modules) for name, modules in homes.items()}).most_common(20)
    return {
        "top-level names": len(homes),
        "names in two files": sum(len(modules) >= 2 for modules in homes.values()),
        "names in five files": sum(len(modules) >= 5 for modules in homes.values()),
        "names in most files": dict(frequent),
    }


# --- circles ------------------------------------------------------------------------------------


def imports(node: ast.AST, *, typing: bool = False) -> Iterator[tuple[ast.stmt, bool]]:
    """Every import, wherever it stands, and whether only type checkers follow it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, typing
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            yield from imports(ast.Module(child.body, []), typing=True)
            yield from imports(ast.Module(child.orelse, []), typing=typing)
        else:
            yield from imports(child, typing=typing)


def imported(statement: ast.stmt, file: Source, modules: Mapping[str, Source]) -> Iterator[str]:
    """Modules of the package that one import statement names."""
    match statement:
        case ast.Import(names=names):
            dotted = [alias.name for alias in names]
        case ast.ImportFrom(names=names, module=module, level=level):
            parts = [*file.module.split("."), *["__init__"] * (file.path.stem == "__init__")]
            base = [*parts[:-level], *filter(None, [module])] if level else [module or ""]
            dotted = [".".join([*base, alias.name]) for alias in names]
        case _:
            dotted = []
    for name in dotted:
        while name and name not in modules:
            name = name.rpartition(".")[0]  # noqa: PLW2901
        if name and name != file.module:
            yield name


def graph_of(files: Sequence[Source], *, typing: bool) -> Graph:
    """Which module imports which."""
    modules = {file.module: file for file in files}
    return {
        file.module: {
            name
            for statement, for_types in imports(file.tree)
            if typing or not for_types
            for name in imported(statement, file, modules)
        }
        for file in files
    }


def between(graph: Graph, folder: str) -> Graph:
    """The graph of what lies side by side in a folder; its own file is `__init__`."""
    units: Graph = defaultdict(set)
    for module, names in graph.items():
        for name in names:
            ends = unit(module, folder), unit(name, folder)
            if None not in ends and ends[0] != ends[1]:
                units[ends[0] or ""].add(ends[1] or "")
    return units


def unit(module: str, folder: str) -> str | None:
    if module == folder:
        return "__init__"
    inside = module.removeprefix(f"{folder}.")
    return None if inside == module else inside.partition(".")[0]


def circles(graph: Graph) -> list[list[str]]:
    """Units that reach each other, largest first."""
    reach = {name: reached(graph, name) for name in graph}
    rings = {
        frozenset(name for name in reach[start] if start in reach.get(name, set()))
        for start in graph
    }
    return sorted((sorted(ring) for ring in rings if len(ring) > 1), key=lambda r: (-len(r), r))


def reached(graph: Graph, start: str) -> set[str]:
    names, waiting = set(), list(graph.get(start, ()))
    while waiting:
        name = waiting.pop()
        if name not in names:
            names.add(name)
            waiting += graph.get(name, ())
    return names


def of_circles(files: Sequence[Source], *, typing: bool) -> Figures:
    """Circles of modules, of units in each folder, and packages that import each other."""
    graph = graph_of(files, typing=typing)
    root = files[0].module.partition(".")[0]
    folders = sorted({file.module for file in files if file.path.stem == "__init__"} | {root})
    top = between(graph, root)
    names = {folder.removeprefix(f"{root}.") for folder in folders} & set(top)
    packages = {name: top[name] & names for name in names}
    inner = {folder: circles(between(graph, folder)) for folder in folders if folder != root}
    return {
        "imports": sum(map(len, graph.values())),
        "mutual": sorted(
            f"{first} and {second}"
            for first in packages
            for second in packages[first]
            if first < second and first in packages[second]
        ),
        "packages": circles(packages),
        "top": circles(top),
        "inner": {folder: rings for folder, rings in inner.items() if rings},
        "modules": circles(graph),
    }


# --- the whole ----------------------------------------------------------------------------------


def of_reading(package: Path) -> Figures:
    """Files and lines that somebody reads before adding a part, whole files counted."""
    figures: Figures = {}
    for part, trees in READS.items():
        for paths in trees:
            files = [package / path for path in paths]
            if all(file.is_file() for file in files):
                lines = sum(len(file.read_text("utf-8").splitlines()) for file in files)
                figures[part] = {"files": len(files), "lines": lines}
    return figures


def measure(checkout: Path) -> Figures:
    """Everything of one checkout."""
    package = package_of(checkout)
    files = sources(package)
    scripts = checkout / "benchmarks"
    benchmarks = sources(scripts) if scripts.is_dir() and scripts.parent != package else []
    readme = checkout / "README.md"
    root = [file for file in files if file.path.parent == package]
    return {
        "root files": len(root),
        "root lines": sum(file.lines for file in root),
        "files": len(files),
        "lines": sum(file.lines for file in files),
        "file lines": spread([file.lines for file in files]),
        **of_functions(files),
        **of_docstrings(files),
        **of_names(files, benchmarks, checkout),
        **of_definitions(files),
        "README words": len(readme.read_text("utf-8").split()) if readme.exists() else None,
        "reading": of_reading(package),
        "circles": of_circles(files, typing=False),
        "circles with types": of_circles(files, typing=True),
    }


def cells(figures: Figures) -> dict[str, str]:
    """What is measured, and how it came out."""

    def percent(name: str) -> str:
        value = figures[name]
        return "-" if value is None else f"{value:.1f} %"

    def three(name: str) -> str:
        return "{median:,.0f} / {p95:,} / {max:,}".format(**figures[name])

    plain, typed = figures["circles"], figures["circles with types"]
    return {
        "files flat in the root": f"{figures['root files']} ({figures['root lines']:,} lines)",
        "files and lines of the package": f"{figures['files']} / {figures['lines']:,}",
        "function length, median / p95 / max": three("function lines"),
        f"functions over {LONG_FUNCTION} lines": "{long functions} of {functions:,}".format(
            **figures
        ),
        "file length, median / p95 / max": three("file lines"),
        "cyclomatic complexity, median / p95 / max": three("complexity"),
        "parameters, median / p95 / max": three("parameters"),
        "docstrings of public functions": percent("function docstrings"),
        "docstrings of public classes": percent("class docstrings"),
        "docstrings of modules": percent("module docstrings"),
        "return annotations": percent("return annotations"),
        "**filler names**, package": percent("fillers, package"),
        "**filler names**, benchmarks": percent("fillers, benchmarks"),
        "filler names, wider list, package": percent("wider fillers, package"),
        "filler names, wider list, benchmarks": percent("wider fillers, benchmarks"),
        "words of README.md": f"{figures['README words'] or 0:,}",
        "names that two files or more define": "{names in two files} of {top-level names:,}".format(
            **figures
        ),
        "names that five files or more define": str(figures["names in five files"]),
        **{
            f"to add {part}: files, lines to read": f"{reading['files']}, {reading['lines']:,}"
            for part in READS
            if (reading := figures["reading"].get(part, {"files": 0, "lines": 0}))
        },
        **circle_cells("run time", plain),
        **circle_cells("with type-only imports", typed),
    }


def circle_cells(label: str, figures: Figures) -> dict[str, str]:
    inner = [ring for rings in figures["inner"].values() for ring in rings]
    return {
        f"sub-packages that import each other, {label}": listed([[p] for p in figures["mutual"]]),
        f"circles of sub-packages, {label}": listed(figures["packages"]),
        f"circles at the top, root's files included, {label}": listed(figures["top"]),
        f"circles inside sub-packages, {label}": listed(inner),
        f"circles of modules, {label}": listed(figures["modules"]),
    }


def listed(rings: Sequence[Sequence[str]]) -> str:
    """How many, and what they hold if that is not long."""
    text = "; ".join(", ".join(ring) for ring in rings)
    if not rings or len(text) > 120:
        sizes = f" (of {', '.join(str(len(ring)) for ring in rings)})" if rings else ""
        return f"{len(rings)}{sizes}"
    return f"{len(rings)}: {text}"


def report(measured: Mapping[str, Figures]) -> str:
    """The table, and the worst files of each checkout."""
    columns = {name: cells(figures) for name, figures in measured.items()}
    labels = next(iter(columns.values()))
    rows = [[label, *(column[label] for column in columns.values())] for label in labels]
    parts = [table(["", *columns], rows)]
    for name, figures in measured.items():
        files = [[path, f"{value:.1f} %", str(n)] for path, value, n in figures["worst files"]]
        head = [f"most filler names, {name}", "share", "bindings"]
        frequent = "; ".join(f"{w} {n}" for w, n in figures["most frequent fillers"].items())
        parts += [table(head, files), f"Most frequent, {name}: {frequent or 'none'}."]
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, nargs="?", default=Path(__file__).parents[1])
    parser.add_argument("--against", type=Path, help="an earlier checkout, the column before")
    parser.add_argument("--json", type=Path, help="write every figure into this file")
    parser.add_argument("--record", action="store_true", help="write results/house.{md,json}")
    args = parser.parse_args()
    measured = {"before": measure(args.against.resolve())} if args.against else {}
    measured["after" if args.against else "today"] = measure(args.checkout.resolve())
    if args.json:
        args.json.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    text = report(measured)
    if args.record:
        record("house", measured, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
