"""The update: the order in which gradients become weights under a distribution strategy."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from mae.engines.optimizer_config import AdamWConfig, OptimizerConfig
from mae.engines.parameter_groups import ParameterGroup, parameter_groups
from mae.engines.tensorflow.guard import UpdateGuard
from mae.engines.tensorflow.updates import inner_optimizer
from mae.engines.tensorflow.weight_average import WeightAverage

Schedule = float | Callable[[Any], Any]


class Optimizer:
    """Turns the gradients of all replicas into one update of the weights.

    The order is: sum over replicas → unscale → global finite check → global norm → clip → decoupled weight decay →
    update. Keras' own `apply` clips each replica's gradients before it sums them, which is another update. A gradient
    that is not finite changes nothing; `guard` says how many of them in a row end all updates.
    """

    def __init__(
        self,
        model: keras.Model,
        inner: keras.optimizers.Optimizer,
        learning_rate: Schedule,
        weight_decay: Schedule,
        layer_decay: float | None,
        clip_grad_norm: float | None,
        guard: UpdateGuard | None = None,
        average: WeightAverage | None = None,
    ) -> None:
        """`inner` computes the update of one variable; its own decay, clipping and accumulation stay off."""
        self.groups: list[ParameterGroup] = parameter_groups(model, layer_decay)
        self.guard = guard or UpdateGuard()
        self.average = average
        self._inner = inner
        self._learning_rate = learning_rate
        self._weight_decay = weight_decay
        self._clip_grad_norm = clip_grad_norm
        self._model_variables = model.trainable_variables
        self._rates = {i: group for group in self.groups for i in group.variables}
        inner.build(model.trainable_variables)

    @property
    def variables(self) -> list[keras.Variable]:
        """The whole state: slots, the count of updates, the guard's and the averages of the weights."""
        # The inner optimizer's own learning rate is never used; the schedule's value is passed at each update.
        slots = [v for v in self._inner.variables if not v.path.endswith("/learning_rate")]
        return [*slots, *self.guard.variables, *(self.average.variables if self.average else [])]

    @property
    def iterations(self) -> keras.Variable:
        """Updates made so far."""
        return self._inner.iterations

    def current(self) -> dict[str, Any]:
        """The learning rate and weight decay of the next update."""
        step = self.iterations.value
        return {
            "learning_rate": self._learning_rate(step) if callable(self._learning_rate) else self._learning_rate,
            "weight_decay": self._weight_decay(step) if callable(self._weight_decay) else self._weight_decay,
        }

    def scaled(self, loss: Any) -> Any:
        """The loss to compute the gradients of that `apply` expects; the loss itself except in float16."""
        return self.guard.scaled(loss)

    def apply(self, gradients: Sequence[Any], variables: Sequence[keras.Variable], loss: Any = None) -> dict[str, Any]:
        """One update. Called in a replica context, by every replica.

        Args:
            gradients: of this replica's share of a loss averaged over the global batch, `scaled`, so that their sum
                over replicas is the gradient of that average.
            variables: `model.trainable_variables`, all of them and in that order.
            loss: of the global batch, if it has to be finite too.

        Returns:
            `grad_norm` (before clipping), `learning_rate` and `weight_decay` of this update and what
            `UpdateGuard.judge` tells, as float32 scalars.

        Raises:
            ValueError: other variables than those the optimizer was built for, or one without a gradient.
        """
        self._check(gradients, variables)
        context = tf.distribute.get_replica_context()
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, [tf.convert_to_tensor(g) for g in gradients])
        gradients = self.guard.unscaled(gradients)
        norm = tf.linalg.global_norm(gradients)
        finite = tf.math.is_finite(norm if loss is None else norm + tf.cast(loss, norm.dtype))
        if self._clip_grad_norm is not None:
            scale = tf.minimum(1.0, self._clip_grad_norm / (norm + 1e-6))
            gradients = [gradient * scale for gradient in gradients]
        rates = {name: tf.cast(value, tf.float32) for name, value in self.current().items()}
        made, counts = self.guard.judge(finite)
        context.merge_call(self._update, args=(gradients, made, rates))
        return {"grad_norm": norm, **rates, **counts}

    def _check(self, gradients: Sequence[Any], variables: Sequence[keras.Variable]) -> None:
        if [id(v) for v in variables] != [id(v) for v in self._model_variables]:
            raise ValueError("variables must be the model's trainable_variables, in the same order")
        missing = [v.path for v, g in zip(variables, gradients, strict=True) if g is None]
        if missing:
            raise ValueError(f"no gradient for {', '.join(missing)}: the loss does not depend on it")

    def _update(self, strategy: Any, gradients: Sequence[Any], made: Any, rates: dict[str, Any]) -> None:
        """In cross-replica context: the same update on every replica's copy of each variable, or none."""

        def update() -> Any:
            for i, (variable, gradient) in enumerate(zip(self._model_variables, gradients, strict=True)):
                strategy.extended.update(
                    variable.value, self._update_variable(i), args=(gradient, *rates.values()), group=False
                )
            strategy.extended.update(self._inner.iterations.value, lambda v: v.assign_add(1), group=False)
            if self.average is not None:
                self.average.update(strategy)
            self.guard.note_made(strategy)
            return tf.constant(True)

        def skip() -> Any:
            self.guard.note_skipped(strategy)
            return tf.constant(False)

        tf.cond(strategy.experimental_local_results(made)[0], update, skip)

    def _update_variable(self, index: int) -> Callable[..., None]:
        group = self._rates[index]

        def update(variable: Any, gradient: Any, learning_rate: Any, weight_decay: Any) -> None:
            scaled = learning_rate * group.learning_rate_scale
            if group.decays:
                variable.assign_sub(variable * scaled * weight_decay)
            self._inner.update_step(gradient, variable, scaled)

        return update


def build_optimizer(
    model: keras.Model,
    learning_rate: Schedule,
    weight_decay: Schedule = 0.05,
    beta_1: float = 0.9,
    beta_2: float = 0.95,
    epsilon: float = 1e-8,
    layer_decay: float | None = None,
    clip_grad_norm: float | None = None,
) -> Optimizer:
    """AdamW (arXiv:1711.05101) for a built model; call it inside the strategy's scope.

    Args:
        learning_rate, weight_decay: a number, or a function of the step as `mae.warmup_cosine`.
        layer_decay: learning rate of an encoder block over the next one's; None: the same for all.
        clip_grad_norm: largest norm of the summed gradient; None: no clipping.
    """
    config = AdamWConfig("adamw", 0.0, None, layer_decay, clip_grad_norm, beta_1, beta_2, epsilon)
    return configured_optimizer(model, config, learning_rate, weight_decay)


def configured_optimizer(
    model: keras.Model,
    config: OptimizerConfig,
    learning_rate: Schedule,
    weight_decay: Schedule,
    guard: UpdateGuard | None = None,
    average: WeightAverage | None = None,
) -> Optimizer:
    """The optimizer of `optimizer=` for a built model; call it inside the strategy's scope.

    Args:
        guard: what happens to gradients that are not finite; by default the first of them ends all updates.
        average: of the weights, to keep up with each update.
    """
    inner = inner_optimizer(config)
    groups = (config.layer_decay, config.clip_grad_norm)
    return Optimizer(model, inner, learning_rate, weight_decay, *groups, guard, average)
