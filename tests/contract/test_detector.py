"""What the zero-shot detector promises, on tiny models of each family."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pytest
import tiny_pairs
import torch
from given import picture
from tiny_pairs import DINO_LIMIT, OWL_LIMIT

from safejudge.engines.recent import RecentCache
from safejudge.engines.vision.detector import FAINTEST, MOST_BOXES, HFDetector
from safejudge.errors import EngineCallError, StatementError
from safejudge.types import Box, Locate, Picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FAMILIES = tuple(tiny_pairs.DETECTORS)
OWLS = ("owlvit", "owlv2")
PICTURES = [picture(1), picture(2, 80, 40), picture(3, 32, 96), picture(4), picture(5)]
SIDES = ("left", "top", "right", "bottom")
SEARCHES = [
    Locate(PICTURES[0], ("person",)),
    Locate(PICTURES[0], ("knife", "red dog")),
    Locate(PICTURES[1], ("red dog", "person", "knife")),
    Locate(PICTURES[2], ("knife",)),
    Locate(PICTURES[3], ("person", "knife")),
    Locate(PICTURES[4], ("a fire",)),
]


@pytest.fixture(scope="module", autouse=True)
def without_scipy() -> Iterator[None]:
    with tiny_pairs.plain_resize():
        yield


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(family: str) -> Path:
    return tiny_pairs.folder_of(family)


@pytest.fixture
def detector(folder: Path) -> HFDetector:
    return opened(folder)


def opened(folder: Path, batch_size: int = 2, **options: Any) -> HFDetector:
    return HFDetector(str(folder), uri="hf:tiny", device="cpu", batch_size=batch_size, **options)


class ByHand:
    """One picture, one word, the whole model; boxes worked out without the processor's help."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

        self.processor = AutoProcessor.from_pretrained(folder)
        self.model = AutoModelForZeroShotObjectDetection.from_pretrained(folder).eval()
        self.kind = self.model.config.model_type

    def boxes(self, shown: Picture, word: str) -> list[Box]:
        from PIL import Image

        image = Image.fromarray(shown.pixels)
        text: Any = f"{word}." if self.kind == "grounding-dino" else [[word]]
        with torch.inference_mode():
            output = self.model(**self.processor(images=image, text=text, return_tensors="pt"))
        scores = output.logits[0].sigmoid().max(-1).values.tolist()
        # OWLv2 fills up to a square on the right or below; the others take the picture as it is.
        across = down = max(image.size)
        if self.kind != "owlv2":
            across, down = image.size
        found = []
        for score, (x, y, wide, high) in zip(scores, output.pred_boxes[0].tolist(), strict=True):
            left, right = ((x + side * wide / 2) * across for side in (-1, 1))
            top, bottom = ((y + side * high / 2) * down for side in (-1, 1))
            edges = np.clip(
                [math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)],
                0,
                [*image.size, *image.size],
            )
            if score > FAINTEST and edges[0] < edges[2] and edges[1] < edges[3]:
                names = ("left", "top", "right", "bottom")
                found.append(
                    Box(
                        word=word, confidence=score, **dict(zip(names, edges.tolist(), strict=True))
                    )
                )
        return sorted(found, key=lambda box: -box.confidence)[:MOST_BOXES]


def same(found: Sequence[Box], expected: Sequence[Box]) -> bool:
    """Equal but for the last bits, which may carry an edge over to the next pixel."""
    if len(found) != len(expected):
        return False
    return all(
        a.word == b.word
        and abs(a.confidence - b.confidence) < 1e-4
        and all(abs(getattr(a, side) - getattr(b, side)) <= 1 for side in SIDES)
        for a, b in zip(found, expected, strict=True)
    )


