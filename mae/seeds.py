"""Random numbers as a function of what they are for.

There is no global random state in this package. Every random choice draws from a generator made from the
run's seed, the purpose of the draw and the counters that identify it (epoch, example, step), so the same
example gets the same clip, crop and mask with one worker or eight, before and after a resume.
"""

import random
import zlib

import numpy as np


def generator(seed: int, purpose: str, *counters: int) -> np.random.Generator:
    """A NumPy generator that depends on nothing but its arguments.

    `purpose` keeps draws apart that share their counters: the crop and the mask of one example.
    """
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), *counters])


def seed_initializers(seed: int) -> None:
    """Makes the initial weights of the models that are built next a function of the seed.

    Keras' initialisers draw their own seeds from Python's global generator and have no other way to be seeded together;
    `keras.utils.set_random_seed` does that, too, and imports every framework that is installed.
    """
    random.seed(seed)
