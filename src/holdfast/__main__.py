"""`python -m holdfast`: the same program as the command `holdfast`."""

from holdfast.service.cli import main

if __name__ == "__main__":
    main(prog_name="holdfast")
