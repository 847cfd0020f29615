"""What people read: words, tables, a terminal."""
