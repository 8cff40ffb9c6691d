"""`python -m mae.doctor [dataset=… model=… batch_size=…]`: what this machine has, and what is wrong with it.

Without arguments it looks at the libraries and their versions, the devices, whether two replicas train as one does, the
codecs (a small clip of each is encoded in memory and decoded), threads, memory, disks, W&B, and says how many clips a
second to expect of each size of model.

With arguments of pre-training, any of them, it says as well how much memory that run would take, and whether it is
there, before anybody waits for it. No video is read for that, and nothing is written.

backend       tensorflow or jax (default: as KERAS_BACKEND says, else tensorflow where it is installed)

What to do about a problem stands below it, after an arrow. Exit status: 0, 1 if training would fail, 2 for a mistake in
the arguments.
"""

if __name__ == "__main__":
    from mae.cli.exit_status import end_on_interrupt

    end_on_interrupt()  # before all that takes time to import

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from mae.cli.backend import load_backend
from mae.cli.command import run_command
from mae.cli.commands import to_install
from mae.doctor.codecs import check_codecs
from mae.doctor.computing import check_devices, check_replicas
from mae.doctor.finding import Finding, fatal
from mae.doctor.fitting import check_memory
from mae.doctor.machine import check_machine
from mae.doctor.software import check_software
from mae.engines.engine import Setup
from mae.errors import ConfigError
from mae.pretraining.config import PretrainConfig

EXIT_FAILS = 1


def composed_config(arguments: Sequence[str]) -> PretrainConfig:
    """The config of `pretrain.py` with these arguments; raises `ConfigError` as it does."""
    from mae.pretraining.command import command

    return command().config(arguments)


def examine(config: PretrainConfig, is_asked: bool) -> Iterator[list[Finding]]:
    """What there is to say, in the order in which it is found out.

    Args:
        is_asked: somebody wants to know about this very run.
    """
    yield check_software()
    yield check_codecs()
    yield check_machine(Path(config.run_dir))
    try:
        load_backend(config.backend)
    except ConfigError as error:
        yield [fatal("engine", str(error), f"{to_install('tensorflow')}, or of jax, and give that backend")]
        return
    engine, found = check_devices(_setup(config))
    yield found
    yield [check_replicas(config.backend)]
    if engine is None:
        return
    from mae.doctor.speed import check_speed

    yield [check_speed(engine)]
    if is_asked:
        yield check_memory(config, engine)


def _setup(config: PretrainConfig) -> Any:
    """The devices of this machine alone, whatever cluster the run is meant for."""
    if config.strategy == "multiworker":
        return Setup("auto", device=config.device)
    return config.setup


def main(arguments: list[str]) -> int:
    """Runs the command; returns its exit status."""
    config = composed_config(arguments)
    found = []
    for findings in examine(config, bool(arguments)):
        for finding in findings:
            print(finding, flush=True)
        found.append(findings)
    problems = [finding for finding in chain(*found) if finding.remedy is not None]
    fails = [finding for finding in problems if finding.is_fatal]
    if fails:
        print(f"training would fail here: {', '.join(finding.topic for finding in fails)}")
        return EXIT_FAILS
    print(f"training can run here; {len(problems) or 'no'} problem{'s' * (len(problems) != 1)}")
    return 0


if __name__ == "__main__":
    run_command(main, __doc__)
