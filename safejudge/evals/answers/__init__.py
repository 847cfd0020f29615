"""What suites of text answers beside a picture share."""
