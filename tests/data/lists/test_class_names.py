import pytest
from list_files import message_of, write_list

from mae.data.lists.class_names import read_class_names, read_labels


@pytest.mark.parametrize("text", ["a b\n#c\n", "\ufeffa b\r\n#c\r\n\r\n", "a b \n #c"])
def test_names_by_number(tmp_path, text):
    assert read_class_names(write_list(tmp_path, text)) == ("a b", "#c")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\n\nb\n", "line 2 is empty"),
        (b"", "line 1 is empty"),
        (b"a\nb\na\n", "line 3: 'a' is in line 1 already"),
        (b"caf\xe9\n", "not a UTF-8 text (byte 3)"),
    ],
)
def test_mistakes(tmp_path, content, message):
    assert message in message_of(read_class_names, write_list(tmp_path, content))


@pytest.mark.parametrize(
    "text", ["a b\nc\n", "\ufeffa b\nc", '["a b", "c"]', '{"1": "c", "0": "a b"}', '\ufeff["a b", "c"]']
)
def test_labels_as_text_or_json(tmp_path, text):
    assert read_labels(write_list(tmp_path, text)) == {0: "a b", 1: "c"}


@pytest.mark.parametrize(
    ("content", "message"), [(b'{"a": 1}', "holds no class names"), (b"caf\xe9\n", "not a UTF-8 text (byte 3)")]
)
def test_labels_that_are_none(tmp_path, content, message):
    assert message in message_of(read_labels, write_list(tmp_path, content))


def test_no_such_file(tmp_path):
    assert "cannot be read (No such file" in message_of(read_labels, tmp_path / "absent.txt")
    assert "cannot be read (No such file" in message_of(read_class_names, tmp_path / "absent.txt")