def test_boxes_are_those_of_the_model(folder: Path, detector: HFDetector) -> None:
    hand = ByHand(folder)
    answers = detector.locate(SEARCHES)
    for search, found in zip(SEARCHES, answers, strict=True):
        boxes = [box for word in search.words for box in hand.boxes(search.picture, word)]
        assert same(found, sorted(boxes, key=lambda box: -box.confidence))
    assert sum(map(len, answers)) > 20
    assert len({box.confidence for found in answers for box in found}) > 20


def test_neither_batch_nor_order_nor_company_matters(folder: Path) -> None:
    expected = opened(folder, 16).locate(SEARCHES)
    for size in (1, 3):
        assert all(map(same, opened(folder, size).locate(SEARCHES), expected))
    detector = opened(folder)
    given = SEARCHES[::-1] + SEARCHES[:3]
    found = dict(zip(given, detector.locate(given), strict=True))
    assert all(same(found[search], boxes) for search, boxes in zip(SEARCHES, expected, strict=True))
    for search, boxes in zip(SEARCHES, expected, strict=True):
        for word in search.words:
            (alone,) = detector.locate([Locate(search.picture, (word,))])
            assert same(alone, [box for box in boxes if box.word == word])


def counting(detector: HFDetector, owner: Any, name: str, passes: list[int]) -> Any:
    whole = getattr(owner, name)

    def count(*given: Any, **inputs: torch.Tensor) -> Any:
        passes.append(len(given[0] if given else inputs["pixel_values"]))
        return whole(*given, **inputs)

    return patch.object(owner, name, count)


@pytest.mark.parametrize("name", OWLS)
def test_a_picture_is_seen_once_whatever_is_looked_for(name: str) -> None:
    folder = tiny_pairs.folder_of(name)
    detector, expected = opened(folder), opened(folder).locate(SEARCHES)
    passes: list[int] = []
    with counting(detector, detector._model, "image_embedder", passes):
        assert all(map(same, detector.locate(SEARCHES + SEARCHES)[: len(SEARCHES)], expected))
        assert passes == [2, 2, 1]
        for search, boxes in zip(SEARCHES, expected, strict=True):
            assert all(map(same, detector.locate([search]), [boxes]))
        detector.locate([Locate(PICTURES[2], ("something new",))])
        assert passes == [2, 2, 1]
        detector._owl._grids = RecentCache(2)
        for _ in range(2):
            assert all(map(same, detector.locate(SEARCHES), expected))
            assert len(detector._owl._grids.keys()) == 2
    assert sum(passes) > 2 * len(PICTURES)
    detector.close()
    assert detector._owl is None


def test_dino_passes_once_per_word_with_pictures_of_one_size() -> None:
    detector = opened(tiny_pairs.folder_of("grounding_dino"))
    passes: list[int] = []
    with counting(detector, detector._model, "forward", passes):
        detector.locate(SEARCHES + SEARCHES)
    assert sum(passes) == 10
    assert len(passes) == 3 + 2 + 1


def showing(detector: HFDetector, boxes: Sequence[Sequence[float]], scores: Sequence[float]) -> Any:
    """A model that sees the same boxes (centre, size; shares of its input) everywhere."""
    logits = torch.tensor(scores, dtype=torch.float64).logit()[None, :, None].float()
    whole = detector._predict

    def predict(looks: Any) -> Any:
        seen, _, ids = whole(looks)
        rows = len(looks)
        return logits.repeat(rows, 1, seen.shape[-1]), torch.tensor([boxes] * rows), ids

    shown = patch.object(detector, "_predict", predict)
    shown.start()
    return shown


def edges(box: Box) -> tuple[int, int, int, int]:
    return box.left, box.top, box.right, box.bottom


