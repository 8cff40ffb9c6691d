"""Which settings the code reads: told from the types that mypy finds, as one name may be a setting of many classes."""

import contextlib
from collections import defaultdict
from pathlib import Path

from mypy import build
from mypy.main import process_options
from mypy.modulefinder import BuildSource
from mypy.nodes import CallExpr, Decorator, FuncDef, MemberExpr, NameExpr, TypeInfo
from mypy.types import Instance, Type, TypeVarType, UnionType, get_proper_type

ROOT = Path(__file__).parents[1]
COMMANDS = ("pretrain.py", "finetune.py")


class Reads:
    """What is read of each class by `mae`, the two commands and the modules that are given, as `name="its text"`.

    Classes go by their full names, as `mae.data.config.DataConfig`.
    """

    def __init__(self, **modules: str) -> None:
        with contextlib.chdir(ROOT):
            # Without the sources of libraries, most of them JAX's: no library's class is one of settings.
            package, options = process_options(["--no-incremental", "--follow-imports=skip"])
            options.export_types = options.preserve_asts = True
            commands = [BuildSource(name, Path(name).stem) for name in COMMANDS]
            given = [BuildSource(f"{name}.py", name, text) for name, text in modules.items()]
            result = build.build([*package, *commands, *given], options)
        symbols = [symbol.node for file in result.files.values() for symbol in file.names.values()]
        self._classes = {node.fullname: node for node in symbols if isinstance(node, TypeInfo)}
        self._outside = defaultdict(set)  # class: names read by others
        self._inside = defaultdict(set)  # class, method: names that it reads of `self`
        self._commands = set()
        for node in result.types:
            if isinstance(node, MemberExpr):
                for info in _classes(result.types.get(node.expr)):
                    self._note(info, node)
            elif isinstance(node, CallExpr) and getattr(node.callee, "name", "") == "command_config":
                self._commands.add(node.args[0].fullname)

    def _note(self, info: TypeInfo, node: MemberExpr) -> None:
        if not (isinstance(node.expr, NameExpr) and node.expr.name == "self"):
            self._outside[info.fullname].add(node.name)
            return
        for name, symbol in info.names.items():
            method = symbol.node.func if isinstance(symbol.node, Decorator) else symbol.node
            if isinstance(method, FuncDef) and method.line <= node.line <= (method.end_line or 0):
                self._inside[info.fullname, name].add(node.name)

    @property
    def of_commands(self) -> set[str]:
        """The classes that `python -m mae.…` commands take their arguments as."""
        return self._commands

    def of(self, name: str) -> set[str]:
        """What is read of a class by code outside it, and by those of its methods and properties that are.

        Code that reads a base class reads all its subclasses, but not the other way round.
        """
        bases = [base.fullname for base in self._classes[name].mro[:-1]]
        read: set[str] = set()
        found = {member for base in bases for member in self._outside[base]}
        while found - read:
            read |= found
            found = {member for base in bases for method in read for member in self._inside[base, method]}
        return read


def _classes(kind: Type | None) -> list[TypeInfo]:
    kind = get_proper_type(kind)
    if isinstance(kind, Instance):
        return [kind.type]
    if isinstance(kind, UnionType):
        return [info for item in kind.items for info in _classes(item)]
    if isinstance(kind, TypeVarType):
        return _classes(kind.upper_bound)
    return []
