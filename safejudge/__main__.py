"""`python -m safejudge` is `safejudge`."""

from safejudge.cli import entry

if __name__ == "__main__":
    entry()
