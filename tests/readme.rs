//! What the README shows is what the program prints.

#[path = "support/program.rs"]
mod program;

use program::prtrace;

/// The commands of the README, each with the output shown for it.
fn examples(readme: &str) -> Vec<(&str, &str)> {
    let mut examples = Vec::new();
    let mut rest = readme;
    while let Some((_, from)) = rest.split_once("```console\n") {
        let (console, after) = from.split_once("```").expect("the end of the command");
        let command = console.strip_prefix("$ prtrace ").expect("the command");
        let (between, from) = after.split_once("```text\n").expect("an output block");
        assert!(
            !between.contains("```"),
            "{command}: another block before its output"
        );
        let (shown, after) = from.split_once("```").expect("its end");
        examples.push((command.trim_end(), shown));
        rest = after;
    }
    examples
}

#[test]
fn each_example_is_what_the_program_prints() {
    let readme = include_str!("../README.md");
    let examples = examples(readme);
    assert_eq!(examples.len(), readme.matches("```text").count());
    let commands: Vec<_> = examples.iter().map(|(command, _)| *command).collect();
    assert!(
        commands
            .iter()
            .any(|command| command.starts_with("samples/"))
    );
    assert!(
        commands
            .iter()
            .any(|command| command.starts_with("explain "))
    );
    for (command, shown) in examples {
        let output = prtrace()
            .args(command.split(' '))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed, shown, "{command}");
    }
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
