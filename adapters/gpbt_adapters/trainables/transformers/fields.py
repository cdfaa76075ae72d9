"""Bindings for the Trainer of Transformers: weight decay, and the arguments that it reads at each update."""

from typing import Any, ClassVar

import attrs

from gpbt_adapters.trainables.bindings import Binding, agreed
from gpbt_adapters.trainables.transformers.steering import TransformersParts
from gpbt_core.errors import ConfigError

__all__ = ["ArgumentField", "WeightDecay"]


@attrs.frozen
class WeightDecay(Binding[TransformersParts]):
    """The weight decay of all parameters except biases and norms, as `get_decay_parameter_names` lists them."""

    saved: ClassVar[bool] = True

    def write(self, parts: TransformersParts, name: str, value: Any) -> None:
        """Sets it in the optimizer's groups that decay.

        Raises:
            ConfigError: No group has such parameters, or one has other parameters as well.
        """
        for group in self._groups(parts, name):
            group["weight_decay"] = value

    def read(self, parts: TransformersParts, name: str) -> Any:
        """Reads it from those groups."""
        values = [group["weight_decay"] for group in self._groups(parts, name)]
        return agreed(name, values, "the optimizer's groups that decay")

    def _groups(self, parts: TransformersParts, name: str) -> list[dict[str, Any]]:
        assert parts.optimizer is not None
        names = set(parts.trainer.get_decay_parameter_names(parts.model))
        decaying = {id(weight) for key, weight in parts.model.named_parameters() if key in names}
        groups = [
            (group, {id(weight) in decaying for weight in group["params"]}) for group in parts.optimizer.param_groups
        ]
        if any(kinds == {True, False} for _, kinds in groups) or not any(True in kinds for _, kinds in groups):
            raise ConfigError(
                f"hyperparameter {name!r}: WeightDecay needs an optimizer with separate groups for biases and norms, "
                f"as the Trainer makes by default; make such groups, or bind OptimizerField('weight_decay', group=...)"
            )
        return [group for group, kinds in groups if kinds == {True}]


@attrs.frozen
class ArgumentField(Binding[TransformersParts]):
    """A training argument that the Trainer reads while it trains: `max_grad_norm` or `label_smoothing_factor`.

    The Trainer reads all others only once, when it is made or starts, so a change would have no effect.

    Attributes:
        field: The argument's name.
    """

    field: str

    def write(self, parts: TransformersParts, name: str, value: Any) -> None:
        """Sets it.

        Raises:
            ConfigError: It is another argument, or the Trainer was made without label smoothing.
        """
        holder, attribute = self._place(parts, name)
        setattr(holder, attribute, value)

    def read(self, parts: TransformersParts, name: str) -> Any:
        """Reads it from where the Trainer reads it."""
        holder, attribute = self._place(parts, name)
        return getattr(holder, attribute)

    def _place(self, parts: TransformersParts, name: str) -> tuple[Any, str]:
        if self.field == "max_grad_norm":
            return parts.trainer.args, self.field
        if self.field == "label_smoothing_factor":
            if parts.trainer.label_smoother is None:
                raise ConfigError(
                    f"hyperparameter {name!r}: the Trainer must be made with label smoothing, got none; pass "
                    f"TrainingArguments a label_smoothing_factor above 0"
                )
            return parts.trainer.label_smoother, "epsilon"
        raise ConfigError(
            f"hyperparameter {name!r}: the argument must be 'max_grad_norm' or 'label_smoothing_factor', which the "
            f"Trainer reads while it trains, got {self.field!r}; bind others to where they act: ScheduledRate(), "
            f"WeightDecay(), OptimizerField('betas', index=0), ModuleField('p', nn.Dropout)"
        )
