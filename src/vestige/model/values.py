# ruff: noqa: ANN001, ANN002, ANN003, ANN201, ANN202, ANN204, SLF001 - the half that runs is described, for type checkers, by the half that does not
"""`@value`: what `@dataclass` makes of a class, without what it costs to start.

The standard decorator writes the methods of each class as text and compiles them, a millisecond a class, and loads
`inspect`, 10 ms. Each recorded run pays that before anything is recorded: it was half of all that a start cost. Here the
methods are closures over the names of the fields. Everything else is as usual: fields from annotations, defaults,
`field(default_factory=…)`, frozen, slots, keyword-only, equality, hash, repr; and `dataclasses.replace`, `fields` and
`is_dataclass` work on it, since `__dataclass_fields__` is there as soon as somebody asks. Only a constructor that turns
out to be called all the time is compiled after all, which makes it three times as fast.
"""

from __future__ import annotations

from _collections import _tuplegetter  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import field, replace
    from typing import Any, NamedTuple, TypeVar, dataclass_transform, overload

    C = TypeVar("C", bound=type)

    @overload
    @dataclass_transform(frozen_default=True, field_specifiers=(field,))
    def value(cls: C, /) -> C: ...
    @overload
    @dataclass_transform(frozen_default=True, field_specifiers=(field,))
    def value(*, frozen: bool = True, slots: bool = True, kw_only: bool = False) -> Callable[[C], C]: ...
    def value(cls: Any = None, /, *, frozen: bool = True, slots: bool = True, kw_only: bool = False) -> Any: ...

