"""Statistics of suites: numbers in, estimates with intervals out. Pure."""
