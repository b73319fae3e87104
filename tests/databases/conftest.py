"""Indexes on each database, and on the parts in memory, which say what is right."""

import contextlib
import itertools
import os
import shutil
import signal
import socket
import time
from pathlib import Path

import pytest

from keras_similarity.indexer import Indexer

_names = itertools.count()


# A server that waits less: for the clock by which a lookup sees all that was written (200
# ms as a rule), and for the session of a server that was killed to end (30 s).
_HURRY = {"proxy.timeTickInterval": "20", "common.session.ttl": "10"}


class Server:
    """A real Milvus, with its files in a folder, that can be killed and started."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._server, self._port = folder, None, _free_port()
        self.start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        import milvus

        self._server = milvus.MilvusServer()
        # Or a port on which connections of a killed server linger would be passed over.
        self._server.config.try_bind_port = _bound
        self._server.set_base_dir(str(self._folder))
        self._server.listen_port = self._port
        for name, value in _HURRY.items():
            self._server.config.set(name, value)
        # The ports it looks for by itself may be in use elsewhere.
        self._server.webservice_port = _free_port()
        try:
            with _in_folder(self._folder):
                self._server.start()
        except BaseException:  # An interrupt, too.
            self.kill()
            raise

    def kill(self) -> None:
        process, self._server.server_proc = self._server.server_proc, None
        if process is not None:
            process.kill()
            process.wait()

    @contextlib.contextmanager
    def hanging(self):
        """The server does nothing, and its connections stay."""
        os.kill(self._server.server_proc.pid, signal.SIGSTOP)
        try:
            # Its threads stop one after another, and could still answer.
            while not self._is_stopped():
                time.sleep(0.01)
            yield
        finally:
            os.kill(self._server.server_proc.pid, signal.SIGCONT)

    def _is_stopped(self) -> bool:
        tasks = Path(f"/proc/{self._server.server_proc.pid}/task").glob("*/stat")
        try:
            return all(task.read_text().rpartition(") ")[2][0] == "T" for task in tasks)
        except OSError:  # A thread that has ended meanwhile.
            return False

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory):
    """A Milvus server, one for the whole run."""
    pytest.importorskip("pymilvus", reason="The extra [milvus] is not installed.")
    pytest.importorskip("milvus", reason="The package milvus is not installed.")
    folder = tmp_path_factory.mktemp("milvus")
    try:
        server = Server(folder)
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder)  # Hundreds of megabytes, which pytest would keep.


KINDS = ["linear", "lance", "milvus-lite", "milvus-server"]
_PACKAGES = {"lance": "lancedb", "milvus-lite": "milvus_lite", "linear": "numpy"}


class Made:
    """Makes indexes on one kind of database, and closes them."""

    def __init__(self, kind: str, folder: Path, uri: str | None) -> None:
        self.kind, self._folder, self._uri = kind, folder, uri
        self.made: list[Indexer] = []

    def search(self, dim, distance, name=None, **kwargs):
        """The search of an index: with a table of its own, unless it is named."""
        from keras_similarity.databases import LanceSearch, MilvusSearch

        name = name or f"test_{next(_names)}"
        if self.kind == "linear":
            return "linear"
        if self.kind == "lance":
            path = self._folder / "lance"
            return LanceSearch(distance, dim, path, name, **kwargs)
        uri = self._uri or self._folder / "milvus.db"
        return MilvusSearch(distance, dim, uri, collection=name, **kwargs)

    def __call__(self, dim=2, distance="euclidean", name=None, **kwargs):
        index = Indexer(dim, distance, search=self.search(dim, distance, name, **kwargs))
        self.made.append(index)
        return index

    def close(self):
        for index in self.made:
            if self.kind != "linear":
                with contextlib.suppress(Exception):
                    index.search.reset()
                index.search.close()


@pytest.fixture
def make(kind, tmp_path, request):
    """Makes indexes of the `kind` that a test is parametrised with."""
    uri = None
    if kind == "milvus-server":
        uri = request.getfixturevalue("milvus_server").uri
    else:
        pytest.importorskip(_PACKAGES[kind])
    made = Made(kind, tmp_path, uri)
    yield made
    made.close()


def pytest_generate_tests(metafunc):
    if "kind" in metafunc.fixturenames and "kind" not in _given(metafunc):
        metafunc.parametrize("kind", KINDS)


def _given(metafunc):
    marks = metafunc.definition.iter_markers("parametrize")
    return [name for mark in marks for name in str(mark.args[0]).split(",")]


def _bound(port):
    """A socket on a port that nobody listens on, or `None`."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
        bound.listen()
    except OSError:
        bound.close()
        return None
    return bound


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def _in_folder(folder):
    """The server's package leaves the working folder where an error left it."""
    before = os.getcwd()
    try:
        yield
    finally:
        os.chdir(before)
