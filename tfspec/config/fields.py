"""The declaration of a config's fields, from which all else follows.

A dataclass declares a field by `name: type = declare(default, kind, effect)`,
and `of` returns the table of its fields. The checks, the proto, the files, the
fingerprint, the command line, `explain` and the Keras layer read that table.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from tfspec.coefficients import rules


class Kind(Protocol):
  """The values that a field takes."""

  @property
  def words(self) -> str:
    """The values in words, for the help of the command line."""

  def check(self, name: str, value: object, config: Any) -> object:
    """Returns a value in its normal form, or raises an error that names it."""

  def parse(self, text: str) -> object:
    """Returns the value that a user types; ValueError if it cannot be read."""


@dataclasses.dataclass(frozen=True)
class Choice:
  """One of some strings, and None where that is among them."""

  choices: tuple[str | None, ...]

  @property
  def words(self) -> str:
    """See `Kind`."""
    return ", ".join(str(choice).lower() for choice in self.choices)

  def check(self, name: str, value: object, config: Any) -> object:
    """See `Kind`."""
    del config
    return rules.check_choice(name, value, self.choices)

  def parse(self, text: str) -> str | None:
    """See `Kind`."""
    return None if text.lower() == "none" and None in self.choices else text


@dataclasses.dataclass(frozen=True)
class Flag:
  """True or False."""

  words = "true or false"

  def check(self, name: str, value: object, config: Any) -> bool:
    """See `Kind`."""
    del config
    return rules.check_flag(name, value)

  def parse(self, text: str) -> bool:
    """See `Kind`."""
    if text.lower() not in ("true", "false"):
      raise ValueError(f"must be {self.words}. Got: {text}.")
    return text.lower() == "true"


@dataclasses.dataclass(frozen=True)
class Number:
  """A number in `[low, high]`; `high` may name a field above it."""

  low: float
  high: float | str
  words = "a number"
  _type: ClassVar[type] = float
  _check_type = staticmethod(rules.check_number)

  def check(self, name: str, value: object, config: Any) -> float:
    """See `Kind`."""
    number = self._check_type(name, value)
    high, high_name = self.high, ""
    if isinstance(high, str):
      high, high_name = getattr(config, high), high
    rules.check_range(name, number, self.low, high, high_name)
    return number

  def parse(self, text: str) -> float:
    """See `Kind`."""
    try:
      return self._type(text)
    except ValueError as e:
      raise ValueError(f"must be {self.words}. Got: {text}.") from e


class Integer(Number):
  """A whole number, likewise."""

  words = "a whole number"
  _type = int
  _check_type = staticmethod(rules.check_integer)


@dataclasses.dataclass(frozen=True)
class Window:
  """A name, a name and numbers, values, or None."""

  words = "a SciPy name, as kaiser,8.6 with numbers, or none"

  def check(
    self, name: str, value: object, config: Any
  ) -> str | tuple[Any, ...] | None:
    """See `Kind`."""
    del name, config
    return rules.normalise_window(value)

  def parse(self, text: str) -> str | tuple[Any, ...] | None:
    """Reads "hann", "none", or a name and its numbers: "kaiser,8.6"."""
    name, *rest = text.split(",")
    if not rest:
      return None if name.lower() == "none" else name
    try:
      parameters = [float(number) for number in rest]
    except ValueError as e:
      raise ValueError(
        f"must be a name and numbers, as kaiser,8.6. Got: {text}."
      ) from e
    if name == "general_cosine":
      return name, parameters
    return name, *parameters


@dataclasses.dataclass(frozen=True)
class Field:
  """One field of a config.

  Attributes:
    name: Its name, the same in Python, in the proto and on the command line.
    default: Its default. None, if it is the default, stays unset in the proto.
    kind: What values it takes.
    effect: What another value does to the numbers, in a sentence.
    unset: What the default stands for, in words; empty: for itself.
    derive: The same as a function of the config, for `resolved`.
    in_keras: Whether `keras.layers.STFTSpectrogram` has it. The layer of tfspec
      takes the others too.
    is_execution: Whether it says how the numbers are computed. All others say
      what they mean.
    is_inert: Whether it does nothing beside the other fields, as a function of
      the resolved config.
  """

  name: str
  default: object
  kind: Kind
  effect: str
  unset: str = ""
  derive: Callable[[Any], object] | None = None
  in_keras: bool = False
  is_execution: bool = False
  is_inert: Callable[[Any], bool] = lambda config: False

  def is_unset(self, value: object) -> bool:
    """Returns whether a value is a None that stands for another one."""
    return value is None and self.default is None

  def check(self, value: object, config: Any) -> object:
    """Returns a value in its normal form, or raises an error that names it."""
    if self.is_unset(value):
      return None
    return self.kind.check(self.name, value, config)

  def parse(self, text: str) -> object:
    """Returns the value that a user types; ValueError if it cannot be read."""
    if self.default is None and text.lower() == "none":
      return None
    return self.kind.parse(text)

  @property
  def help(self) -> str:
    """What a user may type, and what that does."""
    default = str(self.default).lower() + (self.unset and f", {self.unset}")
    return f"{self.kind.words} (default: {default}). {self.effect}"


def declare(default: Any, kind: Kind, effect: str, **others: Any) -> Any:
  """Returns the dataclass field of these attributes of a `Field`."""
  return dataclasses.field(
    default=default, metadata={"kind": kind, "effect": effect, **others}
  )


def of(config: type) -> tuple[Field, ...]:
  """Returns the fields that a dataclass declares, in their order."""
  return tuple(
    Field(field.name, field.default, **field.metadata)
    for field in dataclasses.fields(config)
  )
