//! The samples are what their scenarios say, and the report on each is what its scenario promises.

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use support::{file_names, json_report, samples};

/// What must be concluded, read off the heads of the scenarios, not off a report.
struct Promise {
    folder: &'static str,
    machine: &'static str,
    /// One line a window, see [`line`].
    windows: &'static [&'static str],
    /// One line a registration run, see [`run_line`].
    runs: &'static [&'static str],
    /// Failing events outside of all windows and runs.
    other_failures: &'static [u64],
}

const PROMISES: &[Promise] = &[
    Promise {
        folder: "device-not-synced",
        machine: "LAPTOP-SYN01.contoso.com",
        windows: &[],
        runs: &[
            "automatic failed join | process 5432 | first 204 0x801c03f2 | exit 0x801c03f2 \
             | server DirectoryError HTTP 400 2e80b5c6-7d13-4f9a-b064-c5e9a1d83f72 \
             | attempts sync join | decisive DirectoryError server",
        ],
        other_failures: &[],
    },
    Promise {
        folder: "device-rejected-after-failed-join",
        machine: "LAPTOP-RAJ01.contoso.com",
        windows: &[
            "acquire entra failed | seen to seen by thread | ola@contoso.com \
             | first 1081 AADSTS50155 | server AADSTS50155 invalid_grant [1081] \
             | http 400 POST [1025] | url https://login.microsoftonline.com/common/oauth2/token [1022] \
             | status 0xc000006d [1007] | decisive AADSTS50155 server | run r1 explains",
        ],
        runs: &[
            "automatic failed join | process 3876 | first 204 0x801c03f2 | exit 0x801c03f2 \
             | server DirectoryError HTTP 400 58d2f0c9-6a1e-4b73-8f45-e7c0b9a31d26 \
             | attempts sync join | decisive DirectoryError server",
            "automatic not_possible precheck | process 8844 | first 334",
        ],
        other_failures: &[],
    },
    Promise {
        folder: "federated-fallback",
        machine: "LAPTOP-FBK01.contoso.com",
        windows: &[
            "acquire entra succeeded | seen to seen by thread | nia@contoso.com \
             | status 0x00000000 [1007] | run r1 time",
        ],
        runs: &["automatic succeeded | process 6104 | first 305 0xcaa90017 \
             | adal 0xcaa90017 5b90e3d7-14fa-4c26-9e08-b7d2a6c1f350 | attempts fed auth, -"],
        other_failures: &[],
    },
    Promise {
        folder: "no-domain-controller",
        machine: "LAPTOP-NDC01.contoso.com",
        windows: &[],
        runs: &[
            "automatic not_possible precheck | process 4720 | first 334",
            "automatic not_possible precheck | process 9212 | first 334",
        ],
        other_failures: &[],
    },
    Promise {
        folder: "scp-missing",
        machine: "LAPTOP-SCP01.contoso.com",
        windows: &[],
        runs: &[
            "automatic failed discover | process 7820 | first 307 0x801c001d \
             | exit 0x801c001d | attempts discover | decisive 0x801c001d client",
        ],
        other_failures: &[],
    },
    Promise {
        folder: "silent-task",
        machine: "LAPTOP-SIL01.contoso.com",
        windows: &[],
        // Its code decides nothing about the registration, but it is all there is.
        runs: &["automatic silent | process 1432 | exit 0x80070490 | decisive 0x80070490 status"],
        other_failures: &[],
    },
    Promise {
        folder: "device-rejected",
        machine: "LAPTOP-DEV01.contoso.com",
        windows: &[
            "acquire entra failed | seen to seen by thread | kim@contoso.com \
             | first 1081 AADSTS50155 | server AADSTS50155 invalid_grant [1081] \
             | http 400 POST [1025] | url https://login.microsoftonline.com/common/oauth2/token [1022] \
             | status 0xc000006d [1007] | decisive AADSTS50155 server",
        ],
        runs: &[],
        other_failures: &[],
    },
    Promise {
        folder: "diagnostic-events",
        machine: "LAPTOP-W1101.contoso.com",
        windows: &[
            "acquire entra failed | inferred to inferred by correlation | zoe@contoso.com \
             | first 1250 AADSTS50126 | server AADSTS50126 invalid_grant [1250] \
             | http 400 POST [1250] \
             | url https://login.microsoftonline.com/5d0c7a1e-94b2-4f3d-8c60-b1e2a7f09d00/oauth2/token [1250] \
             | status 0xc000006d [1250] | decisive AADSTS50126 server",
        ],
        runs: &[],
        other_failures: &[],
    },
    Promise {
        folder: "enterprise-prt",
        machine: "LAPTOP-ENT01.fabrikam.com",
        windows: &[
            "acquire entra succeeded | seen to seen by thread | ivy@fabrikam.com \
             | status 0x00000000 [1007]",
            "acquire enterprise failed | inferred to inferred by correlation \
             | first 1081 MSIS9682 | server MSIS9682 invalid_grant [1081] \
             | http 400 POST [1025] | url https://adfs.fabrikam.com/adfs/oauth2/token [1022] \
             | status 0xc000006d [1118] | decisive MSIS9682 server",
        ],
        runs: &[],
        other_failures: &[],
    },
    Promise {
        folder: "healthy",
        machine: "LAPTOP-OK01.contoso.com",
        windows: &[
            "acquire entra succeeded | seen to seen by thread | joe@contoso.com \
             | status 0x00000000 [1007]",
            "refresh entra succeeded | seen to seen by thread | status 0x00000000 [1029]",
        ],
        runs: &[],
        other_failures: &[],
    },
    Promise {
        folder: "lost-stop",
        machine: "LAPTOP-LST01.contoso.com",
        windows: &[
            "acquire entra failed | seen to missing by thread | eva@contoso.com \
             | first 1084 0x80072ee2 | network 0x80072ee2 12002 [1084] \
             | url https://login.microsoftonline.com/common/userrealm/?user=eva%40contoso.com&api-version=1.0&checkForMicrosoftAccount=false&fallback_domain=contoso.com [1022] \
             | status 0xc00000c4 [1160] | decisive 0x80072ee2 network",
            "acquire entra succeeded | seen to seen by thread | eva@contoso.com \
             | status 0x00000000 [1007]",
        ],
        runs: &[],
        other_failures: &[],
    },
    Promise {
        folder: "name-not-resolved",
        machine: "LAPTOP-DNS01.contoso.com",
        windows: &[
            "acquire entra failed | seen to seen by thread | dana@contoso.com \
             | first 1084 0x80072ee7 | network 0x80072ee7 12007 [1084] \
             | url https://login.microsoftonline.com/common/userrealm/?user=dana%40contoso.com&api-version=1.0&checkForMicrosoftAccount=false&fallback_domain=contoso.com [1022] \
             | status 0xc000023c [1007] | decisive 0x80072ee7 network",
        ],
        runs: &[],
        other_failures: &[],
    },
    Promise {
        folder: "operational-only",
        machine: "LAPTOP-OPR01.fabrikam.com",
        windows: &[
            "acquire entra failed | inferred to inferred by correlation \
             | first 1081 AADSTS50126 | server AADSTS50126 invalid_grant [1081] \
             | http 400 POST [1025] | url https://login.microsoftonline.com/common/oauth2/token [1025] \
             | status 0xc000006d [1085] | decisive AADSTS50126 server",
            "acquire entra failed | inferred to inferred by correlation \
             | first 1088 FailedAuthentication | fault FailedAuthentication ID3242 [1088] \
             | status 0xc000006d [1085] | decisive FailedAuthentication fault",
        ],
        runs: &[],
        other_failures: &[],
    },
    Promise {
        folder: "overlapping",
        machine: "LAPTOP-TWO01.contoso.com",
        windows: &[
            "acquire entra failed | seen to seen by thread | uma@contoso.com \
             | first 1081 AADSTS50034 | server AADSTS50034 invalid_grant [1081] \
             | http 400 POST [1025] | url https://login.microsoftonline.com/common/oauth2/token [1022] \
             | status 0xc000006d [1007] | decisive AADSTS50034 server",
            "acquire entra succeeded | seen to seen by thread | max@contoso.com \
             | status 0x00000000 [1007]",
        ],
        runs: &[],
        other_failures: &[1098],
    },
    Promise {
        folder: "realm-unknown",
        machine: "LAPTOP-UPN01.corp.local",
        windows: &[
            "acquire entra failed | seen to seen by thread | user@corp.local \
             | first 1086 0xc000005f | status 0xc000005f [1007] | decisive 0xc000005f client",
        ],
        runs: &[],
        other_failures: &[],
    },
    Promise {
        folder: "recovered-session-key",
        machine: "LAPTOP-REC01.contoso.com",
        windows: &[
            "acquire entra succeeded recovered | seen to seen by thread | ann@contoso.com \
             | first 1155 0xc000006d | status 0x00000000 [1007]",
        ],
        runs: &[],
        other_failures: &[],
    },
    Promise {
        folder: "refresh-fails",
        machine: "LAPTOP-REF01.contoso.com",
        windows: &[
            "acquire entra succeeded | seen to seen by thread | tom@contoso.com \
             | status 0x00000000 [1007]",
            "refresh entra failed | seen to seen by thread | first 1084 0x80072ee2 \
             | network 0x80072ee2 12002 [1084] \
             | url https://login.microsoftonline.com/5d0c7a1e-94b2-4f3d-8c60-b1e2a7f09d00/oauth2/token [1022] \
             | status 0xc00000c4 [1029] | decisive 0x80072ee2 network",
        ],
        runs: &[],
        other_failures: &[],
    },
    Promise {
        folder: "token-requests-fail",
        machine: "LAPTOP-TRQ01.contoso.com",
        windows: &[
            "acquire entra succeeded | seen to seen by thread | una@contoso.com \
             | status 0x00000000 [1007]",
        ],
        runs: &[],
        other_failures: &[1098, 1098, 1098],
    },
    Promise {
        folder: "user-unknown",
        machine: "LAPTOP-USR01.contoso.com",
        windows: &[
            "acquire entra failed | seen to seen by thread | pat@contoso.com \
             | first 1081 AADSTS50034 | server AADSTS50034 invalid_grant [1081] \
             | http 400 POST [1025] | url https://login.microsoftonline.com/common/oauth2/token [1022] \
             | status 0xc000006d [1007] | decisive AADSTS50034 server",
        ],
        runs: &[],
        other_failures: &[],
    },
    Promise {
        folder: "wrong-password",
        machine: "LAPTOP-PWD01.contoso.com",
        windows: &[
            "acquire entra failed | seen to seen by thread | lee@contoso.com \
             | first 1081 AADSTS50126 | server AADSTS50126 invalid_grant [1081] \
             | http 400 POST [1025] | url https://login.microsoftonline.com/common/oauth2/token [1022] \
             | status 0xc000006d [1007] | decisive AADSTS50126 server",
            "acquire entra succeeded | seen to seen by thread | lee@contoso.com \
             | status 0x00000000 [1007]",
        ],
        runs: &[],
        other_failures: &[],
    },
    Promise {
        folder: "wstrust-fault",
        machine: "LAPTOP-FED01.fabrikam.com",
        windows: &[
            "acquire entra failed | seen to seen by thread | sam@fabrikam.com \
             | first 1088 FailedAuthentication | fault FailedAuthentication ID3242 [1088] \
             | url https://adfs.fabrikam.com/adfs/services/trust/13/usernamemixed [1022] \
             | status 0xc000006d [1007] | decisive FailedAuthentication fault",
        ],
        runs: &[],
        other_failures: &[],
    },
];

