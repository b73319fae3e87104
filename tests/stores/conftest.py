"""A Redis server of our own, for all tests of a run."""

import itertools
import shutil
import socket
import subprocess
import time

import pytest

_names = itertools.count()


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory):
    """Port of a real server that keeps its files in a temporary folder."""
    pytest.importorskip("redis", reason="The extra [redis] is not installed.")
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("The program redis-server is not installed.")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    command = [program, "--port", str(port), "--dir", str(folder)]
    command += ["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        _wait(port, server)
        yield port
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def make_redis(redis_port):
    """Makes a store with keys of its own."""
    from keras_similarity.stores import RedisStore

    return lambda **kwargs: RedisStore(
        port=redis_port, prefix=f"test {next(_names)}", **kwargs
    )


def _wait(port, server):
    for _ in range(200):
        assert server.poll() is None, "redis-server has ended"
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError("redis-server does not answer")
