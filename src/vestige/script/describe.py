"""Values as a record tells of them: what is small as it is, what is large by type, shape, size and digest. Nothing raises."""

from __future__ import annotations

import math
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_TEXT = 1000  # characters of a text that are kept
_ITEMS = 50  # of a collection
_DEPTH = 4
_HASHED = 16 << 20  # bytes of an array that are hashed: some five milliseconds
_OWN = os.path.dirname(__file__) + os.sep  # code that stands between a call and its function
_EXACT = 1 << 53  # beyond it not every reader of JSON gets the same number


def describe(value: object, depth: int = _DEPTH) -> Any:
    """A value as JSON: itself where JSON has it, else a dictionary with its `type` and what can be told of it."""
    try:
        return _described(value, depth)
    except RecursionError:
        return {"type": type_name(value), "problem": "it contains itself, or is nested very deeply"}
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a `repr` that leaves the program must not do so for our sake
        return {"type": type_name(value), "problem": f"it could not be described: {_said(error)}"}


def exception(error: BaseException) -> dict[str, Any]:
    """An exception: its type, what it says, and where it was raised."""
    try:
        message = str(error)[:_TEXT]
    except KeyboardInterrupt:
        raise
    except BaseException as another:
        message = f"(its text could not be had: {_said(another)})"
    found: dict[str, Any] = {"type": type_name(error), "message": message}
    frames = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if not code.co_filename.startswith(_OWN):
            frames.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    if frames:
        found["at"] = frames[-_ITEMS:]
    return found


def type_name(value: object) -> str:
    """The full name of a value's type; of a built-in one the short."""
    kind = type(value)
    try:
        return kind.__qualname__ if kind.__module__ in ("builtins", None) else f"{kind.__module__}.{kind.__qualname__}"
    except KeyboardInterrupt:
        raise
    except BaseException:
        return "object"


def _described(value: Any, depth: int) -> Any:
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return (
            value
            if -_EXACT <= value <= _EXACT
            else {"type": "int", "value": str(value) if value.bit_length() < 4096 else hex(value)}
        )
    if kind is float:
        return value if math.isfinite(value) else {"type": "float", "value": repr(value)}
    if kind is str:
        return _text(value)
    if kind in (bytes, bytearray, memoryview):
        return {"type": kind.__name__, "size": len(value), "digest": _digest(bytes(value))}
    if depth <= 0:
        return {"type": type_name(value), "problem": "nested too deeply"}
    if kind is dict:
        return _mapping(value, depth)
    if kind in (list, tuple):
        return _sequence(value, len(value), depth, kind.__name__)
    if kind in (set, frozenset):
        return {"type": kind.__name__, "length": len(value), "items": sorted(map(repr, list(value)[:_ITEMS]))}
    for of in (_array, _frame, _tensor, _scalar, _named):
        found = of(value, depth)
        if found is not None:
            return found
    return _other(value)


def _text(value: str) -> Any:
    value = value.encode("utf-8", "replace").decode("utf-8")
    if len(value) <= _TEXT:
        return value
    return {"type": "str", "length": len(value), "digest": _digest(value.encode()), "begins": value[:100]}


def _mapping(value: dict[Any, Any], depth: int) -> Any:
    items = list(value.items())[:_ITEMS]
    if all(type(key) is str for key, _ in items) and len(value) <= _ITEMS and "type" not in value:
        return {key.encode("utf-8", "replace").decode(): _described(item, depth - 1) for key, item in items}
    shown = [[describe(key, depth - 1), describe(item, depth - 1)] for key, item in items]
    return {"type": "dict", "length": len(value), "items": shown}


def _sequence(value: Iterable[Any], length: int, depth: int, kind: str) -> Any:
    shown = [describe(item, depth - 1) for item, _ in zip(value, range(_ITEMS), strict=False)]
    if length <= _ITEMS and kind == "list":
        return shown
    return {"type": kind, "length": length, "items": shown}


