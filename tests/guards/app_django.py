"""The example of the guards' page, as a project of one file: app_django.py runserver --noreload."""

from django import forms
from django.core.files.storage import default_storage
from django.http import JsonResponse

from safejudge.guards.django import ImageSafetyValidator, refusal_response

# Of settings.py:
SAFEJUDGE = {"default": {"constitution": "sketch", "engine": "hf:sketch"}}


class PictureForm(forms.Form):
    picture = forms.ImageField(validators=[ImageSafetyValidator()])


def upload(request):
    form = PictureForm(request.POST, request.FILES)
    if not form.is_valid():
        return refusal_response(form)
    picture = form.cleaned_data["picture"]
    return JsonResponse([default_storage.save(picture.name, picture)], safe=False)


# What a project has besides.


class AlbumForm(forms.Form):
    first = forms.ImageField(validators=[ImageSafetyValidator()])
    second = forms.ImageField(validators=[ImageSafetyValidator()])


def album(request):
    form = AlbumForm(request.POST, request.FILES)
    if not form.is_valid():
        return refusal_response(form)
    pictures = form.cleaned_data.values()
    return JsonResponse([default_storage.save(p.name, p) for p in pictures], safe=False)


if __name__ == "__main__":
    import sys

    from django.conf import settings
    from django.core.management import execute_from_command_line
    from django.urls import path

    urlpatterns = [path("pictures", upload), path("albums", album)]
    settings.configure(
        SAFEJUDGE=SAFEJUDGE,
        ROOT_URLCONF=__name__,
        SECRET_KEY="for tests",
        ALLOWED_HOSTS=["127.0.0.1"],
        MEDIA_ROOT="stored",
        FILE_UPLOAD_MAX_MEMORY_SIZE=3000,  # so that some uploads lie on the disk
    )
    execute_from_command_line(sys.argv)
