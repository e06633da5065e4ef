"""Commands as a shell runs them."""

from click.testing import CliRunner

from flyteoptuna.cli.main import main


def run(*args, code=0):
    """What a command prints: standard output where it succeeds, standard error where it must not."""
    result = CliRunner().invoke(main, list(map(str, args)))
    assert result.exit_code == code, result.output
    if code:
        assert isinstance(result.exception, SystemExit)
        return result.stderr
    assert result.stderr == ""
    return result.stdout


def rows(text):
    """The cells of a table in a pipe, by its headers' first words."""
    lines = [line.split() for line in text.splitlines()]
    return lines[1:]
