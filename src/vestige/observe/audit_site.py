"""Stands as `sitecustomize` before a user's own, starts the audit hook where there can be one, and hands over.

This file stands alone and is understood by every Python since 2.7, since any may be met on a search path that is ours.
"""

import os
import sys


def _begin():  # type: ignore[no-untyped-def]  # noqa: ANN202
    try:
        if hasattr(sys, "addaudithook"):
            __import__("_vestige_audit").begin()
    except Exception:  # nothing can be told; the program's own work comes first
        pass


def _hand_over():  # type: ignore[no-untyped-def]  # noqa: ANN202
    """Import the `sitecustomize` that this one stands before, if there is one; its errors are its own."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder) != here]
    ours = sys.modules.pop("sitecustomize")
    try:
        __import__("sitecustomize")
    except ImportError as error:
        if str(error).replace("'", "") != "No module named sitecustomize":
            raise
    finally:
        sys.modules.setdefault("sitecustomize", ours)


if __name__ == "sitecustomize":
    _begin()  # type: ignore[no-untyped-call]
    _hand_over()  # type: ignore[no-untyped-call]
