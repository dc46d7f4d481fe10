"""Graphics processors: first as the kernel's drivers describe them, then, for a moment, as the maker's library does.

The library (`nvidia-ml-py`) is asked only if it is installed beside Vestige, in a thread that is waited for two seconds:
without persistence mode the driver takes seconds to wake, and on a sick card it never answers.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds.
PATIENCE = 2.0


def look(proc: str = "/proc/driver/nvidia", drm: str = "/sys/class/drm") -> dict[str, object]:
    """`gpus` (model and identity, one a string), `driver`; and `gpu_memory` (bytes), `cuda` where the library knows."""
    found: dict[str, object] = {}
    gpus = tuple(_of_nvidia(proc))
    if gpus:
        found = {"gpus": gpus, "driver": _driver(proc)}
        found.update(_asked())
    others = tuple(_of_amd(drm))
    if others:
        found["gpus"] = (*gpus, *others)
        found.setdefault("driver", _read("/sys/module/amdgpu/version"))
    return found


def _of_nvidia(proc: str) -> Iterator[str]:
    folder = os.path.join(proc, "gpus")
    if not os.path.isdir(folder):
        return
    for name in sorted(os.listdir(folder)):
        text = _read(os.path.join(folder, name, "information")) or ""
        pairs = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
        identity = pairs.get("GPU UUID", "")
        yield f"{pairs.get('Model', 'NVIDIA')} ({identity})" if identity and "?" not in identity else pairs.get("Model", "NVIDIA")


def _driver(proc: str) -> str | None:
    """`NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue …`: the word with two dots, or one."""
    line = (_read(os.path.join(proc, "version")) or "").split("\n", 1)[0]
    for word in line.split():
        if word[0].isdigit() and "." in word:
            return f"nvidia {word}"
    return None


def _of_amd(drm: str) -> Iterator[str]:
    if not os.path.isdir(drm):
        return
    for name in sorted(os.listdir(drm)):
        device = os.path.join(drm, name, "device")
        if name.startswith("card") and name[4:].isdigit() and _read(os.path.join(device, "vendor")) == "0x1002":
            identity = _read(os.path.join(device, "unique_id"))
            model = _read(os.path.join(device, "product_name")) or f"AMD {_read(os.path.join(device, 'device')) or ''}".strip()
            yield f"{model} ({identity})" if identity else model


def _asked() -> dict[str, object]:
    from importlib.util import find_spec
    from threading import Thread

    if find_spec("pynvml") is None:
        return {}
    answer: dict[str, object] = {}
    asking = Thread(target=_ask, args=(answer,), daemon=True)
    asking.start()
    asking.join(PATIENCE)
    # A copy: a thread that answers too late must not change what was said.
    return dict(answer)


def _ask(answer: dict[str, object]) -> None:
    try:
        import pynvml  # type: ignore[import-not-found, import-untyped, unused-ignore]  # an extra

        pynvml.nvmlInit()
        try:
            cards = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
            memory = [int(pynvml.nvmlDeviceGetMemoryInfo(card).total) for card in cards]
            version = int(pynvml.nvmlSystemGetCudaDriverVersion())
            answer.update({"gpu_memory": memory, "cuda": f"{version // 1000}.{version % 1000 // 10}"})
        finally:
            pynvml.nvmlShutdown()
    except Exception:
        return


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 16).strip() or None
    except OSError:
        return None
