"""``python -m flyteoptuna`` is the command line."""

from flyteoptuna.cli.main import main

if __name__ == "__main__":
    main(prog_name="flyteoptuna")
