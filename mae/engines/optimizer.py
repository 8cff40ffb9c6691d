"""The update: the order in which gradients become weights, on whatever engine."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from mae.engines.engine import UpdateSettings
from mae.engines.guard import UpdateGuard
from mae.engines.parameter_groups import ParameterGroup, parameter_groups
from mae.engines.replicas import Replicas
from mae.engines.updates import inner_optimizer
from mae.engines.weight_average import WeightAverage


class Optimizer:
    """Turns the gradients of all replicas into one update of the weights.

    The order is: sum over replicas → unscale → global finite check → global norm → clip → decoupled weight decay →
    update. Keras' own `apply` clips each replica's gradients before it sums them, which is another update. A gradient
    that is not finite changes nothing; `guard` says how many of them in a row end all updates.
    """

    def __init__(self, model: keras.Model, settings: UpdateSettings, replicas: Replicas) -> None:
        """For a built model; made within the engine's scope."""
        config = settings.optimizer
        self.groups: list[ParameterGroup] = parameter_groups(model, config.layer_decay)
        self.guard = UpdateGuard(settings.max_skipped, settings.loss_scale)
        self.average = None if settings.ema_decay is None else WeightAverage(model, settings.ema_decay)
        self._replicas = replicas
        self._settings = settings
        self._weights = model.trainable_variables
        self._group_of = {i: group for group in self.groups for i in group.variables}
        self._inner = inner_optimizer(config)  # of one variable; its own decay, clipping and accumulation stay off
        self._inner.build(self._weights)

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
        step, rate, decay = self.iterations.value, self._settings.learning_rate, self._settings.weight_decay
        return {
            "learning_rate": rate(step) if callable(rate) else rate,
            "weight_decay": decay(step) if callable(decay) else decay,
        }

    def scaled(self, loss: Any) -> Any:
        """The loss to compute the gradients of that `apply` expects; the loss itself except in float16."""
        return self.guard.scaled(loss)

    def apply(self, gradients: Sequence[Any], variables: Sequence[keras.Variable], loss: Any = None) -> dict[str, Any]:
        """One update. Called by every replica.

        Args:
            gradients: of this replica's share of a loss averaged over the global batch, `scaled`, so that their sum
                over replicas is the gradient of that average.
            variables: `model.trainable_variables`, all of them and in that order.
            loss: of the global batch, if it has to be finite too.

        Returns:
            `grad_norm` (before clipping), `param_norm` (before the update), `learning_rate` and `weight_decay` of this
            update and what `UpdateGuard.judge` tells, as float32 scalars.

        Raises:
            ValueError: other variables than those the optimizer was built for, or one without a gradient.
        """
        self._check(gradients, variables)
        gradients = self._replicas.total([ops.convert_to_tensor(gradient) for gradient in gradients])
        gradients = self.guard.unscaled(gradients)
        norm = _global_norm(gradients)
        weights_norm = _global_norm([ops.convert_to_tensor(weight) for weight in self._weights])
        finite = ops.isfinite(norm if loss is None else norm + ops.cast(loss, norm.dtype))
        clip_to = self._settings.optimizer.clip_grad_norm
        if clip_to is not None:
            scale = ops.minimum(1.0, clip_to / (norm + 1e-6))
            gradients = [gradient * scale for gradient in gradients]
        rates = {name: ops.cast(value, "float32") for name, value in self.current().items()}
        made, counts = self.guard.judge(finite)
        changed = [*self._weights, *self.variables]
        self._replicas.choose(made, self._update, self.guard.note_skipped, (gradients, *rates.values()), changed)
        return {"grad_norm": norm, "param_norm": weights_norm, **rates, **counts}

    def _check(self, gradients: Sequence[Any], variables: Sequence[keras.Variable]) -> None:
        if [id(v) for v in variables] != [id(v) for v in self._weights]:
            raise ValueError("variables must be the model's trainable_variables, in the same order")
        missing = [v.path for v, g in zip(variables, gradients, strict=True) if g is None]
        if missing:
            raise ValueError(f"no gradient for {', '.join(missing)}: the loss does not depend on it")

    def _update(self, arguments: tuple[Sequence[Any], Any, Any]) -> None:
        gradients, learning_rate, weight_decay = arguments
        for i, (weight, gradient) in enumerate(zip(self._weights, gradients, strict=True)):
            group = self._group_of[i]
            rate = learning_rate * group.learning_rate_scale
            if group.decays:
                weight.assign_sub(weight * rate * weight_decay)
            self._inner.update_step(gradient, weight, rate)
        self.iterations.assign_add(1)
        if self.average is not None:
            self.average.update()
        self.guard.note_made()


def _global_norm(tensors: Sequence[Any]) -> Any:
    """√Σ x² over all values of all tensors, in float32."""
    return ops.sqrt(sum(ops.sum(ops.square(ops.cast(tensor, "float32"))) for tensor in tensors))
