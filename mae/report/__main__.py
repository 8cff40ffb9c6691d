"""`python -m mae.report RUN [RUN …] [output=FILE]`: a run as one HTML page, or several beside each other.

runs      run directories, of pre-training, fine-tuning, a test or a probe; also without `runs=`, one after the other
output    the page (default: report.html in the directory of the one run, comparison.html in the working directory for
          several)

The page holds everything itself and asks nobody for anything: learning curves, throughput and where the time went,
reconstructions over the run, nearest neighbours and a map of the frozen features, probes, test figures with the classes
most often confused and frames of them, settings and what changed in them, versions, unreadable videos, and the commands
that made it. Of several runs it says what they were told differently. Frames are read from the videos, where these
still are. It needs the extra
`report`. Exit status: 0, 2 for a mistake in the arguments.
"""

if __name__ == "__main__":
    from mae.cli.exit_status import end_on_interrupt

    end_on_interrupt()  # before all that takes time to import

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mae.cli.arguments import command_config
from mae.cli.command import run_command
from mae.cli.typed import PATH
from mae.errors import ConfigError
from mae.report.at_end import REPORT
from mae.report.page import write_page
from mae.report.run_files import RunFiles

COMPARISON = "comparison.html"


@dataclass(frozen=True)
class ReportConfig:
    """The arguments of the command."""

    runs: list[str] = field(metadata=PATH)
    output: str | None = field(default=None, metadata=PATH)  # null: see the module's own text


def report(run_dirs: Sequence[str], output: str | None) -> str:
    """Writes the page; returns the line to print."""
    runs = [RunFiles(Path(run_dir)) for run_dir in run_dirs]
    path = Path(output) if output else (runs[0].path / REPORT if len(runs) == 1 else Path(COMPARISON))
    if not path.parent.is_dir():
        raise ConfigError(f"output={path}: there is no directory {path.parent}")
    try:
        write_page(runs, path)
    except OSError as error:
        raise ConfigError(f"{error.filename or path} cannot be read or written ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, ConfigError):
            raise
        named = ", ".join(run_dirs)
        raise ConfigError(f"a file of {named} is damaged ({type(error).__name__}: {error})") from error
    return f"{path}: {path.stat().st_size / 1e6:.1f} MB"


def parse(arguments: Sequence[str]) -> ReportConfig:
    """The arguments of the command; raises `ConfigError` for a mistake in them."""
    return command_config(ReportConfig, arguments, in_front=("runs",))


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    given = parse(arguments)
    print(report(given.runs, given.output))


if __name__ == "__main__":
    run_command(main, __doc__)
