"""What libraries import for parts of them that nothing here uses, left out: each command starts sooner."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*packages: str) -> Iterator[None]:
    """Within it these packages are as if they were not installed, but for those that are imported already."""
    absent = [package for package in packages if package not in sys.modules]
    for package in absent:
        sys.modules[package] = None  # type: ignore[assignment]  # so that importing it raises ModuleNotFoundError
    try:
        yield
    finally:
        for package in absent:
            del sys.modules[package]