/// What is at a path, as a word.
fn word(value: &Value, path: &str) -> Option<String> {
    match value.pointer(path) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    }
}

/// What is at the paths, as words; what is not there has none.
fn words(value: &Value, paths: &[&str]) -> Vec<String> {
    paths.iter().filter_map(|path| word(value, path)).collect()
}

/// What a registration run says; a fact that is not there has no part.
fn run_line(run: &Value) -> String {
    let mut parts = vec![words(run, &["/kind", "/outcome", "/phase"]).join(" ")];
    let mut fact = |name: &str, found: Vec<String>| {
        if !found.is_empty() {
            parts.push(format!("{name} {}", found.join(" ")));
        }
    };
    fact("process", words(run, &["/process_id"]));
    let first = ["/first_failure/event_id", "/first_failure/code"];
    fact("first", words(run, &first));
    fact("exit", words(run, &["/exit_code/code"]));
    fact("sub-error", words(run, &["/sub_error/code"]));
    let mut server = words(run, &["/server/code"]);
    server.extend(word(run, "/server/http_status").map(|status| format!("HTTP {status}")));
    server.extend(word(run, "/server/request_id"));
    fact("server", server);
    fact("adal", words(run, &["/adal/code", "/adal/correlation_id"]));
    let attempts = list(&run["attempts"]).iter().map(|attempt| {
        match &words(attempt, &["/join_type", "/phase"])[..] {
            [] => "-".to_owned(),
            words => words.join(" "),
        }
    });
    let attempts: Vec<String> = attempts.collect();
    if !attempts.is_empty() {
        fact("attempts", vec![attempts.join(", ")]);
    }
    fact(
        "decisive",
        words(run, &["/decisive/code", "/decisive/kind"]),
    );
    parts.join(" | ")
}

