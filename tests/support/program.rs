//! Starts the program under test.

use std::process::Command;

/// Variables that change what the program prints; tests run without them.
const UNSET: [&str; 14] = [
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLUMNS",
    "FORCE_COLOR",
    "LANG",
    "LANGUAGE",
    "LC_MESSAGES",
    "LC_TIME",
    "LINES",
    "NO_COLOR",
    "RAYON_NUM_THREADS",
    "RUST_BACKTRACE",
    "RUST_LIB_BACKTRACE",
    "RUST_LOG",
];

/// The program in a pinned environment. `PRTRACE_EXE` names another build of it, such as a release
/// or one for another system.
pub(crate) fn prtrace() -> Command {
    let program = match std::env::var_os("PRTRACE_EXE") {
        // Tests run it in folders of their own.
        Some(other) => std::path::absolute(other).expect("PRTRACE_EXE is a path"),
        None => env!("CARGO_BIN_EXE_prtrace").into(),
    };
    let mut command = Command::new(program);
    for variable in UNSET {
        command.env_remove(variable);
    }
    command
        .env("LC_ALL", "C.UTF-8")
        .env("TERM", "dumb")
        .env("TZ", "UTC");
    command
}