def _array(value: Any, _: int) -> Any:
    """NumPy's arrays, and what behaves like them."""
    shape, dtype, tobytes = (getattr(value, name, None) for name in ("shape", "dtype", "tobytes"))
    if not isinstance(shape, tuple) or dtype is None or not callable(tobytes) or shape == ():
        return None
    found: dict[str, Any] = {"type": type_name(value), "shape": [int(n) for n in shape], "dtype": str(dtype)}
    size = getattr(value, "nbytes", None)
    if isinstance(size, int):
        found["size"] = size
        if size <= _HASHED and not getattr(dtype, "hasobject", False):
            found["digest"] = _digest(tobytes())
    return found


def _frame(value: Any, _: int) -> Any:
    """Data frames and series of pandas and Polars."""
    module = type(value).__module__.partition(".")[0]
    if module not in ("pandas", "polars") or not hasattr(value, "shape"):
        return None
    found: dict[str, Any] = {"type": type_name(value), "shape": [int(n) for n in value.shape]}
    if hasattr(value, "columns") and hasattr(value, "dtypes"):
        kinds = value.dtypes if module == "polars" else list(value.dtypes)
        names = [str(name) for name in value.columns]
        found["columns"] = {name: str(kind) for name, kind, _ in zip(names, kinds, range(_ITEMS), strict=False)}
    elif hasattr(value, "dtype"):
        found["dtype"] = str(value.dtype)
    if math.prod(found["shape"]) <= 1_000_000:
        if module == "pandas":
            from pandas.util import hash_pandas_object  # type: ignore[import-untyped]

            found["digest"] = _digest(hash_pandas_object(value).to_numpy().tobytes())
        else:
            hashed = value.hash_rows() if hasattr(value, "hash_rows") else value.hash()
            found["digest"] = _digest(hashed.to_numpy().tobytes())
    return found


def _tensor(value: Any, _: int) -> Any:
    """PyTorch's, TensorFlow's and JAX's; one that lies on another device is not fetched from there."""
    module = type(value).__module__.partition(".")[0]
    if module not in ("torch", "tensorflow", "jax", "jaxlib") or not hasattr(value, "shape") or not hasattr(value, "dtype"):
        return None
    found: dict[str, Any] = {"type": type_name(value), "shape": [int(n) for n in value.shape], "dtype": str(value.dtype)}
    device = str(getattr(value, "device", ""))
    if device:
        found["device"] = device
    if module == "torch" and device == "cpu" and value.numel() * value.element_size() <= _HASHED:
        data: Callable[[], bytes] = value.detach().contiguous().numpy().tobytes
        found["digest"] = _digest(data())
    return found


def _scalar(value: Any, depth: int) -> Any:
    """A single number of NumPy's, as Python has it."""
    if getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):
        plain = value.item()
        if type(plain) in (bool, int, float, str):
            return _described(plain, depth)
    return None


def _named(value: Any, depth: int) -> Any:
    """Functions, classes and modules by their names; paths, enumerations and data classes by what they hold."""
    if isinstance(value, type) or callable(value):
        name = getattr(value, "__qualname__", None)
        if isinstance(name, str):
            return {
                "type": "class" if isinstance(value, type) else "function",
                "name": f"{getattr(value, '__module__', '')}.{name}",
            }
        return None
    fspath = getattr(type(value), "__fspath__", None)
    if fspath is not None:
        path = fspath(value)
        return _text(path) if isinstance(path, str) else _described(path, depth)
    fields = getattr(type(value), "__dataclass_fields__", None)
    if isinstance(fields, dict):
        return {
            "type": type_name(value),
            "fields": {name: describe(getattr(value, name), depth - 1) for name in list(fields)[:_ITEMS]},
        }
    if hasattr(type(value), "__members__") and hasattr(value, "name"):
        return {"type": type_name(value), "name": value.name}
    return None


def _other(value: object) -> Any:
    text = repr(value)
    found: dict[str, Any] = {"type": type_name(value)}
    if text.startswith("<") and " at 0x" in text:
        return found  # an address says nothing, and makes every call another one
    found["repr"] = text if len(text) <= _TEXT else text[:_TEXT] + "…"
    return found


def _digest(data: bytes) -> str:
    from blake3 import blake3

    return "blake3:" + blake3(data).hexdigest()


def _said(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:200]
    except KeyboardInterrupt:
        raise
    except BaseException:
        return type(error).__name__
