//! What the end-to-end tests stand on: a real PostgreSQL, the real binary, real Envoys, small applications, and
//! clients. Everything listens on loopback, on ports that were free, and ends with the test.

mod api;
mod application;
mod authority;
mod collector;
mod envoy;
mod hopper;
mod issuer;
mod operations;
mod ports;
mod postgres;
mod process;
mod random;
mod redis;
mod server;
mod switch;
mod tls;
mod traffic;
mod until;
mod up;
mod workload;
mod xds;

pub use api::{Api, Reply};
pub use application::Application;
pub use authority::Authority;
pub use collector::{Collector, LogRecord};
pub use envoy::{Envoy, EnvoyVersion};
pub use heddle_evidence::evidence;
pub use hopper::{Held, Hop, Hopper, Stay};
pub use issuer::{Issuer, KeyServer, PlannedKeyServer};
pub use operations::operations_not_called;
pub use ports::{free_port, free_ports};
pub use postgres::Postgres;
pub use process::{Child, heddle, heddled, repository};
pub use random::Random;
pub use redis::Redis;
pub use server::{Server, ServerOptions};
pub use switch::Switch;
pub use traffic::{Outcome, Traffic};
pub use until::{until, until_some};
pub use up::{Up, kill_at_once};
pub use workload::{Stack, Workload, WorkloadSpec};
pub use xds::{XdsClient, node, node_of_release};
