"""The libraries that a report is made with, which are an extra."""

import importlib.util

from mae.cli.commands import to_install
from mae.errors import ConfigError

PACKAGES = {"jinja2": "jinja2", "matplotlib": "matplotlib", "sklearn": "scikit-learn"}  # module and package


def check_libraries() -> None:
    """Raises `ConfigError` where one of them is missing; none is imported."""
    missing = [package for module, package in PACKAGES.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise ConfigError(f"a report needs {', '.join(missing)}: {to_install('report')}")
