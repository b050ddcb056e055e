"""`python -m ecgfl_cli`."""

from ecgfl_cli.app import main

main()
