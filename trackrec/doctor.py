"""What is installed, what runs on this machine, and whether an endpoint answers: for ``trackrec doctor``."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Literal

State = Literal["ok", "absent", "wrong"]
MOST_BYTES = 4 << 20
"""Largest list of models that is read of an endpoint."""


@dataclass(frozen=True)
class Finding:
    """One line of what was found."""

    part: str
    """What it belongs to: machine, packages, extras, assets or endpoint."""
    name: str
    state: State
    """`ok`; `absent`: not there, and only needed by whoever wants it; `wrong`: something will not work."""
    says: str


def examine(base_url: str = "", key_variable: str = "", seconds: float = 10.0) -> list[Finding]:
    """Look at this machine.

    Args:
        base_url: address of an OpenAI-compatible endpoint, up to and without ``/chat/completions``; empty: none is
            asked. Its list of models is asked for, and nothing else is sent.
        key_variable: name of the environment variable with its key; empty: none is sent.
        seconds: until the endpoint must have answered.
    """
    found = [*_machine(), *_packages(), *_extras(), *_assets()]
    return [*found, _endpoint(base_url, key_variable, seconds)] if base_url else found


def _machine() -> Iterator[Finding]:
    import psutil

    python = platform.python_version()
    yield Finding("machine", "trackrec", "ok", f"{version('trackrec')} in {Path(__file__).parent}")
    yield Finding(
        "machine", "Python", "ok" if sys.version_info >= (3, 11) else "wrong", f"{python} on {platform.platform()}"
    )
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = psutil.virtual_memory()
    yield Finding("machine", "processors", "ok", f"{usable} that this process may use, {platform.machine()}")
    yield Finding(
        "machine", "memory", "ok", f"{memory.total / 2**30:.1f} GiB, {memory.available / 2**30:.1f} GiB of it free"
    )
    yield from _devices()


def _devices() -> Iterator[Finding]:
    """What torch can compute on."""
    try:
        import torch
    except Exception as error:  # a broken build fails with errors of its own
        yield Finding("machine", "torch", "wrong", f"cannot be loaded: {type(error).__name__}: {error}")
        return
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(number)
            yield Finding("machine", f"GPU {number}", "ok", f"{about.name}, {about.total_memory / 2**30:.0f} GiB")
    elif torch.backends.mps.is_available():
        yield Finding("machine", "GPU", "ok", "Apple's, by Metal")
    else:
        instructions = torch.backends.cpu.get_cpu_capability()
        yield Finding("machine", "GPU", "absent", f"torch computes on the processor ({instructions})")


def _packages() -> Iterator[Finding]:
    """The packages that every installation needs."""
    wrong = [say for line in requires("trackrec") or () if (say := _lacks(line, ""))]
    if wrong:
        yield from (Finding("packages", "needed", "wrong", say) for say in wrong)
        return
    told = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft", "polars"))
    yield Finding("packages", "needed", "ok", f"all there: {told}, ...")


def _extras() -> Iterator[Finding]:
    """Of each extra, what is missing."""
    from packaging.requirements import Requirement

    lines = requires("trackrec") or []
    named = [extra for extra in _names(lines) if extra not in ("all", "dev", "docs")]
    for extra in named:
        needed = [line for line in lines if _asked_by(Requirement(line), extra)]
        missing = [say for line in needed if (say := _lacks(line, extra))]
        if missing:
            yield Finding("extras", extra, "absent", f"{'; '.join(missing)}: pip install 'trackrec[{extra}]'")
        else:
            told = ", ".join(f"{(name := Requirement(line).name)} {version(name)}" for line in needed)
            yield Finding("extras", extra, "ok", told)


def _names(lines: list[str]) -> list[str]:
    """The extras that requirements belong to, in order of name."""
    return sorted({name for line in lines for name in re.findall(r"""extra == ["']([\w-]+)["']""", line)})


def _asked_by(requirement: Any, extra: str) -> bool:
    """Whether a requirement belongs to the extra, on this machine."""
    marker = requirement.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def _lacks(line: str, extra: str) -> str:
    """What is wrong with a requirement where it applies; empty: nothing."""
    from packaging.requirements import Requirement

    requirement = Requirement(line)
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
        return ""
    try:
        there = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if requirement.specifier.contains(there, prereleases=True):
        return ""
    return f"{requirement.name} is {there}, expected {requirement.specifier}"


def _assets() -> Iterator[Finding]:
    """What is kept on this disk of models and data."""
    from trackrec.assets import ASSETS, asset_folder

    folder = asset_folder()
    there = [name for name in ASSETS if any(folder.glob(f"{name}-*"))] if folder.is_dir() else []
    for name, asset in ASSETS.items():
        told = "is in the cache" if name in there else f"is fetched on first use ({asset.megabytes} MB)"
        yield Finding("assets", name, "ok" if name in there else "absent", told)
    nearest = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    writable = os.access(nearest, os.W_OK)
    free = shutil.disk_usage(nearest).free / 2**30
    said = f"{folder}, {free:.1f} GiB free on its disk"
    if not writable:
        said += ", which you cannot write to: name another one in TRACKREC_CACHE"
    yield Finding("assets", "cache", "ok" if writable else "wrong", said)


def _endpoint(base_url: str, key_variable: str, seconds: float) -> Finding:
    """Ask an endpoint for its models."""
    try:
        import httpx2
    except ImportError:
        return Finding("endpoint", base_url, "wrong", "asking it needs httpx2: pip install 'trackrec[remote]'")
    key = os.environ.get(key_variable, "").strip() if key_variable else ""
    if key_variable and not key:
        return Finding("endpoint", base_url, "wrong", f"the environment variable {key_variable} is empty")
    sent = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with (
            httpx2.Client(timeout=seconds, follow_redirects=False) as client,
            client.stream("GET", f"{base_url.rstrip('/')}/models", headers=sent) as answer,
        ):
            body = bytearray()
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > MOST_BYTES:
                    return Finding("endpoint", base_url, "wrong", f"its list is longer than {MOST_BYTES:,} bytes")
            status = answer.status_code
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return Finding("endpoint", base_url, "wrong", f"does not answer: {type(error).__name__}: {error}")
    text = bytes(body).decode("utf-8", "replace")
    if key:
        text = text.replace(key, "[key]")
    if status != 200:
        return Finding("endpoint", base_url, "wrong", f"answers HTTP {status}: {text[:200]}")
    return _models(base_url, text)


def _models(base_url: str, text: str) -> Finding:
    try:
        names = [str(model["id"]) for model in json.loads(text)["data"]]
    except (ValueError, KeyError, TypeError):
        return Finding("endpoint", base_url, "wrong", f"what it calls its models is no list of them: {text[:200]}")
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return Finding("endpoint", base_url, "ok", f"answers, with the models {', '.join(names[:5])}{more}")


def print_findings(found: Sequence[Finding], console: Any, as_json: bool) -> None:
    """What was found as a table, or as JSON."""
    if as_json:
        told = json.dumps([asdict(one) for one in found], indent=1)
        console.print(told, highlight=False, markup=False, soft_wrap=True)
        return
    from rich.table import Table

    table = Table("part", "what", "state", "says")
    for one in found:
        table.add_row(one.part, one.name, one.state, one.says)
    console.print(table, markup=False)
