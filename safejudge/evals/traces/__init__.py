"""People's marks on the traces of a judge."""
