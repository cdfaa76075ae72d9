"""What the built-in rules and yours have in common: a name, and options that are the fields of an attrs class.

A rule decides and holds no state: its methods may use only their arguments.
"""

from typing import Any, ClassVar

import attrs

__all__ = ["Rule"]


@attrs.frozen
class Rule:
    """The base class of reproduction and early-stopping rules.

    To give your rule options, decorate the class with `attrs.frozen`; its fields are the options. A class without
    options needs no decorator.

    Attributes:
        name: The name that users write and that stored runs contain. By default, the name of the class in lower case.
    """

    name: ClassVar[str]

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "name" not in cls.__dict__:
            cls.name = cls.__name__.lower()
