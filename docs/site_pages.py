"""What MkDocs makes the site of: the documents that `nav` names and all that they lead to, where they lie here.

Pages keep the paths they have in the repository, so a relative link leads to the same file on the site as on a code
host, and MkDocs checks every one of them. An entry of `nav` may name a section, as `README.md#settings`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Link, Navigation

ROOT = Path(__file__).parents[1]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The theme's files, and in place of those in `docs_dir` what can be reached from `nav`."""
    for file in [file for file in files if file.src_dir == config.docs_dir]:
        files.remove(file)
    wanted, found = [_page_of(entry) for entry in _entries(config.nav)], set[str]()
    while wanted:
        path = wanted.pop()
        if path not in found and (ROOT / path).is_file():
            found.add(path)
            files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
            wanted += _linked(path)
    return files


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> Navigation:
    """Sections in `nav` get their addresses."""
    for link in _links(nav.items):
        link.url = f"{_file_of(files, link.url).url}#{link.url.partition('#')[2]}"
    return nav


def on_env(env: Any, config: MkDocsConfig, files: Files) -> None:
    """Sections in `nav` are there; pages are rendered by now."""
    for entry in _entries(config.nav):
        page, anchor = _file_of(files, entry).page, entry.partition("#")[2]
        if anchor and anchor not in (page.present_anchor_ids or ()):
            raise PluginError(f"nav names {entry}, and that page has no such section")


def _file_of(files: Files, entry: str) -> File:
    file = files.get_file_from_path(_page_of(entry))
    if file is None:
        raise PluginError(f"nav names {entry}, and there is no such file")
    return file


def _page_of(entry: str) -> str:
    return entry.partition("#")[0]


def _entries(nav: Any) -> Iterator[str]:
    """The paths in `nav`, whatever their depth."""
    if isinstance(nav, str):
        yield nav
    else:
        for item in nav.values() if isinstance(nav, dict) else nav:
            yield from _entries(item)


def _links(items: list[Any]) -> Iterator[Link]:
    for item in items:
        if isinstance(item, Link):
            yield item
        yield from _links(item.children or [])


def _linked(path: str) -> list[str]:
    """What a document's relative links lead to; nothing for other files."""
    if not path.endswith(".md"):
        return []
    targets = re.findall(r"\]\(([^)#\s]+)", (ROOT / path).read_text(encoding="utf-8"))
    return [normpath(join(dirname(path), target)) for target in targets if "://" not in target]
