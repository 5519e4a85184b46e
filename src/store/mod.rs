//! What survives: standings, budgets, attempts, history and facts in SQLite.

/// Stands here until the store does.
pub struct Store;
