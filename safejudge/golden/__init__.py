"""Golden images: examples of a constitution, held against what a judge says of them."""
