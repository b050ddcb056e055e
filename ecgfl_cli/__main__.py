"""`python -m ecgfl_cli`."""

from ecgfl_cli.app import main

if __name__ == "__main__":
    main()
