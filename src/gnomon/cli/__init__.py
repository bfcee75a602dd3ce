"""The command line. Each command parses, calls `gnomon.pipeline`, and prints; heavy imports stand inside the commands.

Promises  every command that prints a result takes --json; errors a user can fix are one message on standard error and
          exit code 2 (30: integrity); bugs are tracebacks
"""

import sys


def main() -> None:
    """Run the command line."""
    from gnomon.cli.app import app
    from gnomon.errors import GnomonError

    try:
        app()
    except GnomonError as error:
        print(f"gnomon: {error}", file=sys.stderr)  # noqa: T201  the command line's own words
        raise SystemExit(error.exit_code) from None
    except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as error:
        print(f"gnomon: {error.filename}: {error.strerror}; name another path", file=sys.stderr)  # noqa: T201  as above
        raise SystemExit(2) from None
    except BrokenPipeError:  # `gnomon trials | head`
        sys.stderr.close()
        raise SystemExit(141) from None
