"""The service without HTTP: versions of the rules, an engine that fails, coverage, and the end."""

import asyncio
import io
import threading
import time
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from PIL import Image

from safejudge import (
    Constitution,
    EngineCallError,
    Failure,
    InputError,
    Judge,
    Policy,
    Precondition,
    Rule,
    Severity,
)
from safejudge.engines.fake import FakeEngine
from safejudge.errors import ClosingError, DeadlineError, QueueFullError
from safejudge.journal.ledger import Ledger
from safejudge.journal.queue import questions
from safejudge.journal.store import Journal
from safejudge.opening import JudgeSpec
from safejudge.queueing import Limits
from safejudge.serve.metrics import Metrics
from safejudge.serve.service import Loaded, Service, Upload
from safejudge.serve.shadow import Shadow, ShadowPlan
from safejudge.types import AnswerProbs

PATIENCE = 60


def rules(*names):
    return Constitution(
        name="things",
        rules=tuple(
            Rule(
                id=name,
                category="things",
                severity=Severity.LOW,
                text=f"No {name}.",
                objective=f"No {name}.",
                condition=Precondition(statement=f"a {name} is visible"),
            )
            for name in names
        ),
    )


class Switched(FakeEngine):
    """Answers yes, waits, or fails, as it is told."""

    def __init__(self, plug):
        super().__init__(lambda probe: plug.answers if probe.images else AnswerProbs((0.2, 0.7)))
        self._plug = plug

    def answer_probs(self, probes):
        plug = self._plug
        if plug.broken is not None:
            raise plug.broken
        if plug.holds.is_set():
            plug.begun.release()
            assert plug.go.wait(PATIENCE)
            if plug.broken is not None:
                raise plug.broken
        return super().answer_probs(probes)


@dataclass
class Plug:
    """What a test does to the engine behind a service."""

    answers: AnswerProbs = field(default_factory=lambda: AnswerProbs((0.98, 0.01)))
    """About every picture."""
    broken: Exception | None = None
    opens: int = 0
    closed_for: int = 0
    """So many times more the engine does not open."""
    holds: threading.Event = field(default_factory=threading.Event)
    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    go: threading.Event = field(default_factory=threading.Event)


PLUGS: dict[str, Plug] = {}


@dataclass(frozen=True, slots=True)
class Spec(JudgeSpec):
    """Opens a judge whose engine a test can switch off."""

    def open(self):
        plug = PLUGS[self.engine]
        plug.opens += 1
        if plug.closed_for:
            plug.closed_for -= 1
            raise EngineCallError("nobody listens there")
        plug.broken = None
        return Judge.load(self.constitution, Switched(plug), self.policy, cache=None)


@dataclass
class Files:
    """What the service reads at every load."""

    spec: Spec
    error: Exception | None = None

    def __call__(self):
        if self.error is not None:
            raise self.error
        return Loaded(self.spec)


@pytest.fixture
def plug():
    PLUGS["one"] = Plug()
    return PLUGS["one"]


@pytest.fixture
def files(plug):
    return Files(Spec(rules("cat"), "one", Policy(open_means="undecided")))


@pytest.fixture
def service(files, monkeypatch):
    monkeypatch.setattr("safejudge.serve.service._PAUSES", (0.01,))
    service = Service(files, Limits(size=4), Metrics())
    service.open()
    yield service
    service.close(seconds=PATIENCE)


def png(seed=0):
    pixels = np.random.default_rng(seed).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def gif(frames):
    random = np.random.default_rng(7)
    pictures = [
        Image.fromarray(random.integers(0, 255, (16, 16, 3), dtype=np.uint8)) for _ in range(frames)
    ]
    stream = io.BytesIO()
    pictures[0].save(stream, "GIF", save_all=True, append_images=pictures[1:])
    return stream.getvalue()


def judged(service, *images, seconds=PATIENCE, version=None, client="a"):
    uploads = [i if isinstance(i, Upload) else Upload(i) for i in images]
    version = version or service.version
    return asyncio.run(service.judge(uploads, client=client, seconds=seconds, version=version))


def until(condition):
    for _ in range(PATIENCE * 200):
        if condition():
            return
        threading.Event().wait(0.005)
    raise AssertionError("never came")


def until_full(front):
    while True:
        try:
            yield front.submit(png())
        except QueueFullError:
            return


def numbers(service):
    return {
        sample.name: sample.value
        for metric in service._metrics.registry.collect()
        for sample in metric.samples
        if sample.name in ("safejudge_images_received_total", "safejudge_images_judged_total")
    }


def test_every_image_that_came_in_is_accounted_for(service):
    lost = Failure(image="image[2]", reason="url", message="not fetched")
    answered = judged(service, png(1), b"no picture", Upload(lost), png(2))
    assert answered.findings == ("unsafe", "failed", "failed", "unsafe")
    covered = answered.coverage
    assert (covered.received, covered.judged, covered.failed) == (4, 2, 2)
    assert covered.rules["cat"].asked == 2
    assert covered.constitution == service.version.judge.provenance.constitution
    assert numbers(service) == {
        "safejudge_images_received_total": 4.0,
        "safejudge_images_judged_total": 2.0,
    }


