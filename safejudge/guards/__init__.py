"""Guards of uploads: a picture reaches an application only where the judge lets it pass.

`guards.fastapi` is a dependency, `guards.django` a validator; each is imported by name, with the
framework that it is for. Both answer a refused picture with the same JSON.
"""

from safejudge.guards.shared import SharedJudge

__all__ = ["SharedJudge"]
