"""``python -m zuji`` is the ``zuji`` command."""

from zuji.server.cli import main

if __name__ == "__main__":
    main()
