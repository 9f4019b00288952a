//! Real clusters on loopback: a scheduler and executors as processes, a driver as another, and what happens when some are killed.
//!
//! One test at a time: each starts its own cluster, and several at once would only wait for each other's cores.
#![allow(clippy::unwrap_used)]

mod access;
mod bytes;
mod clocks;
mod detach;
mod exchange;
mod faults;
mod identity;
mod jobs;
mod memory;
mod network;
mod proxy;
mod scale;
mod simulation;
mod speed;
mod stragglers;
mod support;
mod tls;