/// What a window says, with the event each fact came from; a fact that is not there has no part.
fn line(window: &Value) -> String {
    let word = |path: &str| word(window, path);
    let words = |paths: &[&str]| words(window, paths);
    let mut parts = vec![words(&["/operation", "/prt", "/outcome"]).join(" ")];
    if window["recovered"] == true {
        parts[0].push_str(" recovered");
    }
    parts.push(format!(
        "{} to {} by {}",
        word("/start/boundary").unwrap(),
        word("/end/boundary").unwrap(),
        word("/pairing").unwrap()
    ));
    parts.extend(word("/upn"));
    let mut fact = |name: &str, paths: &[&str], event: &str| {
        let mut found = words(paths);
        if found.is_empty() {
            return;
        }
        if !event.is_empty() {
            found.push(format!("[{}]", word(event).unwrap()));
        }
        parts.push(format!("{name} {}", found.join(" ")));
    };
    let first = ["/first_failure/event_id", "/first_failure/code"];
    fact("first", &first, "");
    let server = ["/server/code", "/server/oauth_error"];
    fact("server", &server, "/server/event_id");
    fact(
        "fault",
        &["/fault/code", "/fault/detail"],
        "/fault/event_id",
    );
    let network = ["/network/code", "/network/number"];
    fact("network", &network, "/network/event_id");
    fact("http", &["/http/status", "/http/method"], "/http/event_id");
    fact("url", &["/http/url"], "/http/url_event_id");
    fact("status", &["/status/code"], "/status/event_id");
    fact("decisive", &["/decisive/code", "/decisive/kind"], "");
    for run in list(&window["registrations"]) {
        let (id, reason) = (&run["id"], &run["reason"]);
        parts.push(format!(
            "run {} {}",
            id.as_str().unwrap(),
            reason.as_str().unwrap()
        ));
    }
    parts.join(" | ")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

#[test]
fn every_sample_is_what_its_scenario_writes() {
    let mut folders = file_names(Path::new("samples"));
    folders.retain(|name| name != "README.md");
    assert_eq!(folders, samples());
    for name in folders {
        let scenario = fs::read_to_string(format!("tests/samples/{name}.txt")).unwrap();
        let logs = support::scenario::logs(&scenario).unwrap();
        let folder = Path::new("samples").join(&name);
        assert_eq!(file_names(&folder), ["authlogs"], "{name}");
        let folder = folder.join("authlogs");
        let written: Vec<&String> = logs.keys().collect();
        assert_eq!(file_names(&folder).iter().collect::<Vec<_>>(), written);
        for (file, bytes) in &logs {
            // No assert_eq: it would print the bytes.
            let same = fs::read(folder.join(file)).unwrap() == *bytes;
            assert!(same, "{name}: {file} is not what the scenario writes");
        }
    }
}

#[test]
fn the_readme_has_a_row_for_every_sample_and_promises_what_is_tested() {
    let readme = fs::read_to_string("samples/README.md").unwrap();
    let rows: Vec<Vec<&str>> = readme
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let folders: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(folders, samples());
    for (row, folder) in rows.iter().zip(folders) {
        let [_, what, names, command] = row[..] else {
            panic!("{folder}: four columns")
        };
        assert!(!what.is_empty());
        assert_eq!(
            command,
            format!("`cargo run --example craft -- tests/samples/{folder}.txt samples/{folder}`")
        );
        let promise = promise(folder);
        let lines = promise.windows.iter().chain(promise.runs);
        for part in lines.flat_map(|line| line.split(" | ")) {
            let said = match part.split(' ').collect::<Vec<_>>()[..] {
                ["first", event_id, ..] => names.contains(event_id),
                // All that a silent run has.
                ["decisive", code, "status"] => names.contains(code),
                ["decisive", code, kind] => {
                    names.contains(code) && names.contains(&format!("decides ({kind})"))
                }
                _ => true,
            };
            assert!(said, "{folder}: the row does not say {part}");
        }
    }
}

fn promise(folder: &str) -> &'static Promise {
    PROMISES
        .iter()
        .find(|promise| promise.folder == folder)
        .unwrap_or_else(|| panic!("{folder} promises nothing"))
}

