//! Where records go: JSON lines, append-only, rotated by size; and the small JSON files that `publish` keeps.
