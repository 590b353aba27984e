"""Readable transcripts of named situations: what members say to one another, message by message.

Decides the situations and how they read. `python -m zizhu.framework.testkit.transcripts FOLDER --rewrite` writes them
again after the protocol changed on purpose; without `--rewrite` it says which differ.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from zizhu.framework.testkit import schedules
from zizhu.framework.testkit.stage import Stage


def normal_case() -> Stage:
    """Normal case: node1 leads, the first block of the epoch is empty, the second carries a transaction."""
    stage = Stage(4)
    stage.deliver(rounds=4)
    stage.submit(1, stage.some_submission(1))
    stage.deliver(rounds=6)
    return stage


def dead_leader() -> Stage:
    """Dead leader: node1 loses power, a transaction waits, node2 opens view 1 on the last certificate."""
    stage = Stage(4)
    stage.deliver(rounds=4)
    stage.crash(0)
    stage.submit(2, stage.some_submission(1))
    stage.deliver(rounds=2)
    for position in (1, 2, 3):
        stage.fire(position, "engine.view")
    stage.deliver(rounds=10)
    return stage


def tip_again() -> Stage:
    """The tip is proposed again: heights 1 and 2 are committed at node4 alone; two views later all commit them."""
    return schedules.prefix_again()


def crash_of_all() -> Stage:
    """Power fails at all four and node4 loses its disk: what was committed at node1 is committed by all."""
    return schedules.power_loss()


def four_views() -> Stage:
    """Four views, one Byzantine leader: old commit votes for P do not certify it beside Q."""
    return schedules.four_views()


SITUATIONS: dict[str, Callable[[], Stage]] = {
    "normal-case": normal_case,
    "dead-leader": dead_leader,
    "tip-again": tip_again,
    "crash-of-all": crash_of_all,
    "four-views": four_views,
}


def transcript(name: str) -> str:
    """The transcript of a situation."""
    play = SITUATIONS[name]
    stage = play()
    title = (play.__doc__ or name).strip()
    lines = [line for line in stage.said if " status " not in line]
    heights = ", ".join(
        f"node{position + 1} {height}" for position, height in enumerate(stage.heights()) if height >= 0
    )
    return "\n".join([f"# {title}", *lines, f"# committed heights: {heights}", ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if every transcript is as it stands in the folder."""
    parser = argparse.ArgumentParser(prog="transcripts", description="Compare or rewrite the golden transcripts.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rewrite", action="store_true")
    asked = parser.parse_args(arguments)
    different = 0
    for name in SITUATIONS:
        path = asked.folder / f"{name}.txt"
        said = transcript(name)
        if asked.rewrite:
            path.write_text(said, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != said:
            different += 1
            print(f"{path} differs; if the change is meant: --rewrite")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
