"""The compiler: rules as people write them -> conditions that a model can check, in a lock."""
