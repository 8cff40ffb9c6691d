"""The order in which a compiled function computes, where it decides how much memory is held."""

from contextlib import nullcontext
from typing import Any

from keras import ops


def after(known: Any, *arrays: Any) -> Any:
    """`arrays` as they are, but what is computed of them is computed once `known` is there.

    A gradient that computes something again from what was kept needs this. TensorFlow runs each operation of a graph
    as soon as its inputs exist: it would do so in the forward pass, and hold what was not to be held. A backend that
    runs line by line has no graph and needs nothing. No gradient flows through.
    """
    graph = getattr(known, "graph", None)
    with nullcontext() if graph is None else graph.control_dependencies([known]):
        made = tuple(ops.stop_gradient(array) for array in arrays)
    return made[0] if len(made) == 1 else made
