"""What the doctor found about one thing."""

import textwrap
from dataclasses import dataclass
from itertools import zip_longest

_TOPIC, _WIDTH = 12, 120  # characters


@dataclass(frozen=True)
class Finding:
    """A line of the doctor's table."""

    topic: str
    text: str
    remedy: str | None = None  # None: there is no problem
    is_fatal: bool = False  # training would fail

    def __str__(self) -> str:
        """As the console shows it; a problem has its remedy below it."""
        lines = self.text.split("\n")
        if self.remedy is not None:
            lines[0] = f"{'FAILS' if self.is_fatal else 'problem'}: {lines[0]}"
            lines.append(f"→ {self.remedy}")
        wrapped = [part for line in lines for part in textwrap.wrap(line, _WIDTH - _TOPIC, subsequent_indent="  ")]
        return "\n".join(f"{name:<{_TOPIC}}{line}" for name, line in zip_longest([self.topic], wrapped, fillvalue=""))


def fatal(topic: str, text: str, remedy: str) -> Finding:
    """Something that training would fail at."""
    return Finding(topic, text, remedy, is_fatal=True)
