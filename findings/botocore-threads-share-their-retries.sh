#!/usr/bin/env bash
# botocore: ten retries a request are not ten where sixteen threads share a client.
#
# Where: Config(retries={"mode": "standard", "max_attempts": 10}), a server that is away for some seconds, the usual pool of threads
#        that reads images.
# Guess: each request is tried eleven times, with seconds of waiting in between, from one thread as from sixteen.
# Seen:  one thread makes all eleven tries. With sixteen, requests give up after two to five, within about a second: the mode
#        has a quota of retries that all requests of a client share, and refusals use it up. With mode "legacy" each
#        request has its eleven. A bucket that restarts costs an export although one try by hand shows that "it retries".
# Do:    retry by elapsed time around the call, or use "legacy" for pools of threads.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check boto3==1.44.5 botocore==1.44.5
"$work/venv/bin/python" - <<'PY'
import random
import socket
import threading
from collections import Counter

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

with socket.socket() as free:  # a port at which nobody listens
    free.bind(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{free.getsockname()[1]}"


def attempts(mode, threads):
    """How often each thread's request was tried before it failed."""
    config = Config(retries={"mode": mode, "max_attempts": 10}, max_pool_connections=threads)
    client = boto3.session.Session().client(
        "s3", endpoint_url=address, region_name="local", aws_access_key_id="a", aws_secret_access_key="b", config=config
    )
    tried = Counter()
    client.meta.events.register("before-send.s3", lambda **_: tried.update([threading.get_ident()]))

    def ask():
        try:
            client.head_bucket(Bucket="images")
        except EndpointConnectionError:
            pass

    pool = [threading.Thread(target=ask) for _ in range(threads)]
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()
    return sorted(tried.values())


random.random = lambda: 0.02  # short waits: the number of attempts is what is counted
print(f"botocore {botocore.__version__}")
alone, together, legacy = attempts("standard", 1), attempts("standard", 16), attempts("legacy", 16)
print(f"standard, 1 thread: {alone}\nstandard, 16 threads: {together}\nlegacy, 16 threads: {legacy}")
assert alone == [11]
assert sum(together) < 60
assert legacy == [11] * 16
PY
