"""Every setting that is text, of every command, is taken as typed; no list names them, so that none is forgotten."""

import os
from pathlib import Path

import pytest
from configured import composed
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString

from mae import convert
from mae.attention import AttentionConfig
from mae.cli.arguments import command_config
from mae.cli.overrides import quote_texts
from mae.cli.quoting import quoted, setting, swept, unquoted
from mae.cli.typed import checked_values, register_resolvers, text_settings
from mae.data.config import DATASET_KINDS
from mae.data.pack.__main__ import PackConfig
from mae.data.pack.__main__ import parse as parse_pack
from mae.data.scan.__main__ import ScanConfig
from mae.extract import ExtractConfig
from mae.finetuning import config as finetuning
from mae.masks import MasksConfig
from mae.predict import PredictConfig
from mae.pretraining import config as pretraining
from mae.reconstruct import ReconstructConfig
from mae.training.config import CHOICES

HOME = "/home/ada"
VALUES = (
    "007",
    "1e3",
    "2024_1_12",
    "null",
    "true",
    "a=b",
    "a,b",
    "x y",
    "é",
    "#1",
    "~/x",
    "[1",
    "{a:b}",
    "",
    "'",
    "a\\",
)
PATHS = {
    "run_dir",
    "resume",
    "init_from",
    "dataset.root",
    "dataset.train",
    "dataset.val",
    "dataset.test",
    "data.remote_cache",
}
PATHS_OF_COMMANDS = {"checkpoint", "video", "videos", "output", "root", "classes", "report"}
COMMANDS = (ExtractConfig, PredictConfig, ReconstructConfig, AttentionConfig, MasksConfig, ScanConfig, PackConfig)


@pytest.fixture(autouse=True)
def home(monkeypatch):
    register_resolvers()
    monkeypatch.setenv("HOME", HOME)


def meant(name, value, paths, may_be_none):
    """What a user means who types `name=value`."""
    if value == "null" and may_be_none:
        return None
    return f"{HOME}/x" if value == "~/x" and name in paths else value


def typed_texts(of, kind, arguments):
    """The text settings as `pretrain.py` or `finetune.py` has them, before they are looked at for what they say."""
    finetuning.register_finetune_resolvers()
    made = composed("pretrain" if of is pretraining else "finetune", arguments)
    sections = {**of.SECTIONS, "dataset": DATASET_KINDS[kind], "optimizer": CHOICES["optimizer"].options["adamw"]}
    config = of.PretrainConfig if of is pretraining else of.FinetuneConfig
    found = checked_values(config, made, elsewhere=tuple(sections))
    for section, cls in sections.items():
        values = checked_values(cls, made[section], f"{section}.", elsewhere=("kind",))
        found |= {f"{section}.{key}": value for key, value in values.items()}
    return found


def texts_of(of, kind):
    """The text settings that there are with that kind of data set, and whether each may be none."""
    dataset = text_settings(DATASET_KINDS[kind])
    others = {name: may for name, may in of.TEXTS.items() if not name.startswith("dataset.")}
    return others | {f"dataset.{name}": may for name, may in dataset.items()}


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    ("of", "kind"), [(pretraining, "csv"), (pretraining, "folder"), (pretraining, "shapes"), (finetuning, "csv")]
)
def test_texts_of_runs_are_what_was_typed(of, kind, value):
    texts = texts_of(of, kind)
    assert len(texts) > 25
    paths = PATHS | ({"dataset.classes"} if kind == "csv" else set())
    given = [f"{name}={value}" for name in texts]
    found = typed_texts(of, kind, [f"dataset={kind}", *quote_texts(given, texts)])
    expected = {name: meant(name, value, paths, may_be_none) for name, may_be_none in texts.items()}
    assert {name: found[name] for name in texts} == expected


