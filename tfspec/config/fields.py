"""The declaration of a config's fields, from which all else follows.

A dataclass declares a field by `name: type = declare(default, kind, effect)`,
and `of` returns the table of its fields. The checks, the proto, the files, the
fingerprint, the command line, `explain` and the Keras layer read that table.
A field may be a `Stage`, which declares fields of its own. Their paths, such as
"filter_bank.num_bands", are what errors and the command line call them.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np

from tfspec.coefficients import rules

_S = TypeVar("_S", bound="Stage")

_NON_NEGATIVE = ("magnitude", "psd", "power")


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
class Numbers:
  """A number in `[low, high]`, or one for each feature."""

  low: float
  high: float
  words = "a number, or one a feature as 1.5,2"

  def check(
    self, name: str, value: Any, config: Any
  ) -> float | tuple[float, ...]:
    """Returns a number, or a tuple of more than one."""
    del config
    if hasattr(value, "dtype"):
      value = np.asarray(value).tolist()
    numbers = []
    for item in value if isinstance(value, list | tuple) else [value]:
      number = rules.check_number(name, item)
      rules.check_range(name, number, self.low, self.high)
      numbers.append(number)
    if not numbers:
      raise ValueError(f"{name} must have at least one number. Got: none.")
    return numbers[0] if len(numbers) == 1 else tuple(numbers)

  def parse(self, text: str) -> object:
    """Reads "1.5" or "1.5,2"."""
    try:
      return tuple(float(number) for number in text.split(","))
    except ValueError as e:
      raise ValueError(f"must be {self.words}. Got: {text}.") from e


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
class Group:
  """A stage, or None where there is no such stage."""

  type: type["Stage"]
  words = "none, or its fields by --set"

  def check(self, name: str, value: object, config: Any) -> "Stage":
    """Returns the stage, which may be given as its fields by name."""
    del config
    if isinstance(value, Mapping):
      known = [field.name for field in of(self.type)]
      for key in value:
        if key not in known:
          raise ValueError(
            f"{name} must hold fields of {self.type.__name__}. Got: {key!r}."
          )
      return self.type(**value)
    if not isinstance(value, self.type):
      raise TypeError(
        f"{name} must be a {self.type.__name__} or None. Got: {value!r}."
      )
    return value

  def parse(self, text: str) -> object:
    """Returns the stage with all defaults."""
    if text:
      raise ValueError(f"must be {self.words}. Got: {text}.")
    return self.type()


@dataclasses.dataclass(frozen=True)
class Field:
  """One field of a config or of a stage.

  Attributes:
    name: Its name, the same in Python, in the proto and on the command line.
    path: The same behind the name of its stage: "filter_bank.num_bands".
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
  path: str
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
    return self.kind.check(self.path, value, config)

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


@dataclasses.dataclass(frozen=True)
class Stage:
  """A step of the chain: a frozen dataclass with declared fields.

  Attributes:
    PATH: The name of the field of the config.
  """

  PATH: ClassVar[str]

  def __post_init__(self) -> None:
    """Normalises the values and checks each."""
    for field in of(type(self)):
      value = field.check(getattr(self, field.name), self)
      object.__setattr__(self, field.name, value)

  def check(self, config: Any) -> None:
    """Checks the fields beside those of the config."""

  def resolved(self: _S, config: Any) -> _S:
    """Returns the stage with nothing left to a default."""
    derived = {
      field.name: field.derive(config)
      for field in of(type(self))
      if field.derive and getattr(self, field.name) == field.default
    }
    return dataclasses.replace(self, **derived) if derived else self

  @property
  def is_of_frames(self) -> bool:
    """Whether the result for a frame depends on that frame alone."""
    return True


@dataclasses.dataclass(frozen=True)
class ValueStage(Stage):
  """A stage that follows the transform: it changes the values of frames.

  It says what it does in NumPy float64, which is the definition that the
  operations of TensorFlow are held to. Values are `[num_frames, features]`, all
  frames of one channel of a clip.

  Attributes:
    OF_POWER: Whether values must not be negative, and are not floored before.
  """

  OF_POWER: ClassVar[bool] = False

  def check(self, config: Any) -> None:
    """Checks the mode, and that there is no second floor."""
    if self.OF_POWER and config.floor is not None:
      raise ValueError(
        f"floor must be None beside {self.PATH}: compression has its own. Got: "
        f"floor={config.floor:g}."
      )
    if self.OF_POWER and config.mode not in _NON_NEGATIVE:
      raise ValueError(
        f"mode must be one of {', '.join(map(repr, _NON_NEGATIVE))} for "
        f"{self.PATH}. Got: mode={config.mode!r}."
      )
    if config.mode == "angle":
      raise ValueError(
        f"mode must not be 'angle' for {self.PATH}: angles do not add up. Got: "
        f"mode={config.mode!r}."
      )

  def num_features(self, features: int) -> int:
    """Returns how many features the stage makes of so many."""
    return features

  def apply(self, values: np.ndarray, config: Any) -> np.ndarray:
    """Returns what the stage makes of exact values, float64."""
    raise NotImplementedError

  def bound(
    self, values: np.ndarray, bound: np.ndarray, unit: float, config: Any
  ) -> np.ndarray:
    """Returns how far results may be off.

    Args:
      values: The exact values that come in.
      bound: How far each of them may be off.
      unit: Half a unit in the last place of the dtype of the computation,
        relative.
      config: The resolved config.
    """
    raise NotImplementedError


def declare(default: Any, kind: Kind, effect: str, **others: Any) -> Any:
  """Returns the dataclass field of these attributes of a `Field`."""
  return dataclasses.field(
    default=default, metadata={"kind": kind, "effect": effect, **others}
  )


def of(config: type) -> tuple[Field, ...]:
  """Returns the fields that a dataclass declares, in their order."""
  path = getattr(config, "PATH", "")
  return tuple(
    Field(
      field.name,
      f"{path}.{field.name}" if path else field.name,
      field.default,
      **field.metadata,
    )
    for field in dataclasses.fields(config)
  )


def leaves(config: Any) -> Iterator[tuple[Field, Any, Any]]:
  """Yields each field of a config and of its stages.

  Yields:
    The field, its value, and the config or the stage that it belongs to.
  """
  for field in of(type(config)):
    value = getattr(config, field.name)
    yield field, value, config
    if isinstance(value, Stage):
      yield from leaves(value)


def set_values(config: Any) -> dict[str, Any]:
  """Returns the values that do not stand for others, by name, to be stored."""
  values = {}
  for field in of(type(config)):
    value = getattr(config, field.name)
    if not field.is_unset(value):
      is_stage = isinstance(value, Stage)
      values[field.name] = set_values(value) if is_stage else value
  return values


def replace(config: Any, values: Mapping[str, Any]) -> Any:
  """Returns a config with other values of fields, which paths name.

  All change at the same time: one alone may break a rule that they keep
  together. A stage that is not there yet is made with all defaults.
  """
  changes: dict[str, Any] = {}
  for path, value in values.items():
    name, _, rest = path.partition(".")
    if rest:
      before = changes.get(name, getattr(config, name))
      if before is None:
        (kind,) = (f.kind for f in of(type(config)) if f.name == name)
        assert isinstance(kind, Group)
        before = kind.type()
      value = dataclasses.replace(before, **{rest: value})
    changes[name] = value
  return dataclasses.replace(config, **changes)
