"""`python -m qconv` is the command `qconv`."""

from __future__ import annotations


def run() -> None:
    """Runs the command line; its modules are loaded here and not before."""
    from qconv.cli.main import main

    main()


if __name__ == "__main__":
    run()
