"""Files to be copied beside the configuration of a gateway. Nothing here is imported by us."""
