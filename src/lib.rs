//! Names the first failing event of every Microsoft Entra Primary Refresh Token (PRT) acquisition
//! in exported Windows event logs.
//!
//! The modules are layers: each imports only those above it in this list.
//!
//! - [`base`]: time, text, bytes, names, problems
//! - [`facts`]: what is known before any log is read: providers, events, codes, causes
//! - [`event`]: one decoded event; secrets are masked as it is made
//! - [`evtx`]: chunks of a log, which records may be selected, and how they are decoded
//! - [`input`]: what the user names → files, and the members of archives
//! - [`mod@scan`]: inputs in parallel → events; the only layer that starts threads and reads files
//! - [`machine`]: whose event it is
//! - [`conclude`]: windows, registration runs, states, links and what they mean
//! - [`mod@report`]: one value, and every format of it
//! - [`explain`]: what codes mean
//!
//! From [`event`] on nothing reads files, clocks or the environment, and what goes wrong is a
//! [`Problem`](base::problem::Problem) in the result. The same bytes give the same report, whatever
//! the number of threads and the order of the inputs.
//!
//! ```no_run
//! use prtrace::{machine, report, scan};
//!
//! # fn main() -> Result<(), scan::Error> {
//! let scan = machine::scan(&["authlogs".into()], scan::Options::default())?;
//! let analyses = report::analyze(&scan);
//! for machine in report::Report::new(&scan, &analyses).machines {
//!     for window in machine.windows.iter() {
//!         if let Some(first) = &window.first_failure {
//!             println!("{}: {} {:?}", machine.name, first.event_id, first.code);
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```

#![cfg_attr(
    not(test),
    deny(
        clippy::print_stdout,
        clippy::print_stderr,
        clippy::exit,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod base;
pub mod conclude;
pub mod event;
pub mod evtx;
pub mod explain;
pub mod facts;
pub mod input;
pub mod machine;
pub mod report;
pub mod scan;
