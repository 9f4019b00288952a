//! What happens when processes are killed, stopped, or were never there.
