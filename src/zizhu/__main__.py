"""`python -m zizhu`: the same as the command `zizhu`."""

from zizhu.cli.main import main

main()
