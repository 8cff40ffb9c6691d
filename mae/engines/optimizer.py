"""The update: the order in which gradients become weights, on whatever engine."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import keras
from keras import ops

from mae.engines.engine import UpdateSettings
from mae.engines.guard import UpdateGuard
from mae.engines.optimizer_config import OPTIMIZERS
from mae.engines.parameter_groups import ParameterGroup, parameter_groups
from mae.engines.replicas import Replicas
from mae.engines.start import replicas_of_backend
from mae.engines.updates import inner_optimizer
from mae.engines.weight_average import WeightAverage


@keras.saving.register_keras_serializable("mae")
class Optimizer(keras.optimizers.Optimizer):
    """Turns the gradients of all replicas into one update of the weights.

    The order is: sum over replicas → unscale → global finite check → global norm → clip → decoupled weight decay →
    update. Keras' own `apply` clips each replica's gradients before it sums them, which is another update. A gradient
    that is not finite changes nothing; `guard` says how many of them in a row end all updates.

    It is one of Keras' optimizers as well, so that `compile` takes it and `.keras` files hold it; what Keras'
    optimizers can be told beyond it (clipping, averages, accumulation) is off.
    """

    def __init__(self, groups: Sequence[ParameterGroup], settings: UpdateSettings, replicas: Replicas) -> None:
        """Of a model whose trainable weights are in `groups`; see `for_model`."""
        rate = settings.learning_rate
        super().__init__(rate if callable(rate) else float(rate), name=settings.optimizer.name)
        self.groups = list(groups)
        self.guard = UpdateGuard(settings.max_skipped, settings.loss_scale)
        self.average: WeightAverage | None = None
        self._replicas = replicas
        self._settings = settings
        self._group_of = {i: group for group in self.groups for i in group.variables}

    @classmethod
    def for_model(cls, model: keras.Model, settings: UpdateSettings, replicas: Replicas) -> "Optimizer":
        """For a built model; made within the engine's scope."""
        made = cls(parameter_groups(model, settings.optimizer.layer_decay), settings, replicas)
        made.build(model.trainable_variables)
        return made

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Makes the state that goes with a model's trainable weights.

        Raises:
            ValueError: they are not as many as the groups are of.
        """
        if len(variables) != len(self._group_of):
            raise ValueError(
                f"the optimizer was made for {len(self._group_of)} trainable weights and gets {len(variables)}: make "
                "it once the model is frozen as it is to be trained; of a file, load_model(…, compile=False) and "
                "compile again"
            )
        super().build(list(variables))
        inner = inner_optimizer(self._settings.optimizer)  # its own decay, clipping and accumulation stay off
        inner._iterations = self._iterations  # one count of updates for both
        inner.build(self._trainable_variables)
        if self._settings.ema_decay is not None:
            self.average = WeightAverage(self._trainable_variables, self._settings.ema_decay)
        # The inner optimizer's own learning rate is never used; the schedule's value is passed at each update.
        slots = [v for v in inner.variables if not v.path.endswith(("/learning_rate", "/iteration"))]
        for variable in (*slots, *self.guard.variables, *(self.average.variables if self.average else [])):
            self._track_variable(variable)
        self._update_one: Callable[..., None] = inner.update_step

    def current(self) -> dict[str, Any]:
        """The learning rate and weight decay of the next update."""
        decay = self._settings.weight_decay
        return {
            "learning_rate": self.learning_rate,
            "weight_decay": decay(self.iterations.value) if callable(decay) else decay,
        }

    def _get_current_learning_rate(self) -> Any:
        """What Keras' property `learning_rate` gives: schedules of this project are functions of the step, too."""
        rate = self._learning_rate
        return rate(self.iterations.value) if callable(rate) else rate

    def scale_loss(self, loss: Any) -> Any:
        """The loss to compute the gradients of that `apply` expects; the loss itself except in float16."""
        return self.guard.scaled(loss)

    def apply(
        self, grads: Sequence[Any], trainable_variables: Sequence[keras.Variable] | None = None, loss: Any = None
    ) -> dict[str, Any]:
        """One update. Called by every replica.

        Args:
            grads: of this replica's share of a loss averaged over the global batch, from `scale_loss`, so that their
                sum over replicas is the gradient of that average.
            trainable_variables: `model.trainable_variables`, all of them and in that order; None: those.
            loss: of the global batch, if it has to be finite too.

        Returns:
            `grad_norm` (before clipping), `param_norm` (before the update), `learning_rate` and `weight_decay` of this
            update and what `UpdateGuard.judge` tells, as float32 scalars.

        Raises:
            ValueError: other variables than those the optimizer was built for, or one without a gradient.
        """
        weights = self._trainable_variables
        self._check(grads, weights if trainable_variables is None else list(trainable_variables))
        summed = self._replicas.total([ops.convert_to_tensor(gradient) for gradient in grads])
        gradients = self.guard.unscaled(summed)
        norm = _global_norm(gradients)
        weights_norm = _global_norm([ops.convert_to_tensor(weight) for weight in weights])
        finite = ops.isfinite(norm if loss is None else norm + ops.cast(loss, norm.dtype))
        clip_to = self._settings.optimizer.clip_grad_norm
        if clip_to is not None:
            scale = ops.minimum(1.0, clip_to / (norm + 1e-6))
            gradients = [gradient * scale for gradient in gradients]
        rates = {name: ops.cast(value, "float32") for name, value in self.current().items()}
        made, counts = self.guard.judge(finite)
        changed = [*weights, *self.variables]
        self._replicas.choose(made, self._update, self.guard.note_skipped, (gradients, *rates.values()), changed)
        return {"grad_norm": norm, "param_norm": weights_norm, **rates, **counts}

    def _check(self, gradients: Sequence[Any], variables: Sequence[keras.Variable]) -> None:
        if [id(v) for v in variables] != [id(v) for v in self._trainable_variables]:
            raise ValueError("variables must be the model's trainable_variables, in the same order")
        missing = [v.path for v, g in zip(variables, gradients, strict=True) if g is None]
        if missing:
            raise ValueError(f"no gradient for {', '.join(missing)}: the loss does not depend on it")

    def _update(self, arguments: tuple[Sequence[Any], Any, Any]) -> None:
        gradients, learning_rate, weight_decay = arguments
        for i, (weight, gradient) in enumerate(zip(self._trainable_variables, gradients, strict=True)):
            group = self._group_of[i]
            rate = learning_rate * group.learning_rate_scale
            if group.decays:
                weight.assign_sub(weight * rate * weight_decay)
            self._update_one(gradient, weight, rate)
        self.iterations.assign_add(1)
        if self.average is not None:
            self.average.update()
        self.guard.note_made()

    def get_config(self) -> dict[str, Any]:
        s, rate = self._settings, self._learning_rate
        return {
            "groups": [asdict(group) for group in self.groups],
            "optimizer": asdict(s.optimizer),
            "learning_rate": keras.saving.serialize_keras_object(rate) if callable(rate) else float(rate),
            "weight_decay": keras.saving.serialize_keras_object(s.weight_decay),
            "max_skipped": s.max_skipped,
            "loss_scale": s.loss_scale,
            "ema_decay": s.ema_decay,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Optimizer":
        """Not built yet."""
        told = keras.saving.deserialize_keras_object(config, custom_objects=custom_objects)
        groups = [ParameterGroup(**{**group, "variables": tuple(group["variables"])}) for group in told.pop("groups")]
        chosen = told.pop("optimizer")
        settings = UpdateSettings(OPTIMIZERS[chosen["name"]](**chosen), **told)
        return cls(groups, settings, replicas_of_backend())


def _global_norm(tensors: Sequence[Any]) -> Any:
    """√Σ x² over all values of all tensors, in float32."""
    return ops.sqrt(sum(ops.sum(ops.square(ops.cast(tensor, "float32"))) for tensor in tensors))
