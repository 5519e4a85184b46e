//! The hands that act.
