//! The timeline: every event once, in order, with its window or run.

#[path = "support/program.rs"]
mod program;

use program::prtrace;
use std::process::Output;

fn run(arguments: &[&str]) -> Output {
    prtrace()
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The marks and event IDs of the timeline's lines, in their order: `w1 1006`, `1157`.
fn events(timeline: &str) -> Vec<String> {
    let is_event = |line: &&str| {
        let time = line.strip_prefix("    ").and_then(|line| line.get(..13));
        time.is_some_and(|time| time.ends_with('Z') && time.as_bytes()[2] == b':')
    };
    let lines = timeline.lines().filter(is_event);
    lines
        .map(|line| {
            let words = line.split_whitespace().skip(1).filter(|word| *word != "!");
            let id_ends = |word: &&str| word.bytes().all(|b| b.is_ascii_digit());
            let mut found = Vec::new();
            for word in words {
                found.push(word);
                if id_ends(&word) {
                    break;
                }
            }
            found.join(" ")
        })
        .collect()
}

#[test]
fn every_event_stands_once_and_in_order() {
    // Microsoft's own listing: 1157 and 1158 come after the window.
    let output = run(&["timeline", "samples/name-not-resolved"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        events(&text(&output)),
        [
            "w1 1006", "w1 1018", "w1 1144", "w1 1022", "w1 1084", "w1 1086", "w1 1160", "w1 1007",
            "1157", "1158",
        ]
    );
    for entry in std::fs::read_dir("samples").unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            continue;
        }
        let name = path.to_str().unwrap();
        let shown = events(&text(&run(&["timeline", name]))).len() as u64;
        let json = run(&["timeline", "--format", "json", name]);
        let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!(report["totals"]["events"], shown, "{name}");
    }
}

#[test]
fn a_failure_a_code_and_a_field_whose_name_lies_are_told() {
    let timeline = text(&run(&["timeline", "samples/name-not-resolved"]));
    assert!(timeline.contains("w1  ! 1084 HTTP transport error Result=0x80072ee7"));
    assert!(timeline.contains("(ERROR_WINHTTP_NAME_NOT_RESOLVED)"));
    assert!(timeline.contains("Method=dana@contoso.com [user]"));
}

#[test]
fn a_user_and_a_time_narrow_it_to_whole_windows() {
    // Two users on two threads in the same second: each has their own window.
    let of = |user| {
        events(&text(&run(&[
            "timeline",
            "samples/overlapping",
            "--user",
            user,
        ])))
    };
    let uma = of("UMA@contoso.com");
    assert!(uma.contains(&"w1 1007".to_owned()) && uma.iter().all(|line| line.starts_with("w1 ")));
    assert!(of("nobody@contoso.com").is_empty());

    // The refresh fails four hours after the acquisition, which is left out whole.
    let at = |time| {
        events(&text(&run(&[
            "timeline",
            "samples/refresh-fails",
            "--at",
            time,
        ])))
    };
    let refresh = at("2026-03-09T12:03:00Z");
    assert!(refresh.contains(&"w2 1028".to_owned()));
    assert!(!refresh.iter().any(|line| line.starts_with("w1 ")));
    assert_eq!(at("2026-03-09 12:03"), refresh);
    assert!(at("2026-04-01 00:00").is_empty());
    let refused = run(&["timeline", "samples/refresh-fails", "--at", "noon"]);
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn the_report_narrows_as_the_timeline_does() {
    let report = |arguments: &[&str]| {
        let words = [&["--format", "json"], arguments].concat();
        let output = run(&words);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), report)
    };
    // Of two users one fails: nothing of her is told of the other.
    let (status, max) = report(&["samples/overlapping", "--user", "max@contoso.com"]);
    assert_eq!(status, Some(0));
    assert_eq!(max["totals"]["windows_failed"], 0);
    let machine = &max["machines"][0];
    assert_eq!(machine["diagnosis"]["state"], "healthy");
    assert!(machine["diagnosis"]["summary"].is_null());
    let shown = text(&run(&["samples/overlapping", "--user", "max@contoso.com"]));
    assert!(shown.contains("1 PRT window, 1 succeeded") && !shown.contains("uma@"));
    let (status, uma) = report(&["samples/overlapping", "--user", "uma@contoso.com"]);
    assert_eq!(status, Some(1));
    let diagnosis = &uma["machines"][0]["diagnosis"];
    assert_eq!(
        (&diagnosis["of"], &diagnosis["rule"]),
        (&"w1".into(), &"user_not_found".into())
    );

    // The acquisition is left out, and the refresh keeps its number: it is still the failure told.
    let at = ["samples/refresh-fails", "--at", "2026-03-09 12:03"];
    let (_, noon) = report(&at);
    assert_eq!(noon["groups"][0]["signature"], "refresh/0x80072ee2/1084");
    assert_eq!(noon["groups"][0]["example"]["id"], "w2");

    // The refresh that failed is left out: neither it nor that nothing was tried is told.
    let at = ["samples/refresh-fails", "--at", "2026-03-09 08:00"];
    let (status, morning) = report(&at);
    assert_eq!(status, Some(0));
    assert!(morning["machines"][0]["diagnosis"]["rule"].is_null());
    let shown = text(&run(&at));
    assert!(shown.contains("was due") && !shown.contains("no attempt since"));

    // A sign-in that failed for the registration's sake is left out: the registration is told
    // without the claim that no PRT was asked for.
    let at = [
        "samples/device-rejected-after-failed-join",
        "--at",
        "2026-03-20 07:00",
    ];
    let (_, join) = report(&at);
    assert_eq!(join["machines"][0]["diagnosis"]["of"], "r1");
    assert!(!text(&run(&at)).contains("no request for one"));
}

#[test]
fn its_json_is_the_report_with_every_event_and_passes_the_schema() {
    let schema: serde_json::Value = serde_json::from_slice(&run(&["schema"]).stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for narrow in [&["--at", "2026-03-02T03:35:35Z"][..], &[]] {
        let mut arguments = vec!["timeline", "--format", "json", "samples"];
        arguments.extend(narrow);
        let report = serde_json::from_slice(&run(&arguments).stdout).unwrap();
        assert!(validator.is_valid(&report));
        let machines = report["machines"].as_array().unwrap();
        assert_eq!(machines.len() == 1, !narrow.is_empty());
        assert!(
            machines
                .iter()
                .any(|m| !m["other_events"].as_array().unwrap().is_empty())
        );
    }
}
