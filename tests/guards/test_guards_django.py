"""The guard for Django: the validator, where files lie, what it raises, and migrations."""

import io
import json

import pytest
from colours import PATIENCE, png

from safejudge import EngineCallError
from safejudge.queueing import Limits

django = pytest.importorskip("django")
from django import forms  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.exceptions import ImproperlyConfigured, ValidationError  # noqa: E402
from django.core.files.uploadedfile import (  # noqa: E402
    SimpleUploadedFile,
    TemporaryUploadedFile,
)

from safejudge.guards import django as guard  # noqa: E402
from safejudge.guards.django import ImageSafetyValidator, refusal_response  # noqa: E402

if not settings.configured:
    settings.configure(MEDIA_ROOT="nowhere", INSTALLED_APPS=[])
    django.setup()

from django.db import models  # noqa: E402
from django.db.migrations.writer import MigrationWriter  # noqa: E402


class Album(models.Model):
    picture = models.FileField(validators=[ImageSafetyValidator("model")], blank=True)

    class Meta:
        app_label = "albums"

    def __str__(self):
        return self.picture.name


class PictureForm(forms.Form):
    name = forms.CharField()
    picture = forms.FileField(
        validators=[ImageSafetyValidator("form")],
        allow_empty_file=True,
        error_messages={"unsettled": "Who can say?"},
    )


@pytest.fixture
def using(shared, monkeypatch):
    """Makes a shared judge, under every name that is used here."""

    def make(**options):
        judge = shared(**options)
        monkeypatch.setattr(guard, "_SHARED", dict.fromkeys(("default", "form", "model"), judge))
        return judge

    return make


def in_memory(data):
    return SimpleUploadedFile("a.png", data)


def on_disk(data):
    upload = TemporaryUploadedFile("a.png", "image/png", len(data), None)
    upload.write(data)  # and Python keeps some of it back
    return upload


@pytest.mark.parametrize("upload", [in_memory, on_disk])
def test_a_file_is_judged_where_it_lies_and_rewound(using, upload):
    using()
    validator = ImageSafetyValidator()
    for colour in ("green", "red", "fog"):
        data = png(colour, 300)
        file = upload(data)
        file.read(7)
        if colour == "green":
            validator(file)
        else:
            with pytest.raises(ValidationError):
                validator(file)
        assert file.read() == data


@pytest.mark.parametrize(
    ("data", "code", "categories"),
    [
        (png("red"), "unsafe", ["warm"]),
        (png("fog"), "unsettled", []),
        (b"no picture", "unreadable", []),
        (b"", "unreadable", []),
        (png("green") + bytes(9000), "too_large", []),
    ],
)
def test_an_error_has_a_code_and_categories(using, data, code, categories):
    using(policy={"max_bytes": 8000})
    with pytest.raises(ValidationError) as told:
        ImageSafetyValidator()(in_memory(data))
    assert told.value.code == code
    assert told.value.params["categories"] == categories
    assert "no-red" not in str(told.value)


def answer(data, name="x"):
    form = PictureForm({"name": name}, {"picture": in_memory(data)})
    assert not form.is_valid()
    reply = refusal_response(form)
    return reply, json.loads(reply.content)["detail"]


def test_a_form_is_answered_as_fastapi_answers(using):
    using()
    reply, detail = answer(png("red"), name="")
    assert reply.status_code == 422
    assert detail[0] == {
        "type": "required",
        "loc": ["body", "name"],
        "msg": "This field is required.",
        "code": "required",
        "categories": [],
    }
    assert detail[1] == {
        "type": "unsafe",
        "loc": ["body", "picture"],
        "msg": "This picture is not allowed here: warm.",
        "code": "unsafe",
        "categories": ["warm"],
    }
    assert answer(png("fog"))[1][0]["msg"] == "Who can say?"
    form = PictureForm({"name": "x"}, {"picture": in_memory(png("green"))})
    assert form.is_valid()
    assert form.cleaned_data["picture"].read() == png("green")


@pytest.mark.parametrize("fault", ["down", "late", "full"])
def test_what_nobody_could_judge_is_no_pass(using, engine, fault):
    judge = using(
        seconds=0.2 if fault == "late" else PATIENCE,
        limits=Limits(per_client=1) if fault == "full" else None,
    )
    front = judge.opened(PATIENCE).front
    if fault == "down":
        engine.broken = EngineCallError("10.1.2.3 is gone")
    else:
        engine.go.clear()
    under_way = front.submit(png("blue")) if fault == "full" else None
    reply, detail = answer(png("green"))
    assert reply.status_code == (429 if fault == "full" else 503)
    assert int(reply.headers["Retry-After"]) > 0
    assert [entry["code"] for entry in detail] == ["busy" if fault == "full" else "unavailable"]
    # With an error that stays, coming again would not help.
    reply, detail = answer(png("green"), name="")
    assert reply.status_code == 422
    assert len(detail) == 2
    engine.broken = None
    engine.go.set()
    if under_way is not None:
        under_way.result(PATIENCE)
    ImageSafetyValidator()(in_memory(png("green")))


@pytest.mark.parametrize("upload", [in_memory, on_disk])
def test_a_field_of_a_model_is_judged(using, upload):
    using()
    Album(picture=upload(png("green"))).clean_fields()
    Album().clean_fields()
    with pytest.raises(ValidationError) as told:
        Album(picture=upload(png("blue"))).clean_fields()
    (error,) = told.value.error_dict["picture"]
    assert (error.code, error.params["categories"]) == ("unsafe", ["cold"])
    with pytest.raises(ValidationError) as told:
        Album(picture="gone.png").clean_fields()
    assert told.value.error_dict["picture"][0].code == "unreadable"


def test_a_migration_keeps_the_name_of_the_judge_alone():
    text, imports = MigrationWriter.serialize(ImageSafetyValidator("avatars"))
    assert text == "safejudge.guards.django.ImageSafetyValidator('avatars')"
    assert imports == {"import safejudge.guards.django"}
    assert ImageSafetyValidator() == ImageSafetyValidator("default") != ImageSafetyValidator("a")
    stream = io.StringIO()
    print(text, file=stream)
    again = eval(stream.getvalue(), {"safejudge": __import__("safejudge")})  # noqa: S307
    assert again == ImageSafetyValidator("avatars")


@pytest.mark.parametrize("entries", [None, {}, {"odd": {"engine": "hf:sketch"}}])
def test_settings_that_name_no_judge_say_what_to_write(monkeypatch, entries):
    if entries is not None:
        monkeypatch.setattr(settings, "SAFEJUDGE", entries, raising=False)
    with pytest.raises(ImproperlyConfigured, match="SAFEJUDGE = "):
        ImageSafetyValidator("odd")(in_memory(png("green")))
