"""Does a candidate meet a query: a judge's soft answers, and what is mined and ranked by them."""
