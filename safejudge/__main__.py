"""`python -m safejudge` is `safejudge`."""

from safejudge.cli.app import entry

if __name__ == "__main__":
    entry()
