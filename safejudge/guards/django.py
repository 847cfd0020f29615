"""A guard for Django: a validator for file fields of forms and models, and its 422 as JSON.

    picture = forms.ImageField(validators=[ImageSafetyValidator()])

The judge is named in the settings, as databases and caches are:

    SAFEJUDGE = {"default": {"constitution": "sketch", "engine": "hf:sketch"}}

A picture that may not pass is a `ValidationError` with a code and its categories; so is one that
could not be judged now.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS, ImproperlyConfigured, ValidationError
from django.db.models.fields.files import FieldFile
from django.http import JsonResponse
from django.utils.deconstruct import deconstructible
from django.utils.translation import gettext_lazy

from safejudge.errors import DeadlineError, SafejudgeError
from safejudge.guards.refusals import MESSAGES, Refusal, entry, not_judged, refusal_of, status_of
from safejudge.guards.shared import SharedJudge
from safejudge.types import Failure

if TYPE_CHECKING:
    from django.forms import BaseForm

    from safejudge.guards.shared import Opened
    from safejudge.types import Result

_SHARED: dict[str, SharedJudge] = {}


@deconstructible
class ImageSafetyValidator:
    """Lets a file pass only where the judge does; for `FileField` and `ImageField`.

    Codes are those of `refusals.Code`; a field's `error_messages` may word each of them. `params`
    hold `categories`, a list, and `named`, the same as text. The file is rewound.
    """

    def __init__(self, using: str = "default") -> None:
        """Use the judge that `settings.SAFEJUDGE` has under this name.

        A migration keeps the name alone: another engine or constitution makes no new one.
        """
        self.using = using

    def __call__(self, value: Any) -> None:
        """Judge an uploaded file, or the file of a model's field. Raises `ValidationError`."""
        try:
            refusal = _refusal(value, shared_judge(self.using))
        except SafejudgeError as error:
            raise _invalid(not_judged(error), value) from error
        if refusal is not None:
            raise _invalid(refusal, value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ImageSafetyValidator) and other.using == self.using

    def __hash__(self) -> int:
        return hash((ImageSafetyValidator, self.using))


def shared_judge(using: str = "default") -> SharedJudge:
    """Return the judge that the settings have under a name; whoever first asks it opens it.

    The entry holds the arguments of `SharedJudge`. Raises `ImproperlyConfigured`.
    """
    if using not in _SHARED:
        try:
            arguments = settings.SAFEJUDGE[using]
            _SHARED.setdefault(using, SharedJudge(**arguments))
        except (AttributeError, KeyError, TypeError) as error:
            raise ImproperlyConfigured(
                f"settings.SAFEJUDGE has no usable entry {using!r} ({error}); write SAFEJUDGE = "
                f'{{"{using}": {{"constitution": "rules.yaml", "engine": "hf:ORG/MODEL"}}}}'
            ) from error
    return _SHARED[using]


def refusal_response(form: BaseForm) -> JsonResponse:
    """Answer a form that is not valid with JSON, as the guard for FastAPI does.

    Status 422; 429 or 503 with `Retry-After` where nothing but the judge stood in the way.
    """
    errors = [(name, error) for name, found in form.errors.as_data().items() for error in found]
    detail = [
        entry(
            ("body",) if name == NON_FIELD_ERRORS else ("body", name),
            error.code or "invalid",
            " ".join(map(str, error.messages)),
            (error.params or {}).get("categories", ()),
        )
        for name, error in errors
    ]
    status, headers = status_of(error.code or "invalid" for _, error in errors)
    return JsonResponse({"detail": detail}, status=status, headers=headers)


def _refusal(value: Any, shared: SharedJudge) -> Refusal | None:
    """Judge the file. Raises what says that it cannot be judged now."""
    opened = shared.opened(shared.seconds)
    return refusal_of(_result(value, opened, shared.seconds), opened)


def _result(value: Any, opened: Opened, seconds: float) -> Result:
    try:
        # A model's field wraps the upload, which alone says where it lies on the disk.
        file = value.file if isinstance(value, FieldFile) else value
        source = _source(file, opened.judge.policy.max_bytes)
    except (OSError, ValueError) as error:  # of a model's field: it is not there, or was closed
        return Failure(image="upload", reason="unreadable", message=str(error))
    if isinstance(source, Failure):
        return source
    future = opened.front.submit(source, seconds=seconds)
    try:
        return future.result(seconds)
    except TimeoutError:
        raise DeadlineError(f"not judged within {seconds:g} s") from None
    finally:
        future.cancel()
        file.seek(0)


def _source(file: Any, most: int) -> bytes | Path | Failure:
    """Return the bytes of a file, or where they lie; they are in memory once."""
    if file.size > most:
        message = f"{file.size} bytes are more than Policy.max_bytes = {most}"
        return Failure(image="upload", reason="too_large", message=message)
    file.seek(0)  # also writes what Python still keeps back
    if hasattr(file, "temporary_file_path"):
        return Path(file.temporary_file_path())
    data: bytes = file.read()
    return data


def _invalid(refusal: Refusal, value: Any) -> ValidationError:
    params = {
        "categories": list(refusal.categories),
        "named": ", ".join(refusal.categories),
        "value": value,
    }
    return ValidationError(gettext_lazy(MESSAGES[refusal.code]), refusal.code, params)
