"""The copies of a model under `tf.distribute`: sums over them, and updates of each."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf


class StrategyReplicas:
    """See `mae.engines.replicas.Replicas`; of the strategy in whose replica context it is called."""

    def total(self, values: Sequence[Any]) -> list[Any]:
        context = tf.distribute.get_replica_context()
        return list(context.all_reduce(tf.distribute.ReduceOp.SUM, list(values)))

    def choose(
        self,
        condition: Any,
        action: Callable[..., None],
        otherwise: Callable[[], None],
        arguments: Any,
        variables: Sequence[keras.Variable],
    ) -> None:
        def on_all(strategy: Any, condition: Any, arguments: Any) -> None:
            # `update` goes through the devices of one variable; within it every other one is the device's copy.
            def on_each(function: Callable[..., None], *arguments: Any) -> Any:
                def run(_: Any, *arguments: Any) -> None:
                    function(*arguments)

                strategy.extended.update(variables[0].value, run, args=arguments, group=False)
                return tf.constant(True)

            # What replicas agree on, one of them says: a branch for each would wait for the others.
            agreed = strategy.experimental_local_results(condition)[0]
            tf.cond(agreed, lambda: on_each(action, arguments), lambda: on_each(otherwise))

        tf.distribute.get_replica_context().merge_call(on_all, args=(condition, arguments))
