"""What values in files may be, and what is said of others."""

import json

import numpy as np
import pytest

from mae.checkpoints.schema import (
    FLAG,
    above_zero,
    check,
    class_names,
    json_object,
    listing,
    one_or_equal,
    optional,
    read_json,
    share,
    table,
    text,
    whole,
)
from mae.errors import ConfigError

NAN = float("nan")


@pytest.mark.parametrize(
    ("rule", "allowed", "refused"),
    [
        (whole(1, 9), [1, 9], [0, 10, 1.0, "1", True, None, [1], NAN, 10**400, np.ones(2)]),
        (above_zero(1.0), [1e-12, 1, 0.5], [0, -1, 1.5, NAN, float("inf"), "1e-6", True, None]),
        (share(), [0, 1, 0.9], [-0.1, 1.1, NAN, "0.5", True]),
        (text(3), ["", "abc"], ["abcd", b"abc", 3, None]),
        (table(2), [{}, {"a": 1}], [{1: 1, 2: 2, 3: 3}, [], None, "a"]),
        (FLAG, [True, False], [0, 1, "true", None]),
        (listing(whole(0, 9), most=2), [[], [1, 2]], [[1, 2, 3], [10], (1, 2), "12"]),
        (one_or_equal(whole(1, 9)), [3, [3], [3, 3]], [[], [3, 4], [0], [3] * 4, [[3]], "3"]),
        (optional(whole(1, 9)), [None, 1], [0]),
    ],
)
def test_rules(rule, allowed, refused):
    for value in allowed:
        assert check("x", "y", value, rule) is value
    for value in refused:
        with pytest.raises(ConfigError, match=r"x: y holds .*; it may hold"):
            check("x", "y", value, rule)


def test_the_sentence_names_file_field_value_and_range():
    with pytest.raises(ConfigError) as refused:
        check("a/config.json", "hidden_size", "x" * 9999, whole(1, 65536))
    said = str(refused.value)
    assert said.startswith("a/config.json: hidden_size holds 'xxx")
    assert said.endswith("… (9999 long); it may hold a whole number from 1 to 65536")
    assert len(said) < 250


def test_names_of_classes():
    assert class_names("x", "id2label", {"0": "left", 1: "right", "10": ""}) == {0: "left", 1: "right", 10: ""}
    assert class_names("x", "id2label", None) == {}
    for value in (
        [],
        "a",
        {"a": "left"},
        {"-1": "left"},
        {"0": 3},
        {0.5: "left"},
        {"9" * 5000: "left"},
        {"0": "x" * 1001},
    ):
        with pytest.raises(ConfigError, match="id2label"):
            class_names("x", "id2label", value)


def test_json(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"a": [1]}))
    assert read_json(path) == {"a": [1]}
    with pytest.raises(ConfigError, match="there is no"):
        read_json(tmp_path / "other.json")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_json(tmp_path)
    for content in ("[" * 200_000, '{"a":' * 200_000, "[1]", "{", "", "\xff", '{"a": ' + "9" * 5000 + "}"):
        with pytest.raises(ConfigError, match=r"the file is not (valid JSON|a JSON object)"):
            json_object("the file", content)
    with pytest.raises(ConfigError, match="the file is not valid JSON"):
        json_object("the file", b"\xff{}")
    path.write_text("{" + " " * (4 << 20) + "}")
    with pytest.raises(ConfigError, match=r"config\.json is longer than the 4 MB"):
        read_json(path)
