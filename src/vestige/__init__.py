"""Vestige records how every file was made, without being asked, and can make it again.

The public names are resolved when they are first used (PEP 562), so that `import vestige`
costs a script nothing.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vestige.api import Project, open  # noqa: A004  # vestige.open, as Image.open
    from vestige.errors import VestigeError
    from vestige.model.files import FileUse
    from vestige.model.lineage import Lineage
    from vestige.model.run import Run

_PUBLIC = {
    "open": "vestige.api",
    "Project": "vestige.api",
    "Run": "vestige.model.run",
    "FileUse": "vestige.model.files",
    "Lineage": "vestige.model.lineage",
    "VestigeError": "vestige.errors",
}

__all__ = ["FileUse", "Lineage", "Project", "Run", "VestigeError", "__version__", "open"]


def __getattr__(name: str) -> object:
    try:
        module = _PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module 'vestige' has no attribute {name!r}") from None
    from importlib import import_module

    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
