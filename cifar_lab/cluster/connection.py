"""The connection to a Dask cluster, and the workers there that can take part."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar_lab.cluster import worker_facts
from cifar_lab.cluster.worker_facts import facts

if TYPE_CHECKING:
    from distributed import Client

ANSWER_WITHIN = 25.0  # seconds that a scheduler or a worker gets for a short answer
LONGER = 120.0  # seconds for a caller's own question, which may import PyTorch from a slow disk
TIMEOUTS = (TimeoutError, asyncio.TimeoutError)  # two classes in Python 3.10
NOISY = ("distributed", "distributed.client", "tornado.application")  # they log tracebacks


@dataclass(frozen=True)
class WorkerFacts:
    """The facts of a worker.

    Attributes:
        address: Its address, such as "tcp://10.0.0.7:40123".
        host: Its machine's name.
        threads: The number of tasks that it does at a time.
        processor: Its processor's name: another kind gives results that differ in the last bits.
        same_processor: Whether that is the processor here, too.
    """

    address: str
    host: str
    threads: int
    processor: str
    same_processor: bool


@contextmanager
def connected(address: str, *, timeout: float = 20.0) -> Iterator[Client]:
    """Connect to a Dask scheduler for the time of the block.

    Addresses that begin with tls:// take the certificates from Dask's configuration. No port is
    opened here: the client connects to the scheduler.

    Args:
        address: The scheduler's address, such as "tcp://10.0.0.5:8786".
        timeout: The seconds after which there is no scheduler there.

    Raises:
        ImportError: `distributed` is not installed.
        ConnectionError: Nobody answers at the address, or its certificates are not accepted.
        ValueError: It is no address.
    """
    try:
        from distributed import Client, Security
    except ImportError as error:
        raise ImportError(
            f"A Dask cluster needs the package distributed ({error}). Install it on every machine: "
            "pip install 'cifar-lab[cluster]'"
        ) from error
    if not address.startswith(("tcp://", "tls://", "ucx://", "ws://", "wss://")):
        raise ValueError(
            f"{address!r} is no scheduler's address; expected one like tcp://HOST:8786, as "
            "`dask scheduler` prints it."
        )
    with _silenced():
        try:
            security = Security()  # from Dask's configuration
            if address.startswith("tls://"):  # asked here: a client without takes long to give up
                certificates = security.get_connection_args("client").get("ssl_context")
                if certificates is None:
                    raise RuntimeError("no certificates are configured here")
            client = Client(
                address, timeout=timeout, security=security, set_as_default=False, name="cifar-lab"
            )
        except (OSError, RuntimeError) as error:
            raise ConnectionError(_no_answer(address, error)) from error
        try:
            yield client
        finally:
            client.close(timeout=5)


def _no_answer(address: str, error: Exception) -> str:
    last = str(error).splitlines()[0] if str(error) else type(error).__name__
    if address.startswith("tls://"):
        return (
            f"No secure connection to a Dask scheduler at {address} ({last}). Give the certificates"
            " in Dask's configuration (distributed.comm.tls.ca-file and .client.cert, .client.key),"
            " and start the scheduler and the workers with --tls-ca-file, --tls-cert and --tls-key."
        )
    port = address.rpartition(":")[2]
    return (
        f"No Dask scheduler answers at {address} ({last}). Start one there "
        f"(dask scheduler --port {port}) and workers (dask worker {address}), or correct the "
        "address; it is printed when the scheduler starts."
    )


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep Dask's log of lost connections off the terminal: an error of ours says the same."""
    loggers = [logging.getLogger(name) for name in NOISY]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def usable_workers(
    client: Client,
    *,
    refuse: Callable[[], str | None] | None = None,
    among: Collection[str] | None = None,
) -> tuple[dict[str, WorkerFacts], dict[str, str]]:
    """Ask each worker for its versions, and return those that can take part and the others.

    Python (major and minor), PyTorch and this package must be the same as here; of the package,
    every file must be, as the experiments are part of it.

    Args:
        client: The connection.
        refuse: A further question, asked on each worker whose versions are right: it returns the
            reason not to use it, or None.
        among: The addresses of the workers to ask; None for all.

    Returns:
        The facts of each usable worker, and the reason for each one that is refused, by address.
    """
    threads = worker_threads(client)
    asked = [each for each in threads if among is None or each in among]
    here = facts()
    usable: dict[str, WorkerFacts] = {}
    refused: dict[str, str] = {}
    for address, answer in _asked_for_facts(client, asked).items():
        reason = f"it does not answer ({answer})" if isinstance(answer, Exception) else None
        there = {} if reason else json.loads(answer)
        reason = reason or _difference(there, here)
        if reason is not None:
            refused[address] = reason
            continue
        same = there["processor"] == here["processor"]
        usable[address] = WorkerFacts(
            address, there["host"], threads[address], there["processor"], same
        )
    answers = _ask(client, refuse, list(usable), within=LONGER) if refuse else {}
    for address, answer in answers.items():
        if answer is not None:
            del usable[address]
            refused[address] = str(answer)
    return usable, refused


def worker_threads(client: Client) -> dict[str, int]:
    """Return the number of threads of each worker by address.

    Raises:
        OSError: The scheduler does not answer.
    """
    return dict(client.sync(client.scheduler.ncores, callback_timeout=ANSWER_WITHIN))


def _asked_for_facts(client: Client, addresses: list[str]) -> dict[str, Any]:
    """Return each worker's facts as JSON, or the exception.

    They get the question as text: one with another version of this package, or none, may not have
    the function, and pickled code does not cross versions of Python.
    """
    text = Path(worker_facts.__file__).read_text(encoding="utf-8")
    question = f"(lambda scope: (exec({text!r}, scope), scope['facts_as_json']())[1])({{}})"
    return _ask(client, eval, addresses, question)


def _ask(
    client: Client,
    question: Callable[..., Any],
    addresses: list[str],
    *given: Any,
    within: float = ANSWER_WITHIN,
) -> dict[str, Any]:
    """Return each worker's answer or exception."""

    def ask(some: list[str]) -> dict[str, Any]:
        options: dict[str, Any] = {"callback_timeout": within}
        return client.run(question, *given, workers=some, on_error="return", **options)

    if not addresses:
        return {}
    try:
        return ask(addresses)
    except TIMEOUTS:  # by a single one: the others are asked alone
        pass
    answers: dict[str, Any] = {}
    for address in addresses:
        try:
            answers |= ask([address])
        except TIMEOUTS:
            answers[address] = TimeoutError(f"no answer within {within:.0f} seconds")
    return answers


def _difference(there: dict[str, str], here: dict[str, str]) -> str | None:
    """Return how a worker's versions differ from those here; None if they are the same."""
    if not there["package"]:
        return "it has no cifar_lab: install it in the worker's environment"
    names = {"python": "Python", "torch": "torch", "package": "cifar_lab"}
    differ = [
        f"{title} {there[name] or 'missing'} (here {here[name]})"
        for name, title in names.items()
        if there[name] != here[name]
    ]
    if differ:
        return f"it has {', '.join(differ)}: install the same version"
    if there["digest"] != here["digest"]:
        return (
            f"its cifar_lab {there['package']} has other files than here "
            f"(digest {there['digest'][:8]}, here {here['digest'][:8]}): install the same commit"
        )
    return None