else:

    class field:  # noqa: N801  # called like the standard one
        """A field whose default is made anew for each object."""

        __slots__ = ("default", "default_factory")

        def __init__(self, *, default=..., default_factory=None):
            self.default = default
            self.default_factory = default_factory

    def value(cls=None, /, *, frozen=True, slots=True, kw_only=False):
        """Make a class a value. `frozen=False` lets its fields be set."""
        if cls is None:
            return lambda cls: _made(cls, frozen=frozen, slots=slots, kw_only=kw_only)
        return _made(cls, frozen=frozen, slots=slots, kw_only=kw_only)

    def _made(cls, *, frozen, slots, kw_only):
        kinds = cls.__dict__.get("__annotations__", {})
        names = tuple(name for name in kinds if not str(kinds[name]).startswith("ClassVar"))
        space = dict(cls.__dict__)
        defaults, factories = {}, {}
        for name in names:
            if name not in space:
                continue
            default = space.pop(name)
            if not isinstance(default, field):
                defaults[name] = default
            elif default.default_factory is not None:
                factories[name] = default.default_factory
            elif default.default is not ...:
                defaults[name] = default.default
        if slots:
            space["__slots__"] = names
            space.pop("__dict__", None)
            space.pop("__weakref__", None)
        space["__match_names__"] = names
        space["__match_args__"] = () if kw_only else names
        space["__init__"] = _init(cls.__name__, names, defaults, factories, kw_only=kw_only, after="__post_init__" in space)
        space["__repr__"] = space.get("__repr__", _repr(names))
        space["__eq__"] = _eq(names)
        space["__hash__"] = _hash(names) if frozen else None
        space["__dataclass_fields__"] = _Fields(names, defaults, factories, kw_only=kw_only)
        space["__value_defaults__"] = (defaults, factories)
        space["__getstate__"] = lambda self: tuple(getattr(self, name) for name in names)
        space["__setstate__"] = _setstate(names)
        if frozen:
            space["__setattr__"] = space["__delattr__"] = _refuse
        made = type(cls)(cls.__name__, cls.__bases__, space)
        made.__qualname__ = cls.__qualname__
        for function in space.values():  # `super()` and `__class__` in methods mean the new class
            _rebind(function, cls, made)
        return made

    def _init(title, names, defaults, factories, *, kw_only, after):
        put = object.__setattr__
        calls = 0

        def __init__(self, *args, **words):  # noqa: N807
            nonlocal calls
            calls += 1
            if calls >= _OFTEN and type(self).__init__ is __init__:
                body = [f"if {name} is _absent: {name} = _factories[{name!r}]()" for name in factories]
                body += [f"_put_{name}(self, {name})" for name in names] + ["self.__post_init__()"] * after
                space = {"_factories": factories, **{f"_put_{name}": _putter(type(self), name) for name in names}}
                known = defaults | dict.fromkeys(factories, _ABSENT)
                type(self).__init__ = _compiled("__init__", ["self", *["*"] * bool(kw_only and names)], names, known, body, space)
            if args:
                if kw_only or len(args) > len(names):
                    most = 0 if kw_only else len(names)
                    raise TypeError(f"{title}() takes {most} positional arguments, {len(args)} were given")
                for name, item in zip(names, args, strict=False):
                    if name in words:
                        raise TypeError(f"{title}() got multiple values for argument {name!r}")
                    put(self, name, item)
            for name in names[len(args) :]:
                if name in words:
                    put(self, name, words.pop(name))
                elif name in defaults:
                    put(self, name, defaults[name])
                elif name in factories:
                    put(self, name, factories[name]())
                else:
                    raise TypeError(f"{title}() needs the argument {name!r}")
            if words:
                raise TypeError(f"{title}() got an unexpected argument {next(iter(words))!r}")
            if after:
                self.__post_init__()

        return __init__

    #: From so many calls on, the tenth of a millisecond that compiling takes is won back.
    _OFTEN = 100
    _ABSENT = object()

    def _compiled(title, first, names, defaults, body, space):
        """A constructor whose parameters are the fields."""
        parameters = [f"{name}=_defaults[{name!r}]" if name in defaults else name for name in names]
        text = "\n    ".join([f"def {title}({', '.join([*first, *parameters])}):", *body])
        space |= {"_defaults": defaults, "_absent": _ABSENT}
        exec(text, space)  # noqa: S102  # names of fields, and nothing else
        return space[title]

    def _putter(cls, name):
        """What sets this field of an object, past its being frozen."""
        slot = getattr(cls, name, None)
        if hasattr(slot, "__objclass__"):
            return slot.__set__
        return lambda self, item: object.__setattr__(self, name, item)

    def _repr(names):
        def __repr__(self):  # noqa: N807
            inside = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
            return f"{type(self).__qualname__}({inside})"

        return __repr__

    def _eq(names):
        def __eq__(self, other):  # noqa: N807
            if other.__class__ is not self.__class__:
                return NotImplemented
            return all(getattr(self, name) == getattr(other, name) for name in names)

        return __eq__

    def _hash(names):
        return lambda self: hash(tuple(getattr(self, name) for name in names))

    def _setstate(names):
        def __setstate__(self, state):  # noqa: N807
            for name, item in zip(names, state, strict=True):
                object.__setattr__(self, name, item)

        return __setstate__

    def _refuse(self, name, *_):
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed: values are frozen")

    def _rebind(function, old, new):
        function = getattr(function, "__func__", getattr(function, "fget", function))
        for cell in getattr(function, "__closure__", None) or ():
            try:
                if cell.cell_contents is old:
                    cell.cell_contents = new
            except ValueError:
                continue

    class _Fields:
        """The standard library's view of the fields, made when it is asked for."""

        __slots__ = ("_defaults", "_factories", "_kw_only", "_made", "_names")

        def __init__(self, names, defaults, factories, *, kw_only):
            self._names, self._defaults, self._factories, self._kw_only = names, defaults, factories, kw_only
            self._made = None

        def __get__(self, _, owner):
            if self._made is None:
                import dataclasses

                self._made = {}
                for name in self._names:
                    if name in self._factories:
                        made = dataclasses.field(default_factory=self._factories[name], kw_only=self._kw_only)
                    elif name in self._defaults:
                        made = dataclasses.field(default=self._defaults[name], kw_only=self._kw_only)
                    else:
                        made = dataclasses.field(kw_only=self._kw_only)
                    made.name, made.type = name, owner.__annotations__[name]
                    made._field_type = dataclasses._FIELD
                    self._made[name] = made
            return self._made

    class _Naming(type):
        """Makes a tuple type of a class body, as the standard metaclass does, without compiling text."""

        def __new__(cls, name, bases, space):
            if not bases:
                return super().__new__(cls, name, bases, space)
            names = tuple(space.get("__annotations__", {}))
            defaults = {name: space.pop(name) for name in names if name in space}
            space["__slots__"] = ()
            space["_fields"] = space["__match_args__"] = names
            space["_field_defaults"] = defaults
            for position, field_name in enumerate(names):
                space[field_name] = _tuplegetter(position, None)
            space["__new__"] = _new(name, names, defaults)
            space["_make"] = classmethod(tuple.__new__)
            space["_replace"] = _changed
            space["_asdict"] = lambda self: dict(zip(names, self, strict=True))
            space["__repr__"] = space.get("__repr__", _repr(names))
            space["__getnewargs__"] = lambda self: tuple(self)
            return type(name, (tuple,), space)

    class NamedTuple(metaclass=_Naming):
        """A tuple whose items have names: what `typing.NamedTuple` makes of a class, without what it costs to start."""

    def _new(title, names, defaults):
        make, count = tuple.__new__, len(names)
        calls = 0

        def __new__(cls, *args, **words):  # noqa: N807
            nonlocal calls
            calls += 1
            if calls >= _OFTEN and cls.__new__ is __new__:
                body = [f"return _make(cls, ({', '.join(names)},))"]
                cls.__new__ = staticmethod(_compiled("__new__", ["cls"], names, defaults, body, {"_make": make}))
            given = len(args)
            if words or given != count:
                if given > count:
                    raise TypeError(f"{title}() takes {count} positional arguments, {given} were given")
                rest = []
                for name in names[given:]:
                    if name in words:
                        rest.append(words.pop(name))
                    elif name in defaults:
                        rest.append(defaults[name])
                    else:
                        raise TypeError(f"{title}() needs the argument {name!r}")
                if words:
                    raise TypeError(f"{title}() got an unexpected argument {next(iter(words))!r}")
                args += tuple(rest)
            return make(cls, args)

        return __new__

    def _changed(self, /, **changes):
        """A tuple like this one, apart from what is changed."""
        made = tuple.__new__(type(self), [changes.pop(name, item) for name, item in zip(self._fields, self, strict=True)])
        if changes:
            raise TypeError(f"{type(self).__name__} has no field {next(iter(changes))!r}")
        return made

    def replace(this, /, **changes):
        """A value like this one, apart from what is changed."""
        for name in this.__match_names__:
            if name not in changes:
                changes[name] = getattr(this, name)
        return type(this)(**changes)


def fields_of(cls: Any) -> tuple[tuple[str, Any], ...]:
    """The names of a value's fields, and their defaults (None where there is none)."""
    defaults, factories = cls.__value_defaults__
    return tuple((name, factories[name]() if name in factories else defaults.get(name)) for name in cls.__match_names__)


__all__ = ["NamedTuple", "field", "fields_of", "replace", "value"]
