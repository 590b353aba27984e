"""etcd beside `zizhu bench --engine raft --members 3 --workload value`: the same question, asked of a key-value store.

Three members of etcd on this machine, each with its own folder, durable; two client processes in a closed loop, each
with so many writes of 256 bytes under way, over gRPC. Needs Debian's etcd-server and PyPI's grpcio. Prints one JSON
object: committed writes a second (median over the spans) and latencies.

    python bench/peers/etcd.py --spans 3 --seconds 8 --under-way 64
"""

import argparse
import asyncio
import json
import multiprocessing
import random
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import grpc

MEMBERS = 3
CLIENTS = 2
KEYS = 100_000
VALUE_BYTES = 256
READY_WITHIN_S = 20.0


def free_ports(count):
    """Ports that nobody listens on now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def start(folder):
    """The members as processes, and where clients reach them."""
    ports = free_ports(2 * MEMBERS)
    peers = {f"m{i}": f"http://127.0.0.1:{ports[i]}" for i in range(MEMBERS)}
    clients = [f"127.0.0.1:{ports[MEMBERS + i]}" for i in range(MEMBERS)]
    started = []
    for i, (name, url) in enumerate(peers.items()):
        words = ["etcd", "--name", name, "--data-dir", str(folder / name)]
        words += ["--listen-peer-urls", url, "--initial-advertise-peer-urls", url]
        words += ["--listen-client-urls", f"http://{clients[i]}", "--advertise-client-urls", f"http://{clients[i]}"]
        words += ["--initial-cluster", ",".join(f"{each}={at}" for each, at in peers.items())]
        with (folder / f"{name}.log").open("wb") as log:
            started.append(subprocess.Popen(words, stdout=log, stderr=log))
    return started, clients


def put_request(key, value):
    """etcdserverpb.PutRequest: field 1 the key, field 2 the value, both bytes."""
    return b"\x0a" + length(key) + key + b"\x12" + length(value) + value


def length(data):
    """A protobuf length of at most two bytes."""
    assert len(data) < 1 << 14
    return bytes([len(data)]) if len(data) < 128 else bytes([len(data) & 127 | 128, len(data) >> 7])


async def write(urls, seed, spans, seconds, under_way):
    """Writes until the spans are over: (writes of each span, latencies in ms of all)."""
    dice = random.Random(seed)
    channels = [grpc.aio.insecure_channel(url) for url in urls]
    puts = [channel.unary_unary("/etcdserverpb.KV/Put") for channel in channels]
    await puts[0](put_request(b"first", b"value"), wait_for_ready=True, timeout=READY_WITHIN_S)
    began = time.monotonic()
    counts, latencies = [0] * spans, []

    async def loop(number):
        put = puts[number % len(puts)]
        while (now := time.monotonic()) < began + spans * seconds:
            key = dice.randrange(KEYS).to_bytes(8, "big")
            await put(put_request(key, dice.randbytes(VALUE_BYTES)))
            done = time.monotonic()
            latencies.append((done - now) * 1000)
            span = int((done - began) / seconds)
            if span < spans:
                counts[span] += 1

    await asyncio.gather(*(loop(number) for number in range(under_way)))
    for channel in channels:
        await channel.close()
    return counts, latencies


def client(urls, seed, arguments, answers):
    """A client process."""
    answers.put(asyncio.run(write(urls, seed, arguments.spans, arguments.seconds, arguments.under_way)))


def measure(arguments):
    """One row."""
    folder = Path(tempfile.mkdtemp(prefix="etcd-bench-"))
    members, urls = start(folder)
    try:
        answers = multiprocessing.Queue()
        clients = [
            multiprocessing.Process(target=client, args=(urls, seed, arguments, answers)) for seed in range(CLIENTS)
        ]
        for each in clients:
            each.start()
        said = [answers.get() for _ in clients]
        for each in clients:
            each.join()
    finally:
        for member in members:
            member.terminate()
        for member in members:
            member.wait()
        shutil.rmtree(folder, ignore_errors=True)
    spans = [sum(counts) / arguments.seconds for counts in zip(*(counts for counts, _ in said), strict=True)]
    latencies = sorted(each for _, some in said for each in some)
    return {
        "system": "etcd",
        "version": subprocess.run(["etcd", "--version"], capture_output=True, text=True, check=True).stdout.split()[2],
        "members": MEMBERS,
        "clients": CLIENTS,
        "under_way": CLIENTS * arguments.under_way,
        "value_bytes": VALUE_BYTES,
        "writes_per_s": round(statistics.median(spans)),
        "spans": [round(each) for each in spans],
        "p50_ms": round(latencies[len(latencies) // 2], 1),
        "p99_ms": round(latencies[len(latencies) * 99 // 100], 1),
    }


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spans", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--under-way", type=int, default=64, help="writes under way in each client process")
    print(json.dumps(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