def test_a_known_box_in_pictures_of_any_shape(family: str, detector: HFDetector) -> None:
    """The object: columns 20 to 30, rows 8 to 24."""
    for height, width in ((40, 80), (80, 40), (64, 64), (33, 97)):
        across, down = (max(height, width),) * 2 if family == "owlv2" else (width, height)
        box = [25 / across, 16 / down, 10 / across, 16 / down]
        hook = showing(detector, [box], [0.7])
        blank = Picture.of(np.zeros((height, width, 3), dtype=np.uint8))
        (found,) = detector.locate([Locate(blank, ("knife",))])
        hook.stop()
        assert found[0].confidence == pytest.approx(0.7)
        assert np.abs(np.subtract(edges(found[0]), (20, 8, 30, 24))).max() <= 1  # rounding
        assert len(found) == 1


def test_where_owlv2_puts_the_picture() -> None:
    """Upper left, as its boxes are read: a bright picture, and dark filling below or right."""
    detector = opened(tiny_pairs.folder_of("owlv2"))
    for shape, filled in (((40, 80), "bottom"), ((80, 40), "right")):
        bright = Picture.of(np.full((*shape, 3), 255, dtype=np.uint8))
        pixels = detector._owl.pixels([bright])[0]
        seen = pixels if filled == "bottom" else pixels.transpose(1, 2)
        assert seen.shape == (3, 64, 64)
        assert seen[:, :30].min() > seen[:, 34:].max()


def test_boxes_are_inside_not_empty_sorted_and_few(detector: HFDetector) -> None:
    shown = PICTURES[1]
    height, width = shown.pixels.shape[:2]
    random = np.random.default_rng(0)
    many = random.uniform(-0.2, 1.2, (400, 4)).astype(np.float32)
    many[:50, 2:] = 0.0  # no area
    many[50:60, 0] = 40.0  # outside
    many[60:70, 2] = -0.3  # inside out
    scores = random.uniform(0.0, 0.9, 400)
    scores[:70] = 0.95
    hook = showing(detector, many.tolist(), scores.tolist())
    answers = detector.locate([Locate(shown, ("knife", "dog"))])
    hook.stop()
    (found,) = answers
    assert [sum(box.word == word for box in found) for word in ("knife", "dog")] == [MOST_BOXES] * 2
    for box in found:
        assert 0 <= box.left < box.right <= width
        assert 0 <= box.top < box.bottom <= height
    confidences = [box.confidence for box in found]
    assert confidences == sorted(confidences, reverse=True)
    # The twenty surest that can be kept, not twenty minus those that cannot.
    assert min(confidences) > sorted(scores)[-150]
    assert max(confidences) < 0.9


def test_faint_boxes_stay_and_hopeless_ones_go(detector: HFDetector) -> None:
    boxes = [[0.3, 0.3, 0.2, 0.2]] * 3
    hook = showing(detector, boxes, [FAINTEST / 2, 0.02, 0.009])
    (found,) = detector.locate([Locate(PICTURES[0], ("knife",))])
    hook.stop()
    assert [box.confidence for box in found] == [pytest.approx(0.02)]


def test_ties_are_told_apart_by_position(detector: HFDetector) -> None:
    boxes = [[x, y, 0.2, 0.2] for x in (0.6, 0.2, 0.4) for y in (0.5, 0.1)]
    search = Locate(PICTURES[3], ("b", "a"))
    answers = []
    for order in (boxes, boxes[::-1], sorted(boxes)):
        hook = showing(detector, order, [0.5] * len(order))
        answers += detector.locate([search, Locate(PICTURES[3], ("a", "b", "a"))])
        hook.stop()
    assert len(set(answers)) == 1
    assert list(answers[0]) == sorted(answers[0], key=lambda box: (edges(box), box.word))
    assert len(answers[0]) == 2 * len(boxes)


def test_one_thing_may_have_two_names(detector: HFDetector) -> None:
    """The post-processing gives a box to its best word only; here each word gets its own."""
    hook = showing(detector, [[0.5, 0.5, 0.5, 0.5]], [0.8])
    (found,) = detector.locate([Locate(PICTURES[0], ("person", "woman"))])
    hook.stop()
    assert [box.word for box in found] == ["person", "woman"]
    assert edges(found[0]) == edges(found[1])


