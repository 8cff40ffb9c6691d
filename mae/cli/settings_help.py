"""The help of a command of Hydra's: every setting, what it is now, and the comment that stands beside it in `conf/`."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml
from hydra import compose
from omegaconf import DictConfig, ListConfig

from mae.cli.overrides import Place, composing, first_of_sweep, groups

_COMMENT = re.compile(r"#\s*(?P<text>.*?)\s*$")
_NOT_SETTINGS = ("defaults", "hydra")
_WIDTH = 40  # of a setting, where its comment begins


def settings_help(
    purpose: str, config_dir: Path, config_name: str, arguments: Sequence[str], shared_dir: Path | None
) -> str:
    """The text; arguments as of `mae.cli.overrides.check_overrides`, which found them right."""
    with composing(config_dir, config_name, arguments, shared_dir) as place:
        composed = compose(place.config_name, overrides=first_of_sweep(place.flags.overrides), return_hydra_config=True)
        options = {name: names for name, names in groups(place.directories).items() if names}
        chosen = {name: option for name, option in composed.hydra.runtime.choices.items() if name in options}
        settings = list(_settings(composed, _all_comments(place, chosen)))
    lines = [
        purpose,
        "\n== Groups (choose with group=option) ==",
        *(f"{name}: {', '.join(names)}" for name, names in options.items()),
        "\n== Settings (override with key=value), as the arguments leave them ==",
        *settings,
        "\n--config-dir DIR adds a folder with options of your own, as DIR/dataset/NAME.yaml; --multirun runs all that",
        "commas separate; --cfg job prints the settings as YAML; --hydra-help tells the other flags.",
    ]
    return "\n".join(lines)


def _settings(node: DictConfig, comments: dict[str, str], prefix: str = "") -> Iterator[str]:
    """A line for each setting; then the sections, with a line before each."""
    named = {f"{prefix}{key}": node[key] for key in node if key not in _NOT_SETTINGS}
    for name, value in named.items():
        if not isinstance(value, DictConfig):
            yield _line(f"{name}={_typed(value)}", comments.get(name, ""))
    for name, value in named.items():
        if isinstance(value, DictConfig):
            yield "\n" + _line(f"{name}:", comments.get(name, ""))
            yield from _settings(value, comments, f"{name}.")


def _line(setting: str, comment: str) -> str:
    lines = comment.splitlines()
    beside = [setting, *[""] * (len(lines) - 1)]
    return "\n".join(f"{left:<{_WIDTH}}  # {line}" for left, line in zip(beside, lines, strict=False)) or setting


def _typed(value: object) -> str:
    """A value as it is typed."""
    if isinstance(value, ListConfig):
        return f"[{','.join(map(_typed, value))}]"
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)


def _all_comments(place: Place, chosen: dict[str, str]) -> dict[str, str]:
    """By setting: of the option that is chosen, else of the command's own file, else of what the options share."""
    options = [(_file(place, group, option), group) for group, option in chosen.items()]
    shared = [(path, group) for option, group in options for path in sorted(option.parent.glob("_*.yaml"))]
    found: dict[str, str] = {}
    for path, group in (*options, (_file(place, "", place.config_name), ""), *shared):
        for key, comment in comments_of(path, group).items():
            found.setdefault(key, comment)
    return found


def _file(place: Place, group: str, option: str) -> Path:
    """The one that Hydra takes."""
    paths = [directory / group / f"{option}.yaml" for directory in place.directories]
    return next(path for path in paths if path.is_file())


def comments_of(path: Path, group: str = "") -> dict[str, str]:
    """The comments that stand behind the settings of a file, by the settings' full names; more lines below go with one.

    Args:
        group: that the file is an option of.
    """
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    is_global = not group or lines[0].endswith("@package _global_")
    return dict(_commented(yaml.compose(text), lines, "" if is_global else f"{group}."))


def _commented(node: yaml.Node | None, lines: Sequence[str], prefix: str) -> Iterator[tuple[str, str]]:
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        name, line = f"{prefix}{key.value}", key.start_mark.line
        if name in _NOT_SETTINGS:
            continue
        ends = value.end_mark.column if value.end_mark.line == line else key.end_mark.column
        comment = _COMMENT.search(lines[line], ends)
        if comment is not None:
            more = _below(lines[line + 1 :], key.start_mark.column)
            yield name, "\n".join([comment["text"], *more])
        yield from _commented(value, lines, f"{name}.")


def _below(lines: Sequence[str], column: int) -> Iterator[str]:
    """The first lines that are a comment alone and begin to the right of a column."""
    for line in lines:
        indent = len(line) - len(line.lstrip())
        comment = _COMMENT.fullmatch(line, indent)
        if comment is None or indent <= column:
            return
        yield comment["text"]
