"""Images that people labelled: by safe and unsafe, or by rule."""