@pytest.mark.parametrize("value", [value for value in VALUES if value != "a,b"])
def test_texts_of_sweeps_are_what_was_typed(value):
    """Two of each, as `key=value,other`; and both at once as `key=choice(value,other)`."""
    texts = texts_of(pretraining, "csv")
    if value == "'":
        value = r"'\''"  # an open quote would hide the comma
    for form in ("{},other", "choice({},other)"):
        arguments = quote_texts(["-m", *(f"{name}={form.format(value)}" for name in ("run_dir", "wandb.name"))], texts)
        overrides = OverridesParser.create().parse_overrides(arguments[1:])
        jobs = BasicSweeper.split_arguments(overrides, max_batch_size=None)[0]
        assert len(jobs) == 4
        found = [typed_texts(pretraining, "csv", ["dataset=csv", *job]) for job in jobs]
        text = "'" if value == r"'\''" else value
        run_dir, name = meant("run_dir", text, PATHS, False), meant("wandb.name", text, PATHS, True)
        assert [(f["run_dir"], f["wandb.name"]) for f in found] == [
            (run_dir, name),
            (run_dir, "other"),
            ("other", name),
            ("other", "other"),
        ]


@pytest.mark.parametrize(
    ("typed", "elements"),
    [
        ("a,b", ["a", "b"]),
        ("'a,b', c d", ["'a,b'", "c d"]),
        ("${x:{a:1,b:2}},c", ["${x:{a:1,b:2}}", "c"]),
        ("a}b,c", ["a}b", "c"]),
    ],
)
def test_a_comma_in_quotes_separates_nothing_in_a_sweep(typed, elements):
    assert swept(typed) == elements


def test_what_is_no_text_and_what_is_no_setting_stays():
    arguments = ["-m", "mask_ratio=0.5,0.9", "dataset=csv", "run_dir=glob(*)", "--cfg", "job", "~run_dir"]
    assert quote_texts(arguments, pretraining.TEXTS) == arguments
    assert quote_texts(["++run_dir=1e3"], pretraining.TEXTS) == ["++run_dir='1e3'"]


def test_a_text_refers_to_other_settings():
    (argument,) = quote_texts(["run_dir=outputs/${model.preset} 1"], pretraining.TEXTS)
    assert typed_texts(pretraining, "csv", ["dataset=csv", argument])["run_dir"] == "outputs/vit_base 1"


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ('"ft 1"', "ft 1"),
        ("'ft 1'", "ft 1"),
        ('"null"', "null"),
        ("a 'b' c", "a 'b' c"),
        ("'a' and 'b'", "'a' and 'b'"),
        (r"'it\'s'", "it's"),
        (r"'c:\new\\'", "c:\\new\\"),
        ("'", "'"),
        ("''", ""),
    ],
)
def test_quotes_from_end_to_end_are_taken_off(typed, text):
    assert unquoted(typed) == text


@pytest.mark.parametrize("text", [*VALUES, "'a'", '"a"', "it's", r"\'", "\\\\", r"a\'b\\"])
def test_quotes_put_on_are_hydras_and_come_off_again(text):
    assert quoted(text) == QuotedString(text, Quote.single).with_quotes()
    assert unquoted(quoted(text)) == text
    assert unquoted(setting("key", text).removeprefix("key=")) == text
    assert (setting("key", text) != f"key={text}") == (text in ("null", "'a'", '"a"'))


@pytest.mark.parametrize("value", [*VALUES, "${a}"])
@pytest.mark.parametrize("cls", COMMANDS)
def test_texts_of_commands_are_what_was_typed(cls, value):
    unchecked = type("Unchecked", (cls,), {"__post_init__": lambda self: None})
    texts = text_settings(cls)
    assert texts
    for written in (value, quoted(value)):
        config = command_config(unchecked, [f"{name}={written}" for name in texts])
        for name, may_be_none in texts.items():
            expected = meant(name, value, PATHS_OF_COMMANDS, may_be_none and written == value)
            assert getattr(config, name) == expected


def test_arguments_without_a_name_are_what_was_typed():
    given = convert.parse(["~/a 1", '"b c"', "to=pytorch", "classes=~/x", "licence='null'"])
    assert (given.source, given.output, given.classes, given.licence) == (f"{HOME}/a 1", "b c", f"{HOME}/x", "null")
    source, output, _ = parse_pack(["'1e3'", "~/packed"])
    assert (source, output) == (Path(os.getcwd(), "1e3"), Path(HOME, "packed"))
