"""Released score models: what an encoder promises, and what each must say."""

from __future__ import annotations

import json
import math
import pickle
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pytest
import tiny_pairs
import tiny_scores
import torch
from given import picture
from tiny_scores import FILES, folder_of

from safejudge.cli import app as cli
from safejudge.engines.open import open_encoder
from safejudge.engines.vision import hps, image_reward
from safejudge.errors import EngineCallError, EngineSetupError, StatementError
from safejudge.types import Picture, Similarity

if TYPE_CHECKING:
    from collections.abc import Callable

    from safejudge.engines.base import Encoder

KINDS = ("blip-itm", "imagereward", "hps", "aesthetics")
LIMITS = {"blip-itm": 64, "imagereward": 35, "hps": 77}
PICTURES = [picture(1), picture(2, 80, 41), picture(3, 16, 95), picture(4)]
TEXTS = ["a", "A red Square", "a dog. on the floor", "cat"]
PAIRS = [Similarity(image, text) for image in PICTURES for text in TEXTS]
CLOSE = 2e-5


def opened(kind: str, folder: Path | None = None, **options: Any) -> Encoder:
    return open_encoder(f"{kind}:{folder or folder_of(kind)}", device="cpu", **options)


def towers_of(encoder: Any) -> Any:
    """The model of transformers that reads pictures."""
    model = getattr(encoder, "_backbone", encoder)._model
    return getattr(model, "pictures", model)


@pytest.fixture(params=KINDS, scope="module")
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def encoder(kind: str) -> Encoder:
    """One for the tests that change nothing."""
    return opened(kind, batch_size=3)


@pytest.fixture
def copy(kind: str, tmp_path: Path) -> Path:
    return shutil.copytree(folder_of(kind), tmp_path / "copy")


# --- what an encoder promises ---------------------------------------------------------------------


def test_numbers_are_those_of_the_authors_code(kind: str, encoder: Encoder) -> None:
    expected = [tiny_scores.by_hand(kind, pair.picture.pixels, pair.text) for pair in PAIRS]
    assert encoder.similarities(PAIRS) == pytest.approx(expected, abs=CLOSE)
    told = len(PICTURES) if kind == "aesthetics" else len(PAIRS)
    assert len({round(number, 4) for number in expected}) > told // 2  # it can tell


def test_neither_batch_nor_order_nor_repetition_matters(kind: str, encoder: Encoder) -> None:
    expected = encoder.similarities(PAIRS)
    for size in (1, 16):
        found = opened(kind, batch_size=size).similarities(PAIRS)
        assert found == pytest.approx(expected, abs=CLOSE)
    turned = PAIRS[::-1] + PAIRS[:5]
    found = dict(zip(turned, encoder.similarities(turned), strict=True))
    assert [found[pair] for pair in PAIRS] == expected  # the same set, to the last bit
    assert encoder.similarities(PAIRS[7:8]) == pytest.approx(expected[7:8], abs=CLOSE)


def test_a_text_is_held_whole_or_refused(kind: str, encoder: Encoder) -> None:
    if kind == "aesthetics":  # which reads none
        encoder.check_texts(["a" * 999])
        return
    fits = "a" * (LIMITS[kind] - 2)  # a letter is a token, and so are the two marks
    encoder.check_texts([fits, "a"])
    both = [Similarity(PICTURES[0], text) for text in (fits, fits[:-1] + "z")]
    first, second = encoder.similarities(both)
    assert abs(first - second) > 1e-6  # the last letter was read
    for ask in (
        lambda text: encoder.check_texts(["a", text]),
        lambda text: encoder.similarities([Similarity(PICTURES[0], text), *PAIRS]),
    ):
        with pytest.raises(StatementError, match="relevance:") as caught:
            ask(fits + "d")
        assert f"{LIMITS[kind] + 1} tokens" in str(caught.value)
        assert f"holds {LIMITS[kind]}" in str(caught.value)


