"""Fetch what MJ-Bench's judges put out, and 52 image pairs, for `mjbench_published.py`.

`python benchmarks/fetch.py --out DIR [--base URL] [--list FILE]`, about 63 MB out of the GitHub
repository MJ-Bench/MJ-Bench at two commits. FILE (`data/originals.json`) holds the commit, path,
size and SHA-256 of each original; one that differs gets no name in DIR, one that is there already
is left alone. What failed is told, and the exit code is 1. URL is a mirror with the same paths.

Two files are made here out of the originals: `pairs.jsonl`, and `open_judges/bias_scores.json` with
the ratings that stand in open judges' texts. `safejudge eval mj-bench --from-outputs DIR` reads DIR
too. Captions of the nsfw and toxic files describe offensive pictures; none of those is fetched.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.evals.replies import lenient_rating, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ORIGINALS = Path(__file__).parent / "data" / "originals.json"
BASE = "https://raw.githubusercontent.com/MJ-Bench/MJ-Bench"
SECONDS = 60
"""How long a server may be silent."""
PAIRS, RATINGS = "pairs.jsonl", "open_judges/bias_scores.json"
TEXTS = ("bias_texts/", "open_judges/bias_single/")
"""Where the answers lie that ratings are read out of; `.original` keeps the first from being read
as outputs beside their ratings."""
SUBSETS = {"human": ("human", "face"), "objects_indoor": ("object_indoor", "furniture")}
"""What a folder of pairs is called in the outputs, and what was painted anew."""
MAX_MISSING = 10

Original = dict[str, Any]


def right(body: bytes, file: Original) -> bool:
    return len(body) == file["size"] and hashlib.sha256(body).hexdigest() == file["sha256"]


def fetch(url: str, path: Path, file: Original) -> str:
    """Bring one file to its place: what was done, or a ValueError or OSError that says why not."""
    if path.is_file() and path.stat().st_size == file["size"] and right(path.read_bytes(), file):
        return "kept"
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as reply:  # noqa: S310  checked in main
            body = reply.read(file["size"] + 1)
    except http.client.HTTPException as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not right(body, file):
        raise ValueError("size or SHA-256 differ from the recorded ones")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(body)
    part.replace(path)
    return "fetched"


def fetch_all(
    base: str, out: Path, commits: Mapping[str, str], files: Sequence[Original]
) -> tuple[int, list[str]]:
    """How many files were fetched, and the paths of those that are missing."""
    fetched, missing = 0, []
    for file in files:
        url = f"{base.rstrip('/')}/{commits[file['commit']]}/{urllib.parse.quote(file['source'])}"
        try:
            fetched += fetch(url, out / file["path"], file) == "fetched"
        except (OSError, ValueError) as error:
            missing.append(file["path"])
            print(f"{file['path']}: {error} ({url})", file=sys.stderr)
    return fetched, missing


def pairs(out: Path, names: Sequence[str]) -> list[dict[str, str]]:
    """A row for each pair of pictures among the names: an edited one and what it was before."""
    rows = []
    for folder, (split, region) in SUBSETS.items():
        ending, start = f"_edited_{region}.jpg", f"images/{folder}/"
        captions = _captions(out / "captions" / f"{folder}.json.original")
        for name in names:
            if not (name.startswith(start) and name.endswith(ending)):
                continue
            chosen = name.removesuffix(ending) + ".jpg"
            number = int(Path(chosen).stem.rpartition("_")[2])
            row = {"id": f"{folder}_{number:03}", "chosen": chosen, "rejected": name}
            if caption := captions.get(Path(chosen).name):
                row["caption"] = caption
            rows.append(row | {"subset": folder, "edited_region": region, "source_split": split})
    return sorted(rows, key=lambda row: row["id"])


def _captions(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {row["image_0"]: row["caption"] for row in rows}


def ratings(out: Path, names: Sequence[str]) -> dict[str, list[float | None]]:
    """`JUDGE/SCALE`, rating of each row: the stored one, else what the text holds, at most 10."""
    runs = {}
    for name in (n for n in names if n.startswith(TEXTS)):
        stem = Path(name).name.partition(".json")[0]
        judge, kind, scale = stem.rsplit("_", 2)
        rows = json.loads((out / name).read_text(encoding="utf-8"))
        runs[f"{judge}/{kind}_{scale}"] = [_rating(row, words=kind == "narrative") for row in rows]
    return dict(sorted(runs.items()))


def _rating(row: dict[str, Any], *, words: bool) -> float | None:
    stored = number(row.get("score"))
    rating = lenient_rating(row["vlm_output"], words=words) if stored is None else stored
    return rating if rating is None or rating <= MAX_MISSING else None


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def derive(out: Path, names: Sequence[str], missing: Sequence[str]) -> list[str]:
    """Write what is made of originals; what could not be, for want of one of them."""
    of_pairs = [n for n in names if n.startswith(("images/", "captions/"))]
    of_ratings = [n for n in names if n.startswith(TEXTS)]
    lost = set(missing)
    left = [
        name
        for name, needs in ((PAIRS, of_pairs), (RATINGS, of_ratings))
        if not needs or lost.intersection(needs)
    ]
    if PAIRS not in left:
        lines = (json.dumps(row, ensure_ascii=False) for row in pairs(out, of_pairs))
        write(out / PAIRS, "".join(f"{line}\n" for line in lines))
    if RATINGS not in left:
        write(out / RATINGS, json.dumps({"runs": ratings(out, of_ratings)}) + "\n")
    return left


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base", default=BASE, help="a mirror: BASE/COMMIT/PATH")
    parser.add_argument("--list", type=Path, default=ORIGINALS, help="what to fetch")
    args = parser.parse_args(arguments)
    if urllib.parse.urlsplit(args.base).scheme not in {"http", "https"}:
        parser.error("--base: not an http or https address")
    listed = json.loads(args.list.read_text(encoding="utf-8"))
    names = [file["path"] for file in listed["files"]]
    fetched, missing = fetch_all(args.base, args.out, listed["commits"], listed["files"])
    left = [name for name in derive(args.out, names, missing) if name in listed["derived"]]
    for name in left:
        print(f"{name}: not written, an original of it is missing", file=sys.stderr)
    unchanged = len(names) - fetched - len(missing)
    print(f"{fetched} fetched, {unchanged} already there, {len(missing)} missing, of {len(names)}")
    return 1 if missing or left else 0


if __name__ == "__main__":
    sys.exit(main())
