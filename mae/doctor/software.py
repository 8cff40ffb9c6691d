"""Which libraries are here, and whether they fit each other."""

import importlib.metadata as metadata
import platform
from collections.abc import Callable, Iterable

from packaging.requirements import Requirement

from mae.cli.commands import PROJECT, to_install
from mae.doctor.finding import Finding, fatal
from mae.options import BACKENDS

# OpenCV's wheels all write the same files: of two of them the one installed last wins, and removing one breaks both.
OPENCV_WHEELS = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python-headless",
    "opencv-contrib-python",
)

Version = Callable[[str], str | None]


def installed_version(package: str) -> str | None:
    """None: it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def check_software(version: Version = installed_version, requirements: Iterable[str] | None = None) -> list[Finding]:
    """Python, the packages that training needs and their versions, and OpenCV's wheels.

    Args:
        version: of a package.
        requirements: of this project, as its metadata has them; None: those that are installed with it.
    """
    if requirements is None:
        requirements = metadata.requires(PROJECT) or ()
    needed = [Requirement(line) for line in requirements]
    return [
        Finding("python", platform.python_version()),
        *_check_engines(needed, version),
        *_check_packages(needed, version),
        _check_opencv(version),
    ]


def _check_engines(needed: list[Requirement], version: Version) -> list[Finding]:
    """TensorFlow and JAX, one of which has to be here, in the versions they were tested in."""
    if not any(version(name) for name in BACKENDS):
        return [fatal("engines", "neither TensorFlow nor JAX is installed", to_install("tensorflow"))]
    found = []
    for name in BACKENDS:
        asked = [r for r in needed if r.name == name and r.marker and r.marker.evaluate({"extra": name})]
        found.append(_compare(name, version(name), asked[0] if asked else None, to_install(name)))
    jax, jaxlib = version("jax"), version("jaxlib")
    if jax is not None and jaxlib is not None and jax != jaxlib:
        found.append(fatal("jax", f"jax {jax} with jaxlib {jaxlib}", f"pip install 'jaxlib=={jax}': they go together"))
    return found


def _check_packages(needed: list[Requirement], version: Version) -> list[Finding]:
    """One line for all that are as they should be, and one for each of the others."""
    plain = [r for r in needed if r.marker is None]
    compared = [(r, _compare(r.name, version(r.name), r, f"pip install '{r}'")) for r in plain]
    fine = [f"{r.name} {version(r.name)}" for r, finding in compared if finding.remedy is None]
    others = [
        fatal(finding.topic, finding.text, finding.remedy) if version(r.name) is None else finding
        for r, finding in compared
        if finding.remedy is not None and r.name not in OPENCV_WHEELS  # see `_check_opencv`
    ]
    return [Finding("packages", ", ".join(fine)), *others]


def _compare(name: str, found: str | None, asked: Requirement | None, remedy: str) -> Finding:
    if found is None:
        return Finding(name, "not installed", None if name in BACKENDS else remedy)
    if asked is not None and not asked.specifier.contains(found, prereleases=True):
        return Finding(name, f"{found}, and {asked.specifier} was tested", remedy)
    return Finding(name, found)


def _check_opencv(version: Version) -> Finding:
    here = {name: found for name in OPENCV_WHEELS if (found := version(name)) is not None}
    listed = ", ".join(f"{name} {found}" for name, found in here.items())
    if not here:
        return fatal("opencv", "not installed", "pip install opencv-python-headless")
    if len(here) > 1:
        again = f"pip uninstall -y {' '.join(here)} && pip install {OPENCV_WHEELS[0]}"
        return Finding("opencv", f"{len(here)} wheels over each other: {listed}", again)
    return Finding("opencv", listed)
