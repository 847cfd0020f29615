"""`safejudge serve`: one open engine behind HTTP, for the stacks that moderators have already."""
