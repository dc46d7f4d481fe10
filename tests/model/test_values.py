"""`@value` against `@dataclass`: the same, told apart by nothing but what they cost."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
import typing
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from vestige.model.values import NamedTuple, field, value


@value
class Point:
    """A place."""

    x: int
    y: int = 0
    kind: ClassVar[str] = "point"

    def shifted(self, by: int) -> Point:
        return dataclasses.replace(self, x=self.x + by)


@value(kw_only=True)
class Named:
    name: str
    tags: Mapping[str, Any] = field(default_factory=dict)
    point: Point | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("no name")


@value(frozen=False)
class Loose:
    parts: list[int] = field(default_factory=list)


def test_positions_words_and_defaults() -> None:
    assert (Point(1).x, Point(1).y, Point(y=3, x=2).y, Point(1, 2).y) == (1, 0, 3, 2)
    assert Point.kind == "point"
    assert Named(name="a").tags == {}
    assert Named(name="a").tags is not Named(name="b").tags


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Point(), "'x'"),  # type: ignore[call-arg]  # what is shown to be refused
        (lambda: Point(1, 2, 3), "positional"),  # type: ignore[call-arg]  # likewise
        (lambda: Point(1, x=2), "multiple"),  # type: ignore[misc]  # likewise
        (lambda: Point(1, z=2), "'z'"),  # type: ignore[call-arg]  # likewise
        (lambda: Named("a"), "positional"),  # type: ignore[misc]  # likewise
    ],
)
def test_wrong_arguments_are_named(make: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        make()


def test_values_are_frozen_unless_they_are_not() -> None:
    point = Point(1)
    with pytest.raises(AttributeError, match=r"Point\.x cannot be changed"):
        point.x = 2  # type: ignore[misc]  # what is shown to be refused
    with pytest.raises(AttributeError):
        del point.x
    loose = Loose()
    loose.parts = [1]
    assert loose.parts == [1]
    with pytest.raises(AttributeError):
        object.__setattr__(point, "other", 1)


def test_equality_hash_and_repr_are_by_fields() -> None:
    assert Point(1, 2) == Point(1, 2) != Point(2, 1)
    assert Point(1, 2) != (1, 2)
    assert len({Point(1), Point(1), Point(2)}) == 2
    assert repr(Named(name="a", point=Point(1))) == "Named(name='a', tags={}, point=Point(x=1, y=0))"
    with pytest.raises(TypeError):
        hash(Loose())


def test_what_runs_after_the_fields_are_set_runs() -> None:
    with pytest.raises(ValueError, match="no name"):
        Named(name="")


def test_the_standard_library_takes_it_for_its_own() -> None:
    assert dataclasses.is_dataclass(Point)
    assert [f.name for f in dataclasses.fields(Named)] == ["name", "tags", "point"]
    assert Point(1, 5).shifted(2) == Point(3, 5)
    assert dataclasses.asdict(Named(name="a", point=Point(1))) == {"name": "a", "tags": {}, "point": {"x": 1, "y": 0}}
    assert copy.deepcopy(Named(name="a", tags={"b": [1]})) == Named(name="a", tags={"b": [1]})
    assert pickle.loads(pickle.dumps(Point(3, 4))) == Point(3, 4)
    match Point(1, 2):
        case Point(x, y):
            assert (x, y) == (1, 2)


def test_the_model_loads_without_the_standard_decorator() -> None:
    script = "import sys, vestige.model.wire, vestige.model.run; print('dataclasses' in sys.modules, 'inspect' in sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


class _Place(NamedTuple):
    """A tuple with names, and a method."""

    path: str
    size: int = 0
    by: tuple[int, ...] = ()

    @property
    def large(self) -> bool:
        return self.size > 10


class _Standard(typing.NamedTuple):
    path: str
    size: int = 0
    by: tuple[int, ...] = ()


@pytest.mark.parametrize(
    "arguments", [(("a",), {}), (("a", 1), {"by": (2,)}), ((), {"path": "a", "size": 12}), (("a", 1, (3,)), {})]
)
def test_a_named_tuple_is_what_the_standard_one_is(arguments: tuple[tuple[typing.Any, ...], dict[str, typing.Any]]) -> None:
    words, named = arguments
    ours, theirs = _Place(*words, **named), _Standard(*words, **named)
    assert ours == theirs == tuple(theirs)
    assert hash(ours) == hash(theirs)
    assert (ours.path, ours.size, ours.by) == (theirs.path, theirs.size, theirs.by)
    assert ours._replace(size=99) == theirs._replace(size=99)
    assert ours._replace(size=99).large
    assert ours._asdict() == theirs._asdict()
    assert repr(ours) == repr(theirs).replace("_Standard", "_Place")
    assert pickle.loads(pickle.dumps(ours)) == ours
    assert copy.copy(ours) == ours
    assert type(copy.deepcopy(ours)) is _Place
    assert _Place._fields == _Standard._fields
    assert type(_Place._make(theirs)) is _Place
    assert not hasattr(ours, "__dict__")
    match ours:
        case _Place(path, size):
            assert (path, size) == ours[:2]


@pytest.mark.parametrize("arguments", [((), {}), (("a", 1, (), 4), {}), (("a",), {"colour": 1}), (("a",), {"path": "b"})])
def test_a_named_tuple_refuses_what_it_has_no_field_for(
    arguments: tuple[tuple[typing.Any, ...], dict[str, typing.Any]],
) -> None:
    words, named = arguments
    with pytest.raises(TypeError):
        _Standard(*words, **named)
    with pytest.raises(TypeError):
        _Place(*words, **named)
    with pytest.raises((TypeError, ValueError)):
        _Place("a")._replace(colour=1)
    with pytest.raises(AttributeError):
        _Place("a").path = "b"  # type: ignore[misc]


class _Pair(NamedTuple):
    first: int
    second: int = 2


def test_a_constructor_that_is_called_often_behaves_as_before() -> None:
    for _ in range(300):
        test_positions_words_and_defaults()
        Named(name="a")
        _Pair(1)
    assert (_Pair(1), _Pair(1, second=3), _Pair(second=4, first=2)) == ((1, 2), (1, 3), (2, 4))
    assert type(_Pair(1)) is _Pair
    assert pickle.loads(pickle.dumps(Point(1, 2))) == Point(1, 2)
    wrong: list[Any] = [lambda: Point(), lambda: Point(1, 2, 3), lambda: Point(1, z=2), lambda: Named("a"), lambda: _Pair()]
    for make in wrong:
        with pytest.raises(TypeError):
            make()
    with pytest.raises(ValueError, match="no name"):
        Named(name="")
    with pytest.raises(AttributeError, match=r"Point\.x cannot be changed"):
        Point(1).x = 2  # type: ignore[misc]  # what is shown to be refused
