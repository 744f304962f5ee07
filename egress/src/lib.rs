//! Calls to addresses that customers name: the one way out for them, and a guard in it.
//!
//! Whoever may name an address for us to call could name one that only we reach: this machine, the network that it is in, the service that
//! hands out credentials of a cloud. So an address is judged where a connection is made, after its name was resolved, and the connection
//! goes to the address that was judged: a name that leads elsewhere a moment later gains nothing. Only HTTPS is spoken, no redirect is
//! followed, no proxy of the environment is asked, and an answer has five seconds and a mebibyte.
//!
//! What does not belong here: connections to what the operator names (PostgreSQL, Redis, the mail server), and what is said over a
//! connection. Nobody else makes HTTP requests for the server.
#![warn(missing_docs)]

mod caller;
mod failed;
mod guard;
mod target;

pub use caller::{Answer, Caller, LONGEST, MOST_BYTES, Unusable};
pub use failed::Failed;
pub use guard::{Guard, Kept};
pub use target::{BadTarget, Target};
