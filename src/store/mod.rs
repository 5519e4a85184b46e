//! What survives: standings, budgets, attempts, history and facts in SQLite.
