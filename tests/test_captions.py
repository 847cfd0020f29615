"""Prompt files: both formats, matching by path and by name, and every refusal with its line."""

import json

import pytest

from safejudge.errors import InputError
from safejudge.images.captions import captions_digest, captions_for, match_captions, read_captions


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


@pytest.mark.parametrize(
    ("caption", "image"),
    [
        ("caf\u00e9.png", "in/cafe\u0301.png"),
        ("in\\b.png", "in/b.png"),
        ("./in//b.png", "in/b.png"),
        ("{here}/in/b.png", "in/b.png"),
        ("in/b.png", "{here}/in/b.png"),
    ],
)
def test_a_name_may_be_spelled_another_way(tmp_path, monkeypatch, caption, image):
    monkeypatch.chdir(tmp_path)
    caption, image = (name.replace("{here}", str(tmp_path)) for name in (caption, image))
    captions = read_captions(write(tmp_path, json.dumps({"image": caption, "prompt": "x"})))
    matched = match_captions(captions, [image])
    assert matched == (["x"], [], [])


@pytest.mark.parametrize(
    "names",
    [
        ("a.png", "./a.png"), ("a.png", "{here}/a.png"), ("d/a.png", "d\\a.png"),
        ("caf\u00e9.png", "cafe\u0301.png"),
    ],
)  # fmt: skip
def test_two_spellings_of_one_name_are_refused(tmp_path, monkeypatch, names):
    monkeypatch.chdir(tmp_path)
    rows = [{"image": name.replace("{here}", str(tmp_path)), "prompt": "x"} for name in names]
    with pytest.raises(InputError, match=r":2: a second prompt for .*the first: line 1"):
        read_captions(write(tmp_path, "\n".join(map(json.dumps, rows))))


def test_a_near_miss_is_named(tmp_path):
    file = write(tmp_path, "image,prompt\nA.PNG,x\n")
    _, _, warnings = captions_for(file, ["in/a.png"])
    assert "(the first: A.PNG; do you mean in/a.png?)" in warnings[1]


def test_a_name_that_two_images_have_is_refused():
    with pytest.raises(InputError, match=r"fits 2 images \(d/a.png, e/a.png\)"):
        match_captions({"a.png": "x"}, ["d/a.png", "e/a.png"])


def test_the_digest_knows_captions_and_not_their_order():
    first = captions_digest({"a": "x", "b": None})
    assert first == captions_digest({"b": None, "a": "x"})
    assert first != captions_digest({"a": "x", "b": ""})
