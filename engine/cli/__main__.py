"""`python -m engine.cli`: the `groundswell` command."""

from engine.cli import main

main()
