"""What the built-in rules and yours have in common: a name, and options that are the fields of an attrs class.

A rule decides and holds nothing: all that it may use is in the arguments of its methods.
"""

from typing import Any, ClassVar

import attrs

__all__ = ["Rule"]


@attrs.frozen
class Rule:
    """The base of the rules of reproduction and early stopping.

    A class that has options is itself decorated with `attrs.frozen`, and its fields are the options; a class without
    options needs no decorator.

    Attributes:
        name: What users write, and what a stored run names the rule by. By default the name of the class in lower case.
    """

    name: ClassVar[str]

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "name" not in cls.__dict__:
            cls.name = cls.__name__.lower()
