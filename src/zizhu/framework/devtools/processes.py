"""What the operating system says of the members: processor time, memory, disk. Linux's /proc, nothing else.

Decides units. Refuses to know what the numbers are for.
"""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
_USER_TIME = 11
_SYSTEM_TIME = 12
"""Fields of /proc/PID/stat behind the name: utime and stime, in ticks."""


def cpu_s(pid: int) -> float:
    """Processor seconds that a process (all its threads) has used."""
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(after_name[_USER_TIME]) + int(after_name[_SYSTEM_TIME])) / TICKS


def resident_bytes(pid: int) -> int:
    """Its resident memory."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def folder_bytes(folder: Path) -> int:
    """Length of all files below a folder; a file that goes away meanwhile counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def machine() -> dict[str, object]:
    """This machine, as a report names it."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {"processor": model, "cores": len(os.sched_getaffinity(0)), "load_average": round(os.getloadavg()[0], 2)}
