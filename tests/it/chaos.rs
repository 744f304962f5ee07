//! Faults under load: killed processes, clients that hang up, two organisations through a pool that is too small. Each
//! has a short form here and a long one in the long lane that runs the same code for longer.

mod bite;
mod cancels;
mod hammer;
mod kills;
mod templates;
