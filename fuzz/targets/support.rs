//! What the targets share with the tests.

#![allow(dead_code)]

#[path = "../../tests/support/evtx.rs"]
pub mod evtx;
