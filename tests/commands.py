"""Run commands of nbconv in this process."""

from click.testing import CliRunner

from nbconv import cli


def nbconv(*arguments, code=0):
    """Run a command; return its lines of output (of errors, if it must fail)."""
    result = CliRunner().invoke(cli.main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return (result.stderr if code else result.stdout).splitlines()


def fails(*arguments):
    """Run a command that must fail with one line; return what it says."""
    (line,) = nbconv(*arguments, code=2)
    assert line.startswith("nbconv: error: ")
    return line.removeprefix("nbconv: error: ")
