//! What the README shows is what the program prints.

use std::process::Command;

#[test]
fn the_example_is_what_the_program_prints() {
    let readme = include_str!("../README.md");
    let (_, from) = readme.split_once("```text\n").expect("an output block");
    let (shown, _) = from.split_once("```").expect("its end");
    let command = readme
        .lines()
        .find_map(|line| line.strip_prefix("$ prtrace "))
        .expect("the command");
    let output = Command::new(env!("CARGO_BIN_EXE_prtrace"))
        .args(command.split(' '))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), shown);
}

#[test]
fn ci_runs_the_test_command_that_the_readme_gives() {
    let readme = include_str!("../README.md");
    let command = readme
        .lines()
        .find(|line| line.starts_with("cargo test"))
        .expect("the test command");
    let ci = include_str!("../.ci/run");
    assert!(ci.lines().any(|line| line == command), "{command}");
}