def test_half_a_sign_is_read_as_a_mark_of_its_place(encoder: Encoder) -> None:
    encoder.check_texts(["a \ud83d"])
    both = [Similarity(PICTURES[0], text) for text in ("a \ud83d", "a ?")]
    first, second = encoder.similarities(both)
    assert first == pytest.approx(second, abs=CLOSE)


def test_nothing_asked_nothing_answered(encoder: Encoder) -> None:
    assert encoder.similarities([]) == []
    encoder.check_texts([])


def test_pictures_of_any_shape(encoder: Encoder) -> None:
    shapes = [(1, 1), (3, 3), (1, 27), (3, 64), (25, 1), (40, 3)]
    images = [Picture.of(np.full((*shape, 3), 90, dtype=np.uint8)) for shape in shapes]
    found = encoder.similarities([Similarity(image, "a") for image in images])
    assert all(map(math.isfinite, found))


def test_a_picture_that_is_refused_is_nan_alone(kind: str, encoder: Encoder) -> None:
    if kind in {"blip-itm", "aesthetics"}:
        pytest.skip("its processor refuses no shape")
    thread = Picture.of(np.full((1, 300, 3), 90, dtype=np.uint8))
    asked = [*PAIRS, Similarity(thread, "a"), Similarity(thread, "cat")]
    found = encoder.similarities(asked)
    assert found[:-2] == pytest.approx(encoder.similarities(PAIRS), abs=CLOSE)
    assert all(map(math.isnan, found[-2:]))


def test_broken_weights_give_nan(kind: str) -> None:
    broken: Any = opened(kind)
    towers = towers_of(broken)
    with torch.no_grad():
        for parameter in towers.parameters():
            parameter.fill_(math.nan)
    assert all(map(math.isnan, broken.similarities(PAIRS)))


def test_half_precision_is_near(kind: str, encoder: Encoder) -> None:
    half = opened(kind, dtype="bfloat16")
    assert half.similarities(PAIRS) == pytest.approx(encoder.similarities(PAIRS), abs=0.25)
    assert half.card.revision != encoder.card.revision


def test_the_card_follows_the_weights(kind: str, encoder: Encoder, copy: Path) -> None:
    assert encoder.card.uri == f"{kind}:{folder_of(kind)}"
    assert (encoder.card.model, encoder.card.label_tokens) == (str(folder_of(kind)), {})
    assert set(encoder.card.versions) == {"torch", "transformers"}
    same = opened(kind, copy).card
    assert same.revision == encoder.card.revision
    if kind == "blip-itm":
        weights = copy / "model.safetensors"
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
    else:
        content = torch.load(copy / FILES[kind], weights_only=True)
        next(t for t in content.get("state_dict", content).values() if t.dim() == 2)[0] += 1
        torch.save(content, copy / FILES[kind])
    assert opened(kind, copy).card.revision != same.revision


def test_closing_twice_is_fine_and_final(kind: str) -> None:
    encoder = opened(kind)
    encoder.close()
    encoder.close()
    for requests in (PAIRS, []):
        with pytest.raises(EngineCallError, match="closed"):
            encoder.similarities(requests)


def test_no_memory_says_what_to_change(kind: str) -> None:
    encoder: Any = opened(kind, batch_size=3)
    full = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
    towers = towers_of(encoder)
    with (
        patch.object(type(towers), "__call__", side_effect=full),
        patch.object(type(towers), "get_image_features", side_effect=full, create=True),
        pytest.raises(EngineCallError, match="smaller batch_size than 3"),
    ):
        encoder.similarities(PAIRS)


# --- opening --------------------------------------------------------------------------------------


def test_options_are_checked(kind: str) -> None:
    for options, says in (
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"dtype": "int4"}, "dtype 'int4' is not one of"),
        ({"revision": "x"}, "takes no option revision"),
    ):
        with pytest.raises(EngineSetupError, match=says):
            open_encoder(f"{kind}:{folder_of(kind)}", **options)
    with pytest.raises(EngineSetupError, match="device 'tpu9'"):
        open_encoder(f"{kind}:{folder_of(kind)}", device="tpu9")


