"""Prompt files: both formats, matching by path and by name, and every refusal with its line."""

import pytest

from safejudge.errors import InputError
from safejudge.images.captions import captions_digest, match_captions, read_captions


def write(tmp_path, content):
    path = tmp_path / "prompts"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


@pytest.mark.parametrize(
    "content",
    [
        '{"image": "a.png", "prompt": "a dog, \\"big\\""}\n\n{"image":"./d/b.png","prompt":null}',
        'image,prompt\na.png,"a dog, ""big"""\n',
        b'\xef\xbb\xbfmodel,prompt,image\r\nx,"a dog, ""big""",a.png\r\n',
    ],
)
def test_both_formats(tmp_path, content):
    captions = read_captions(write(tmp_path, content))
    assert captions["a.png"] == 'a dog, "big"'
    assert captions.get("d/b.png", None) is None


def test_a_prompt_may_have_lines_and_any_script(tmp_path):
    path = write(tmp_path, 'image,prompt\na.png,"eine\nzweite Zeile, für 猫"\nb.png,x\n')
    assert read_captions(path) == {"a.png": "eine\nzweite Zeile, für 猫", "b.png": "x"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"image": "a", "prompt": "x"}\n{"image": "./a", "prompt": "x"}', ":2: a second prompt"),
        ("image,prompt\na,x\na,x\n", ":3: a second prompt"),
        ('{"image": "a"}', ":1: write one"),
        ('{"image": "a", "prompt": 3}', ":1: `image` must be a name"),
        ('{"image": "", "prompt": "x"}', ":1: `image` must be a name"),
        ('{"image": "a", "prompt": "x"}\nnope', ":2: no JSON"),
        ("file,text\na,x\n", ":1: the first line must name"),
        ("", ":1: the first line must name"),
        ("image,prompt\na,x,y\n", ":2: has another number of columns"),
        ("image,prompt\na\n", ":2: has another number of columns"),
        ('image,prompt\na,"x', "no CSV"),
        (b"image,prompt\na,\xff\n", "is not UTF-8"),
    ],
)
def test_refusals(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read_captions(write(tmp_path, content))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_captions(str(tmp_path / "none"))


def test_a_path_goes_before_a_name():
    captions = {"d/a.png": "path", "a.png": "name", "z.png": "unused", "n.png": None}
    matched = match_captions(captions, ["./d/a.png", "e/a.png", "b.png", "e/a.png", "n.png"])
    assert matched.prompts == ["path", "name", None, "name", None]
    assert (matched.missing, matched.unknown) == (["b.png"], ["z.png"])


def test_a_name_that_two_images_have_is_refused():
    with pytest.raises(InputError, match=r"fits 2 images \(d/a.png, e/a.png\)"):
        match_captions({"a.png": "x"}, ["d/a.png", "e/a.png"])


def test_the_digest_knows_captions_and_not_their_order():
    first = captions_digest({"a": "x", "b": None})
    assert first == captions_digest({"b": None, "a": "x"})
    assert first != captions_digest({"a": "x", "b": ""})
