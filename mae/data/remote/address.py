"""What an address is, as `s3://bucket/walk/a.mp4`, and what is relative to one."""

import re

ADDRESS = r"[A-Za-z][\w+.-]+(?:::[\w+.-]+)*://"  # how one begins: also `zip://a.mp4::s3://bucket/videos.zip`


def is_remote(path: object) -> bool:
    """Whether a path is an address that `fsspec` opens, and no path of this machine."""
    return isinstance(path, str) and re.match(ADDRESS, path) is not None


def at_address(base: str, path: str) -> str:
    """What a path that is relative to an address means."""
    return f"{base.rstrip('/')}/{path.removeprefix('./')}"


def parent_address(address: str) -> str:
    """The folder that a file at an address lies in."""
    return address.rpartition("/")[0]


def without_scheme(address: str) -> str:
    """An address as a path that files may be named by: `bucket/walk/a.mp4`."""
    return address.partition("://")[2].lstrip("/")
