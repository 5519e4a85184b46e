//! Stand-ins for receivers.
