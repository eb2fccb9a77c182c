"""Packages whose `__init__` runs only when somebody asks it for something.

Theory of operation: importing any submodule runs the `__init__` of its packages first, and that of
the MCP SDK brings its whole server half, a third of its cost, which a host never uses. A deferred
package stands in `sys.modules` with its real spec and path, so that its submodules import as
usual; the first use of anything else of it runs the real `__init__` in place. So whatever a later
version of the SDK does, it sees the package it expects; at worst nothing is saved.
"""

import sys
import threading
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

_running = threading.RLock()


class _Deferred(ModuleType):
    """A package whose `__init__` has not run yet, or a module."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        full = f"{self.__name__}.{name}"
        inside = "__path__" in vars(self) and find_spec(full) is not None
        if inside or full in sys.modules:
            return import_module(full)
        with _running:
            if type(self) is _Deferred:
                self.__class__ = ModuleType  # type: ignore[assignment]
                loader = self.__spec__.loader if self.__spec__ is not None else None
                if loader is not None:
                    loader.exec_module(self)
        return getattr(self, name)


def defer(*packages: str) -> None:
    """Put off the `__init__` of `packages`, outer ones first; one that is imported stays."""
    for name in packages:
        if name in sys.modules:
            continue
        spec = find_spec(name)
        if spec is None:
            continue
        package = module_from_spec(spec)
        package.__class__ = _Deferred
        sys.modules[name] = package
        outer, _, inner = name.rpartition(".")
        if outer:
            setattr(sys.modules[outer], inner, package)
