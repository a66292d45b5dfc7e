"""``python -m nbconv`` is the command ``nbconv``."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="nbconv")
