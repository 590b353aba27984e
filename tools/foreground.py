"""Runs a command as the terminal's foreground job, so that Ctrl-C reaches it alone and its exit code counts.

make ends with an error on every Ctrl-C, whatever the command that it runs makes of it. On a terminal the
command therefore gets a process group of its own; without one (a service, a pipe) nothing is changed, so that
whoever signals the group still reaches everybody. The process is replaced, never doubled.
"""

import os
import signal
import sys


def take_terminal() -> None:
    """Become the foreground process group of the terminal on standard input, when make is that group now."""
    if not sys.stdin.isatty() or os.tcgetpgrp(sys.stdin.fileno()) != os.getpgrp():
        return
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.setpgid(0, 0)
    os.tcsetpgrp(sys.stdin.fileno(), os.getpgrp())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    # Stopping this group would leave make waiting with nobody to wake it.
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)


def main() -> None:
    """`foreground.py COMMAND ARGUMENT…`."""
    if len(sys.argv) < 2:
        sys.exit("foreground: which command?")
    take_terminal()
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
