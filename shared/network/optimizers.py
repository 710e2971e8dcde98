"""How weights move: framework-neutral descriptions of optimisers.

g is the gradient of the batch's mean loss, w a parameter, lr the learning
rate; each step begins with w = w - lr * weight_decay * w, for every parameter
(decoupled decay: Loshchilov and Hutter 2019), and moves every parameter alike.
Where a framework's own piece does otherwise, it is adapted in the backend's
`optimizers.py`.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from shared.errors import InvalidRequestError

LearningRate = Annotated[float, Field(strict=True, gt=0, le=100, allow_inf_nan=False)]
Decay = Annotated[float, Field(strict=True, ge=0, lt=1)]


class Sgd(BaseModel):
    """Stochastic gradient descent; with momentum, v = momentum * v + g.

    Then w = w - lr * v, or with `nesterov` w = w - lr * (g + momentum * v)
    (Sutskever et al. 2013, as both frameworks write it).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["sgd"] = "sgd"
    learning_rate: LearningRate = 0.01
    momentum: Decay = 0.0
    nesterov: Annotated[bool, Field(strict=True)] = False
    weight_decay: Decay = 0.0

    @model_validator(mode="after")
    def _has_momentum(self) -> Self:
        if self.nesterov and not self.momentum:
            raise InvalidRequestError("nesterov needs a momentum above 0")
        return self


class Adam(BaseModel):
    """Adam (Kingma and Ba 2015, algorithm 1): epsilon is added after the bias is corrected.

    At step t, m = beta_1 * m + (1 - beta_1) * g and v = beta_2 * v + (1 - beta_2) * g^2, then
    w = w - lr * m / (1 - beta_1^t) / (sqrt(v / (1 - beta_2^t)) + epsilon).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["adam"] = "adam"
    learning_rate: LearningRate = 0.001
    beta_1: Decay = 0.9
    beta_2: Decay = 0.999
    epsilon: Annotated[float, Field(strict=True, ge=1e-12, le=1)] = 1e-8
    weight_decay: Decay = 0.0


def _name(value: Any) -> str:
    return str(value.get("name", "sgd") if isinstance(value, dict) else getattr(value, "name", "sgd"))


# Told apart by hand, so that a description without a name is one of `sgd`.
Optimizer = Annotated[Annotated[Sgd, Tag("sgd")] | Annotated[Adam, Tag("adam")], Discriminator(_name)]
