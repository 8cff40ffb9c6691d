"""The report that a run leaves at its end."""

from pathlib import Path

from mae.errors import ConfigError, one_line
from mae.report.page import write_page
from mae.report.run_files import RunFiles

REPORT = "report.html"


def leave_report(run_dir: Path) -> str:
    """Writes `report.html` into the directory of a run; returns the line to print. Never raises."""
    try:
        write_page([RunFiles(run_dir)], run_dir / REPORT)
    except ConfigError as error:
        return f"no {REPORT}: {one_line(error)} (report=false: none is tried)"
    # Whatever else a library thinks of a run's figures or a disk of a file: the run is complete.
    except Exception as error:
        return f"warning: no {REPORT} ({type(error).__name__}: {one_line(error)[:200]}); the run itself is complete"
    return f"report: {run_dir / REPORT}"