def test_nothing_in_is_nothing_judged(service):
    answered = judged(service)
    assert answered.results == ()
    assert answered.coverage.received == 0


def test_a_request_is_judged_by_one_version(service, files, plug):
    """Reload while a request is under way, and before one that has its version already."""
    plug.holds.set()
    before = service.version
    said = []
    thread = threading.Thread(
        target=lambda: said.append(judged(service, *map(png, range(6)), version=before))
    )
    thread.start()
    assert plug.begun.acquire(timeout=PATIENCE)
    files.spec = replace(files.spec, constitution=rules("dog", "horse"))
    plug.holds.clear()
    plug.go.set()
    after = service.reload()
    later = judged(service, png(9))
    held = judged(service, png(9), version=before)
    thread.join(PATIENCE)
    (early,) = said
    assert after.number == 2
    for answered, names in ((early, ["cat"]), (held, ["cat"]), (later, ["dog", "horse"])):
        digest = rules(*names).digest()
        assert answered.coverage.constitution == digest
        assert {tuple(result.rules) for result in answered.results} == {tuple(names)}
        assert {result.provenance.constitution for result in answered.results} == {digest}


def test_a_reload_under_load_mixes_nothing(service, files):
    stop = threading.Event()
    said, errors = [], []

    def client(number):
        while not stop.is_set():
            try:
                said.append(judged(service, png(number), png(number + 50), client=str(number)))
            except Exception as error:  # noqa: BLE001 - the test fails on any
                errors.append(error)
                return

    threads = [threading.Thread(target=client, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for round_ in range(12):
        files.spec = replace(files.spec, constitution=rules(*["cat", "dog"][: 1 + round_ % 2]))
        service.reload()
        seen = len(said)
        until(lambda seen=seen: len(said) > seen + 4 or errors)
    stop.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert not errors
    for answered in said:
        digests = {result.provenance.constitution for result in answered.results}
        assert digests == {answered.coverage.constitution}
    assert len({answered.coverage.constitution for answered in said}) == 2


def test_a_reload_that_fails_changes_nothing(service, files):
    before = service.version
    files.error = InputError("rules.yaml:3: is wrong")
    with pytest.raises(InputError, match=r"rules\.yaml:3"):
        service.reload()
    files.error = None
    files.spec = replace(files.spec, engine="another")
    with pytest.raises(InputError, match="restart the server"):
        service.reload()
    assert service.version is before
    assert judged(service, png()).coverage.judged == 1


def test_an_engine_that_fails_is_opened_anew(service, plug):
    version = service.version
    plug.closed_for = 3
    plug.broken = EngineCallError("the connection was closed")
    with pytest.raises(EngineCallError, match="connection was closed"):
        judged(service, png())
    until(lambda: service.problem is None)
    assert plug.opens == 1 + 3 + 1
    again = judged(service, png())
    assert again.coverage.judged == 1
    assert again.version.number > version.number
    # A request that had the old version already is refused: its models are closed.
    with pytest.raises(EngineCallError):
        judged(service, png(), version=version)


def test_while_no_engine_answers_every_request_is_refused_at_once(service, plug):
    plug.closed_for = 10**6
    plug.broken = EngineCallError("gone")
    with pytest.raises(EngineCallError):
        judged(service, png())
    until(lambda: service.problem is not None)
    for _ in range(20):
        with pytest.raises(EngineCallError, match="being opened anew"):
            judged(service, png())
    assert "being opened anew" in service.problem


def test_what_was_accepted_is_answered_before_the_end(service, plug):
    plug.holds.set()
    version = service.version
    said = []
    threads = [
        threading.Thread(target=lambda n=n: said.append(judged(service, png(n), version=version)))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    assert plug.begun.acquire(timeout=PATIENCE)
    queue = version.front.queue
    until(lambda: queue.waiting + queue.under_way == 8)
    closing = threading.Thread(target=lambda: service.close(seconds=PATIENCE))
    closing.start()
    until(lambda: queue._closing)
    with pytest.raises(ClosingError):
        judged(service, png())
    plug.holds.clear()
    plug.go.set()
    for thread in (*threads, closing):
        thread.join(PATIENCE)
    assert [answered.findings for answered in said] == [("unsafe",)] * 8


def test_a_deadline_that_passes_is_no_verdict(service, plug):
    plug.holds.set()
    with pytest.raises(DeadlineError, match=r"within 0\.05 s"):
        judged(service, png(), seconds=0.05)
    plug.holds.clear()
    plug.go.set()
    until(lambda: service.load_now() == (0, 0))
    assert judged(service, png()).coverage.judged == 1
    assert numbers(service)["safejudge_images_received_total"] == 2.0
    assert numbers(service)["safejudge_images_judged_total"] == 1.0


def test_too_much_is_refused_and_room_comes_back(files, plug):
    service = Service(files, Limits(size=2, waiting=2, per_client=50), Metrics())
    service.open()
    plug.holds.set()
    version = service.version
    queue = version.front.queue
    with pytest.raises(InputError, match="than may ever wait"):
        judged(service, *map(png, range(3)))
    accepted = [version.front.submit(png())]
    assert plug.begun.acquire(timeout=PATIENCE)
    accepted.append(version.front.submit(png()))
    until(lambda: len(queue._ready) == 1)
    accepted += until_full(version.front)
    assert len(accepted) == 4
    with pytest.raises(QueueFullError):
        judged(service, png())
    plug.holds.clear()
    plug.go.set()
    assert all(future.result(PATIENCE).label == "unsafe" for future in accepted)
    assert judged(service, png()).coverage.judged == 1
    service.close(seconds=PATIENCE)


def test_a_clock_that_jumps_moves_no_deadline(service, monkeypatch):
    real = time.time
    for jump in (0.0, 10.0**8, -(10.0**8)):
        monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
        assert judged(service, png()).coverage.judged == 1


def test_rules_that_are_handed_in_leave_the_others_alone(service):
    version = service.version
    beside = service.beside(rules("cow"), version.judge.policy, version)
    answered = judged(service, png(), version=beside)
    assert list(answered.results[0].rules) == ["cow"]
    assert list(judged(service, png()).results[0].rules) == ["cat"]


@pytest.mark.parametrize("named", [False, True])
def test_an_animation_that_was_not_looked_at_whole_is_not_safe(plug, named):
    spec = Spec(rules("cat"), "one", Policy(open_means="no", reject_factor=0.0))
    plug.answers = AnswerProbs((0.001, 0.99))
    loaded = Loaded(spec, frames_named=named)
    service = Service(lambda: loaded, Limits())
    service.open()
    answered = judged(service, gif(40), png())
    assert [result.label for result in answered.results] == ["safe", "safe"]
    assert answered.findings == ("safe" if named else "open", "safe")
    assert answered.coverage.frames_unseen == 32
    service.close(seconds=PATIENCE)


# --- a shadow -----------------------------------------------------------------------------------


@pytest.fixture
def shadowed(files, tmp_path):
    """A service with a journal and a shadow that has other rules."""
    other = replace(files.spec, constitution=rules("dog"))
    with Journal(str(tmp_path / "journal.db")) as journal:
        ledger, metrics = Ledger(journal), Metrics()
        plan = ShadowPlan("other", lambda: other, 1.0)
        shadow = Shadow(plan, Limits(), ledger, metrics)
        service = Service(files, Limits(size=4), metrics, ledger, shadow)
        service.open()
        yield service, journal
        service.close(seconds=PATIENCE)


def test_a_shadow_is_kept_under_its_name_and_answers_nobody(shadowed, plug):
    service, journal = shadowed
    answered = judged(service, png(1), b"no picture", png(2))
    assert [list(r.rules) for r in answered.results if not isinstance(r, Failure)] == [["cat"]] * 2
    until(lambda: journal.count() == 6)
    shadows = list(journal.search(variant="other"))
    assert [list(one.record.get("rules", {})) for one in shadows].count(["dog"]) == 2
    assert len(list(journal.search())) == 3
    asked = questions(journal, "ann", why="shadow")
    assert {one.rule for one in asked} == {"dog"}
    text = service._metrics.text().decode()
    assert (
        'safejudge_shadow_images_total{differs="false",label="unsafe",variant="other"} 2.0' in text
    )
    assert plug.opens == 1  # with the models that are open


def test_a_shadow_that_cannot_be_opened_is_told_and_the_rest_goes_on(files, plug, caplog):
    def missing():
        raise InputError("other.yaml: cannot be read")

    shadow = Shadow(ShadowPlan("other", missing, 1.0), Limits(), None, None)
    service = Service(files, Limits(), Metrics(), None, shadow)
    service.open()
    assert judged(service, png()).coverage.judged == 1
    assert "the shadow other does not open" in caplog.text
    service.close(seconds=PATIENCE)


def test_a_shadow_gets_its_share_and_no_more_than_there_is_time_for(files, plug):
    metrics = Metrics()
    plan = ShadowPlan("half", lambda: replace(files.spec, constitution=rules("dog")), 0.5)
    shadow = Shadow(plan, Limits(), None, metrics)
    service = Service(files, Limits(per_client=300), metrics, None, shadow)
    service.open()
    judged(service, *map(png, range(100)))

    def shadows():
        found = [s for m in metrics.registry.collect() for s in m.samples]
        return sum(s.value for s in found if s.name in (
            "safejudge_shadow_images_total", "safejudge_shadow_dropped_total"
        ))  # fmt: skip

    until(lambda: shadow._waiting == 0)
    assert 25 < shadows() < 75
    service.close(seconds=PATIENCE)
