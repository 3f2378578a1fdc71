"""A River model's state as text, without trusting the text.

River has no format of its own but pickle, and a pickle may call anything.  So only classes are let in that a model
may consist of: River's, those of the model's own package, and a short list of plain containers; anything else is
refused before it is touched.  The state names the River version it was made with, because River promises nothing
about the insides of its models from one version to the next.
"""

from __future__ import annotations

import base64
import io
import pickle
from collections.abc import Mapping
from typing import Any

import river

CONTAINERS = {
    "builtins": {"bytearray", "complex", "dict", "float", "frozenset", "int", "list", "range", "set", "slice", "tuple"},
    "collections": {"deque", "defaultdict", "OrderedDict", "Counter"},
    "functools": {"partial"},
    "copyreg": {"_reconstructor"},
    "random": {"Random"},
    "datetime": {"datetime", "date", "timedelta"},
    "numpy": {"ndarray", "dtype"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.numeric": {"_frombuffer"},
}


class StateError(ValueError):
    """A stored model state cannot be taken up: another River version, or something in it that no model consists of."""


class _Careful(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, own: frozenset[str]) -> None:
        super().__init__(file)
        self.own = own

    def find_class(self, module: str, name: str) -> Any:
        if name in CONTAINERS.get(module, ()):
            return super().find_class(module, name)
        if module.split(".")[0] in self.own and "." not in name:
            found = super().find_class(module, name)
            # what a module of theirs has merely imported is not theirs
            if isinstance(found, type) and found.__module__.split(".")[0] in self.own:
                return found
        raise StateError(f"a model's state holds {module}.{name}, which is no part of a model")


def dump(model: Any) -> dict[str, str]:
    """The state of ``model`` as JSON-able text."""
    return {"river": river.__version__, "pickle": base64.b85encode(pickle.dumps(model, protocol=5)).decode()}


def load(state: Mapping[str, str], like: Any) -> Any:
    """The model of ``state``, made of nothing but River's classes and those of the package of ``like``.

    >>> from river import stats
    >>> mean = stats.Mean()
    >>> mean.update(3.0)
    >>> load(dump(mean), mean).get()
    3.0
    """
    if state["river"] != river.__version__:
        raise StateError(f"the state is of River {state['river']}, this is {river.__version__}")
    own = frozenset({"river", type(like).__module__.split(".")[0]} - {"builtins"})
    return _Careful(io.BytesIO(base64.b85decode(state["pickle"])), own).load()
