"""The demo: a year of real purchases of 2,469 households, loaded and asked three questions."""
