"""Where the members' processor time goes, by stage: samples of py-spy, put into drawers by the code they hit.

Decides the drawers: the innermost function of a stack that belongs to one. Refuses to measure: py-spy does, from
outside and only when asked for, so that a member without it runs the very same code. Needs py-spy on the PATH and
the right to look at one's own processes.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from zizhu.chain.model.errors import AskedWrongly, ErrorCode

SAMPLES_EACH_S = 100
DRAWERS: tuple[tuple[str, str], ...] = (
    ("verify_many", "signature"),
    ("chain/crypto/international/secp256k1", "signature"),
    ("chain/crypto/guomi/sm2", "signature"),
    ("StateTree", "state"),
    ("chain/ledger/tree", "state"),
    ("chain/ledger/outcomes", "state"),
    ("chain/ledger/recovery", "state"),
    ("chain/ledger/order", "state"),
    ("State.apply", "state"),
    ("chain/contracts", "execute"),
    ("chain/ledger/execute", "execute"),
    ("chain/ledger/build", "execute"),
    ("chain/ledger/host", "execute"),
    ("Ledger._run", "execute"),
    ("chain/storage", "persist"),
    ("chain/node/outbox", "persist"),
    ("chain/ledger/archive", "persist"),
    ("chain/ledger/records", "persist"),
    ("Runtime._index_blocks", "persist"),
    ("chain/consensus", "consensus"),
    ("chain/network", "network"),
    ("chain/node/api", "network"),
    ("uvicorn/", "network"),
    ("starlette/", "network"),
    ("ssl.py", "network"),
    ("chain/ledger/transactions", "decode"),
    ("chain/ledger/validate", "decode"),
    ("chain/node/assembly", "decode"),
    ("chain/node/clients", "decode"),
    ("chain/ledger/pool", "pool"),
    ("chain/node/desk", "pool"),
)
OTHER = "loop and rest"
IDLE = "concurrent/futures/thread"
"""The writer's thread waiting for work: py-spy cannot always tell that from working."""


MISSING = ErrorCode(
    "bench.py_spy",
    "the shares by stage need py-spy, which is not installed",
    "pip install py-spy, or leave --profile out",
    "按阶段统计需要 py-spy,而它尚未安装",
    "请执行 pip install py-spy,或去掉 --profile",
)


def sampler() -> str:
    """Where py-spy is: beside this interpreter, or on the PATH. Raises AskedWrongly (`bench.py_spy`)."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    found = shutil.which("py-spy", path=os.pathsep.join(folders))
    if found is None:
        raise AskedWrongly(MISSING)
    return found


async def sample(pids: Sequence[int], seconds: float, folder: Path) -> dict[str, float]:
    """Shares of the samples by stage, over all processes; empty when nothing could be sampled."""
    program = sampler()
    paths = [folder / f"stacks-{pid}" for pid in pids]
    running = [
        await asyncio.create_subprocess_exec(
            program, "record", "--pid", str(pid), "--duration", str(int(seconds)), "--rate", str(SAMPLES_EACH_S),
            "--format", "raw", "--nonblocking", "--output", str(path),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )
        for pid, path in zip(pids, paths, strict=True)
    ]  # fmt: skip
    for process in running:
        await process.wait()
    lines = [line for path in paths if path.exists() for line in path.read_text(encoding="utf-8").splitlines()]
    return shares(lines)


def shares(lines: Sequence[str]) -> dict[str, float]:
    """From collapsed stacks ("outer;…;inner count") to the share of each stage, the largest first."""
    found: dict[str, int] = {}
    for line in lines:
        stack, _, count = line.rpartition(" ")
        if not count.isdigit() or IDLE in stack.rpartition(";")[2]:
            continue
        stage = stage_of(stack)
        found[stage] = found.get(stage, 0) + int(count)
    total = sum(found.values())
    ranked = sorted(found.items(), key=lambda item: -item[1])
    return {stage: round(count / total, 4) for stage, count in ranked}


def stage_of(stack: str) -> str:
    """The drawer of the innermost function that has one."""
    for function in reversed(stack.split(";")):
        for mark, stage in DRAWERS:
            if mark in function:
                return stage
    return OTHER
