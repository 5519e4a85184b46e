//! The hands of a dry run: they say what they would do.