#[test]
fn every_sample_keeps_its_promise() {
    for folder in samples() {
        let promise = promise(&folder);
        let report = json_report(&Path::new("samples").join(&folder));
        let [machine] = list(&report["machines"]) else {
            panic!("{folder}: one machine")
        };
        assert_eq!(machine["name"], promise.machine);
        let lines: Vec<String> = list(&machine["windows"]).iter().map(line).collect();
        assert_eq!(lines, promise.windows, "{folder}");
        let runs: Vec<String> = list(&machine["registrations"])
            .iter()
            .map(run_line)
            .collect();
        assert_eq!(runs, promise.runs, "{folder}");
        let others: Vec<u64> = list(&machine["other_failures"])
            .iter()
            .map(|failure| failure["event_id"].as_u64().unwrap())
            .collect();
        assert_eq!(others, promise.other_failures, "{folder}");
        assert_eq!(report["totals"]["problems"], 0, "{folder}");
        assert_eq!(report["totals"]["duplicates"], 0, "{folder}");
        assert_eq!(report["totals"]["other_files"], 0, "{folder}");
        // All records of the samples are of the two providers.
        let totals = &report["totals"];
        assert_eq!(totals["records_read"], totals["events"], "{folder}");
    }
}

#[test]
fn no_two_samples_share_a_computer() {
    let mut computers: BTreeMap<String, String> = BTreeMap::new();
    for name in samples() {
        let scenario = fs::read_to_string(format!("tests/samples/{name}.txt")).unwrap();
        let records = support::scenario::records(&scenario).unwrap();
        for record in records.into_values().flatten() {
            let computer = record.computer.to_lowercase();
            let owner = computers.entry(computer).or_insert_with(|| name.clone());
            assert_eq!(*owner, name, "{} is in both", record.computer);
        }
    }
    // So all of them together are as many machines, each with the windows it has alone.
    let report = json_report(Path::new("samples"));
    let machines = list(&report["machines"]);
    assert_eq!(machines.len(), PROMISES.len());
    for promise in PROMISES {
        let machine = machines.iter().find(|m| m["name"] == promise.machine);
        let lines: Vec<String> = list(&machine.unwrap()["windows"])
            .iter()
            .map(line)
            .collect();
        assert_eq!(lines, promise.windows);
    }
}

#[test]
fn a_sample_says_the_same_wherever_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    let moved = folder.path().join("case 4711 – copy");
    for name in samples() {
        let from = Path::new("samples").join(&name).join("authlogs");
        let to = moved.join(&name).join("authlogs");
        fs::create_dir_all(&to).unwrap();
        for file in file_names(&from) {
            fs::copy(from.join(&file), to.join(&file)).unwrap();
        }
    }
    // The README is a file that is no log.
    fs::copy("samples/README.md", moved.join("README.md")).unwrap();
    let here = support::json_bytes(&[Path::new("samples")], 2);
    let there = String::from_utf8(support::json_bytes(&[&moved], 2)).unwrap();
    let quoted = serde_json::to_string(&moved.to_string_lossy().replace('\\', "/")).unwrap();
    let prefix = quoted.trim_matches('"');
    assert!(there.contains(prefix));
    let there = there.replace(prefix, "samples");
    assert_eq!(String::from_utf8(here).unwrap(), there);
}
