//! The edge's policy: pure functions and state machines that a Durable Object drives.
//!
//! Nothing here reads a clock, draws a random number or talks to anyone: times and entropy come in as arguments, decisions go
//! out as values. So the same code runs in the Worker, in property tests and in a simulation of a thousand accounts.

pub mod api_key;
pub mod clock;
pub mod idempotency;
pub mod image_header;
pub mod job;
pub mod ledger;
pub mod moderation;
pub mod plan;
pub mod pool;
pub mod price;
pub mod rate_limit;
pub mod signed_url;
pub mod simulation;
pub mod url_policy;
pub mod webhook;