def test_the_file_itself_can_be_named(encoder: Encoder, kind: str) -> None:
    if kind == "blip-itm":
        pytest.skip("a folder of transformers is several files")
    named = open_encoder(f"{kind}:{folder_of(kind) / FILES[kind]}", device="cpu")
    assert named.similarities(PAIRS[:3]) == pytest.approx(
        encoder.similarities(PAIRS[:3]), abs=CLOSE
    )
    assert named.card.revision == encoder.card.revision


def spoil(kind: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def spoiled(file: Path) -> None:
        content = torch.load(file, weights_only=True)
        torch.save(change(content) or content, file)

    return spoiled


class Run:
    """What an ill-meant file would run when it is opened."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("/tmp/safejudge-was-run"),))


FAULTS: list[tuple[str, Callable[[Path], object], str]] = [
    ("it is gone", Path.unlink, "is not there"),
    ("cut", lambda file: file.write_bytes(file.read_bytes()[:5000]), "no file of weights"),
    ("empty", lambda file: file.write_bytes(b""), "no file of weights"),
    ("text", lambda file: file.write_text("not found"), "no file of weights"),
    ("code", lambda file: file.write_bytes(pickle.dumps(Run())), "run code"),
    ("a list", lambda file: torch.save([torch.zeros(2)], file), "no tensors by name"),
    ("words", lambda file: torch.save({"a": "b"}, file), "'a' is no tensor"),
]


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize(("name", "fault", "says"), FAULTS, ids=[row[0] for row in FAULTS])
def test_a_file_that_will_not_do(
    kind: str, copy: Path, name: str, fault: Callable[[Path], object], says: str
) -> None:
    fault(copy / FILES[kind])
    with pytest.raises(EngineSetupError, match=says) as caught:
        opened(kind, copy)
    assert str(copy) in str(caught.value)
    assert "weights_only" not in str(caught.value)  # nobody is told to run a file's code
    assert not Path("/tmp/safejudge-was-run").exists()


@pytest.mark.parametrize("kind", FILES)
def test_every_tensor_has_its_place(kind: str, copy: Path) -> None:
    file = copy / FILES[kind]
    whole = torch.load(file, weights_only=True)
    names = list(whole.get("state_dict", whole))
    # A projection of ImageReward's that its score never used may lack; nothing else may.
    spare = [n for n in names if "vision_proj" in n or "text_proj." in n or "position_ids" in n]
    for lacking in [n for n in names if n not in spare][::4]:
        content = torch.load(file, weights_only=True)
        del content.get("state_dict", content)[lacking]
        torch.save(content, copy / "less.pt")
        with pytest.raises(EngineSetupError, match="not the weights of"):
            open_encoder(f"{kind}:{copy / 'less.pt'}", device="cpu")
    content = torch.load(file, weights_only=True)
    content.get("state_dict", content)["another.weight"] = torch.zeros(3)
    torch.save(content, copy / "more.pt")
    with pytest.raises(EngineSetupError, match=r"not the weights of.*another\.weight"):
        open_encoder(f"{kind}:{copy / 'more.pt'}", device="cpu")


def test_another_models_weights_are_refused(tmp_path: Path) -> None:
    for kind, other in (("hps", "imagereward"), ("imagereward", "hps")):
        with pytest.raises(EngineSetupError, match="not the weights of"):
            open_encoder(f"{kind}:{folder_of(other) / FILES[other]}")
    with pytest.raises(EngineSetupError, match="a clip, no BLIP with a head"):
        open_encoder(f"blip-itm:{tiny_pairs.folder_of('clip')}")
    # A ViT-L-14 of open_clip has heads of another width: half of its numbers would be nonsense.
    large = tiny_scores.filled(tiny_scores.hps_shapes(514))
    narrow = {name: t[:128] if t.shape[:1] == (160,) else t for name, t in large.items()}
    torch.save(narrow, tmp_path / "narrow.pt")
    with pytest.raises(EngineSetupError, match="not the weights of HPS"):
        open_encoder(f"hps:{tmp_path / 'narrow.pt'}")


def test_a_head_of_another_clip_is_refused(tmp_path: Path) -> None:
    copy = shutil.copytree(folder_of("aesthetics"), tmp_path / "copy")
    torch.save(tiny_scores.filled(tiny_scores.stack("layers", 32)), copy / FILES["aesthetics"])
    with pytest.raises(EngineSetupError, match="it reads 32 numbers, and CLIP gives 24"):
        opened("aesthetics", copy)


def test_a_blip_without_the_head_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    copy = shutil.copytree(folder_of("blip-itm"), tmp_path / "copy")
    weights = load_file(copy / "model.safetensors")
    del weights["itm_head.weight"]
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(EngineSetupError, match=r"missing keys, such as itm_head\.weight"):
        opened("blip-itm", copy)


def test_parts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    copy = shutil.copytree(folder_of("blip-itm"), tmp_path / "copy")
    file = copy / "processor_config.json"
    settings = json.loads(file.read_text())
    settings["image_processor"]["size"] = {"height": 16, "width": 16}
    file.write_text(json.dumps(settings))
    with pytest.raises(EngineSetupError, match="its parts do not fit"):
        opened("blip-itm", copy)
    shutil.copytree(folder_of("imagereward"), tmp_path / "words")
    words = tiny_pairs.clip_tokenizer(77)  # of another vocabulary, with larger numbers
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (tmp_path / "words" / name).unlink(missing_ok=True)
    words.save_pretrained(tmp_path / "words")
    with pytest.raises(EngineSetupError, match="its parts do not fit"):
        opened("imagereward", tmp_path / "words")


@pytest.mark.parametrize("kind", ["imagereward", "hps"])
def test_from_the_hub(kind: str, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights come by their repository, and the vocabulary by its own; no network is asked."""
    import huggingface_hub
    import transformers

    release = {"imagereward": image_reward, "hps": hps}[kind].RELEASE
    tokenizer = getattr(transformers, release.tokenizer_class).from_pretrained(copy)
    asked = []

    def download(repository: str, file: str) -> str:
        asked.append((repository, file))
        return str(copy / "weights" / file)

    def from_hub(repository: str) -> Any:
        asked.append((repository, "tokenizer"))
        return tokenizer

    (copy / "weights").mkdir()
    (copy / FILES[kind]).rename(copy / "weights" / FILES[kind])
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    known = getattr(transformers, release.tokenizer_class)
    monkeypatch.setattr(known, "from_pretrained", from_hub)
    encoder = open_encoder(f"{kind}:{release.repository}", device="cpu")
    assert asked == [(release.repository, FILES[kind]), (release.tokenizer, "tokenizer")]
    assert all(map(math.isfinite, encoder.similarities(PAIRS[:2])))


@pytest.mark.parametrize("kind", KINDS)
def test_no_hub_says_so(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EngineSetupError, match="nobody/nothing"):
        open_encoder(f"{kind}:nobody/nothing")


# --- in an evaluation -----------------------------------------------------------------------------


def test_a_run_over_pairs_compares_by_them(kind: str, tmp_path: Path) -> None:
    from PIL import Image

    rows = []
    for number in range(4):
        names = [f"{side}{number}.png" for side in "ab"]
        for row, name in enumerate(names):
            Image.fromarray(picture(10 * number + row).pixels).save(tmp_path / name)
        rows.append({"prompt": TEXTS[number], "chosen": names[0], "rejected": names[1]})
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "run"
    arguments = ["eval", "preference", "--data", str(file), "--engine", "fake:"]
    arguments += ["--encoder", f"{kind}:{folder_of(kind)}", "--out", str(out)]
    assert cli.main(arguments) == 0
    called = {
        "aesthetics": "aesthetic score",
        "hps": "cosine",
        "imagereward": "preference score",
        "blip-itm": "match probability",
    }
    told = (out / "results.json").read_text()
    assert f"{kind}:{folder_of(kind)}" in told
    assert called[kind] in told
