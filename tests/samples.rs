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
    /// Failing events outside of all windows.
    other_failures: &'static [u64],
}

const PROMISES: &[Promise] = &[
    Promise {
        folder: "device-rejected",
        machine: "LAPTOP-DEV01.contoso.com",
        windows: &[
            "acquire entra failed | seen to seen by thread | kim@contoso.com \
             | first 1081 AADSTS50155 | server AADSTS50155 invalid_grant [1081] \
             | http 400 POST [1025] | url https://login.microsoftonline.com/common/oauth2/token [1022] \
             | status 0xc000006d [1007] | decisive AADSTS50155 server",
        ],
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
        other_failures: &[1098],
    },
    Promise {
        folder: "realm-unknown",
        machine: "LAPTOP-UPN01.corp.local",
        windows: &[
            "acquire entra failed | seen to seen by thread | user@corp.local \
             | first 1086 | status 0xc000005f [1007] | decisive 0xc000005f client",
        ],
        other_failures: &[],
    },
    Promise {
        folder: "recovered-session-key",
        machine: "LAPTOP-REC01.contoso.com",
        windows: &[
            "acquire entra succeeded recovered | seen to seen by thread | ann@contoso.com \
             | first 1155 | status 0x00000000 [1007]",
        ],
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
        other_failures: &[],
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
        other_failures: &[],
    },
];

/// What a window says, with the event each fact came from; a fact that is not there has no part.
fn line(window: &Value) -> String {
    let word = |path: &str| match window.pointer(path) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    };
    let words = |paths: &[&str]| -> Vec<String> { paths.iter().filter_map(|p| word(p)).collect() };
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
        for part in promise.windows.iter().flat_map(|line| line.split(" | ")) {
            let said = match part.split(' ').collect::<Vec<_>>()[..] {
                ["first", event_id, ..] => names.contains(event_id),
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
