//! A JSON document inside Rhai, read lazily.
