"""Pages of HTML that hold everything themselves and ask nobody for anything."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mae.cli.commands import to_install
from mae.errors import ConfigError
from mae.files import replacing

_SHARED = Path(__file__).parent  # page.html with head and style, thumbnail.html


def check_libraries(packages: Mapping[str, str]) -> None:
    """Raises `ConfigError` where a library of a page is missing; none is imported.

    Args:
        packages: of the extra `report`: the name of each module, and of the package that brings it.
    """
    missing = [package for module, package in packages.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise ConfigError(f"a report needs {', '.join(missing)}: {to_install('report')}")


def write_html(template: Path, content: Mapping[str, Any], output: Path) -> None:
    """Writes a page; the whole file or nothing.

    Args:
        template: a Jinja file that extends `page.html`.
        content: what it is filled with: `title`, `subtitle`, `sections` (each with `id` and `title`) and its own.
        output: the file.
    """
    import jinja2

    loader = jinja2.FileSystemLoader([template.parent, _SHARED])
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, loader=loader)
    text = environment.get_template(template.name).render(**content)
    with replacing(output) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