def longest(family: str) -> str:
    return "a" * (OWL_LIMIT - 2 if family in OWLS else DINO_LIMIT - 3)


def test_a_word_is_read_whole_or_refused(family: str, detector: HFDetector) -> None:
    fits = longest(family)
    detector.check_words([fits, "a"])
    first, last = detector.locate(
        [Locate(PICTURES[0], (word,)) for word in (fits, fits[:-1] + "z")]
    )
    assert [box.confidence for box in first] != [box.confidence for box in last]
    limit = OWL_LIMIT if family in OWLS else DINO_LIMIT
    for ask in (
        lambda word: detector.check_words(["a", word]),
        lambda word: detector.locate([SEARCHES[0], Locate(PICTURES[1], ("a", word))]),
    ):
        with pytest.raises(StatementError, match="fewer words") as caught:
            ask(fits + "b")
        assert fits + "b" in str(caught.value)
        assert f"{limit + 1} tokens" in str(caught.value)
        assert str(limit) in str(caught.value)
        for blank in ("", " ", ".", " . "):
            with pytest.raises(StatementError, match="names nothing"):
                ask(blank)


def test_nothing_asked_nothing_answered(detector: HFDetector) -> None:
    assert detector.locate([]) == []
    assert detector.locate([Locate(PICTURES[0], ()), SEARCHES[0]])[0] == ()
    detector.check_words([])


def test_full_stops_and_capitals() -> None:
    """Grounding DINO's sentences are made here, so a word that brings its own stop is the same."""
    detector = opened(tiny_pairs.folder_of("grounding_dino"))
    plain, dressed = detector.locate(
        [Locate(PICTURES[0], ("red dog",)), Locate(PICTURES[0], (" Red Dog. ",))]
    )
    assert list(map(edges, plain)) == list(map(edges, dressed))
    assert {box.word for box in dressed} == {" Red Dog. "}


def test_pictures_of_any_shape(family: str, detector: HFDetector) -> None:
    shapes = [(1, 1), (3, 3), (1, 4), (3, 64), (50, 2), (40, 3)]
    images = [Picture.of(np.full((*shape, 3), 90, dtype=np.uint8)) for shape in shapes]
    answers = detector.locate([Locate(image, ("a",)) for image in images])
    for image, found in zip(images, answers, strict=True):
        height, width = image.pixels.shape[:2]
        assert all(box.right <= width and box.bottom <= height for box in found)
    assert any(answers), family


def test_broken_weights_are_no_empty_picture(detector: HFDetector) -> None:
    with torch.no_grad():
        for parameter in detector._model.parameters():
            parameter.fill_(math.nan)
    with pytest.raises(EngineCallError, match="NaN or infinite"):
        detector.locate(SEARCHES[:1])


def test_a_picture_that_is_refused_has_no_boxes(detector: HFDetector) -> None:
    expected = detector.locate(SEARCHES)
    whole = detector._predict

    def refuse(looks: Any) -> Any:
        if any(shown == PICTURES[3] for shown, _ in looks):
            raise ValueError("aspect ratio")
        return whole(looks)

    with patch.object(detector, "_predict", refuse):
        found = detector.locate(SEARCHES)
    for search, before, after in zip(SEARCHES, expected, found, strict=True):
        if search.picture == PICTURES[3]:
            assert after == ()
        else:
            assert same(after, before)


def test_half_precision_still_finds(folder: Path, detector: HFDetector) -> None:
    half = opened(folder, dtype="bfloat16")
    assert any(half.locate(SEARCHES))
    assert half.card.revision != detector.card.revision
    assert (half.card.uri, half.card.label_tokens) == ("hf:tiny", {})


def test_closing_twice_is_fine_and_final() -> None:
    detector = opened(tiny_pairs.folder_of("owlvit"))
    detector.close()
    detector.close()
    for requests in (SEARCHES, []):
        with pytest.raises(EngineCallError, match="closed"):
            detector.locate(requests)
