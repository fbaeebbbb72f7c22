"""Experiments as bytes, for processes that run them."""

from __future__ import annotations

import pickle
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cifar_lab.experiments.catalog import Experiment


def pickled(experiment: Experiment, *, elsewhere: bool = False) -> bytes:
    """Return an experiment as bytes that another process can read.

    A network that is defined in a file of its own goes by the name of its module, to another
    machine with the code of that file. One that is defined in a notebook or a script goes as code,
    which needs cloudpickle.

    Args:
        experiment: The experiment.
        elsewhere: Whether it goes to another machine, which lacks the file.

    Raises:
        TypeError: It can't be read elsewhere; the message says what to do.
    """
    module = sys.modules.get(getattr(experiment.model, "__module__", ""))
    is_own = module is not None and module.__name__.partition(".")[0] != "cifar_lab"
    if not (is_own and elsewhere):
        try:
            content = pickle.dumps(experiment)
        except (pickle.PicklingError, AttributeError, TypeError):
            content = b"__main__"
        if b"__main__" not in content:
            return content
    try:
        import cloudpickle
    except ImportError as error:
        raise TypeError(
            f"The network of {experiment.name!r} is defined in the notebook or the script itself, "
            "where another process can't find it. Put it into a file (in a notebook: begin its "
            "cell with %%writefile my_net.py) and import it from there, or pip install cloudpickle."
        ) from error
    try:
        if module is not None and is_own and module.__name__ != "__main__":
            cloudpickle.register_pickle_by_value(module)
        return cloudpickle.dumps(experiment)
    except Exception as error:  # whatever a network's own attributes raise
        raise TypeError(
            f"The experiment {experiment.name!r} can't be sent to another process ({error}). "
            "Give a function or class that builds the network from plain values."
        ) from error
    finally:
        if module is not None and module.__name__ in cloudpickle.list_registry_pickle_by_value():
            cloudpickle.unregister_pickle_by_value(module)
