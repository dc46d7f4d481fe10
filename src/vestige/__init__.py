"""Vestige records how every file was made, without being asked, and can make it again.

The public names are resolved when they are first used (PEP 562), so that `import vestige`
costs a script nothing.
"""

import sys

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vestige.api import Project, open  # noqa: A004  # vestige.open, as Image.open
    from vestige.errors import VestigeError
    from vestige.model.files import FileUse
    from vestige.model.lineage import Lineage
    from vestige.model.run import Run
    from vestige.ops.environment import capture_environment
    from vestige.record.hooks import Probe, Reporter, Watcher
    from vestige.script.added import add_probe, add_reporter, add_watcher
    from vestige.script.figures import plot
    from vestige.script.monitor import monitor
    from vestige.script.output import initialize, start
    from vestige.script.values import log, record

    output_dir: str

_PUBLIC = {
    "open": "vestige.api",
    "Project": "vestige.api",
    "Run": "vestige.model.run",
    "FileUse": "vestige.model.files",
    "Lineage": "vestige.model.lineage",
    "VestigeError": "vestige.errors",
    "capture_environment": "vestige.ops.environment",
    "Probe": "vestige.record.hooks",
    "Watcher": "vestige.record.hooks",
    "Reporter": "vestige.record.hooks",
    "add_probe": "vestige.script.added",
    "add_watcher": "vestige.script.added",
    "add_reporter": "vestige.script.added",
    "initialize": "vestige.script.output",
    "start": "vestige.script.output",
    "monitor": "vestige.script.monitor",
    "log": "vestige.script.values",
    "record": "vestige.script.values",
    "plot": "vestige.script.figures",
    "load_ipython_extension": "vestige.notebook",
    "unload_ipython_extension": "vestige.notebook",
}

__all__ = [
    "FileUse",
    "Lineage",
    "Probe",
    "Project",
    "Reporter",
    "Run",
    "VestigeError",
    "Watcher",
    "__version__",
    "add_probe",
    "add_reporter",
    "add_watcher",
    "capture_environment",
    "initialize",
    "log",
    "monitor",
    "open",
    "output_dir",
    "plot",
    "record",
    "start",
]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "output_dir":  # asked anew each time: the working directory may be another
        return import_module("vestige.script.output").output_dir()
    try:
        module = _PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module 'vestige' has no attribute {name!r}") from None
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(type(sys)):  # type: ignore[misc]  # the type of modules, without the module that names it
    """This module. A room of the house is called `record`, too, and must not take the place of the function."""

    def __setattr__(self, name: str, value: object) -> None:
        if name != "record" or not isinstance(value, type(sys)):
            super().__setattr__(name, value)


def _join() -> None:
    """A worker of a program that records itself tells of itself from its first import of this on."""
    if "multiprocessing" not in sys.modules:
        return
    from importlib import import_module
    from os import environ

    if "VESTIGE_WORKER" in environ:
        import_module("vestige.script.session").session().join_or_begin(None)


sys.modules[__name__].__class__ = _Package
_join()
