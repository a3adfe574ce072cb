//! The program as a user meets it: arguments, exit status, messages, output files, and that nothing
//! from a log steers the terminal or gives a token away.

#[path = "support/program.rs"]
mod program;
mod support;

use program::prtrace;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use support::{evtx, file_names, hostile, scenario};

fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Output {
    prtrace().args(arguments).output().unwrap()
}

fn run_in<S: AsRef<OsStr>>(folder: &Path, arguments: &[S]) -> Output {
    let mut command = prtrace();
    command.current_dir(folder).args(arguments);
    command.output().unwrap()
}

fn status(output: &Output) -> i32 {
    output.status.code().expect("not killed by a signal")
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The program refused: status 2, nothing on standard output, and this one line on the other.
#[track_caller]
fn refused(output: &Output, message: &str) {
    assert_eq!(text(&output.stderr), format!("prtrace: {message}\n"));
    assert_eq!(text(&output.stdout), "");
    assert_eq!(status(output), 2);
}

/// An empty folder, and in it whatever the test puts there.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

const HEALTHY: &str = "computer PC-1.contoso.com\n08:00:00 1006\n08:00:01 1007 Status=0\n";
const FAILING: &str = "computer PC-2.contoso.com\n08:00:00 1006\n08:00:01 1007 Status=0xC000006D\n";

fn write_logs(scenario: &str, folder: &Path) {
    scenario::write_to(scenario, folder).unwrap();
}

#[test]
fn the_exit_status_says_whether_a_window_failed() {
    let folder = folder();
    write_logs(HEALTHY, &folder.path().join("healthy"));
    write_logs(FAILING, &folder.path().join("failing"));
    let incomplete = "computer PC-3\n08:00:00 1006\n";
    write_logs(incomplete, &folder.path().join("incomplete"));
    let recovered =
        "computer PC-4\n08:00:00 1006\n08:00:00.5 1155 Status=0xC000006D\n08:00:01 1007 Status=0\n";
    write_logs(recovered, &folder.path().join("recovered"));
    fs::write(
        folder.path().join("none.evtx"),
        evtx::write_log(&[]).unwrap(),
    )
    .unwrap();
    fs::write(folder.path().join("notes.txt"), b"nothing").unwrap();
    for (arguments, expected) in [
        (&["healthy"][..], 0),
        (&["failing"], 1),
        (&["healthy", "failing"], 1),
        (&["recovered"], 0),
        // Nothing tells how the machine stands.
        (&["incomplete"], 3),
        (&["none.evtx"], 3),
        (&["incomplete", "healthy"], 0),
        // One of the paths gave nothing, or is none.
        (&["healthy", "none.evtx"], 3),
        (&["healthy", "missing"], 3),
        (&["healthy", "notes.txt"], 3),
        (&["failing", "missing"], 1),
        (&["--at", "1999-01-01T00:00:00Z", "healthy"], 3),
        (&["."], 1),
    ] {
        for format in ["text", "json", "jsonl"] {
            let mut with_format = vec!["--format", format];
            with_format.extend(arguments);
            let output = run_in(folder.path(), &with_format);
            assert_eq!(status(&output), expected, "{with_format:?}");
            assert_eq!(text(&output.stderr), "");
            assert!(!output.stdout.is_empty());
        }
        let csv = [&["--format", "csv"], arguments].concat();
        assert_eq!(status(&run_in(folder.path(), &csv)), expected, "{csv:?}");
        let timeline = [&["timeline"], arguments].concat();
        assert_eq!(
            status(&run_in(folder.path(), &timeline)),
            expected,
            "{timeline:?}"
        );
    }
}

/// A zip of these members, stored.
fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Zips of a healthy machine, of logs of others, of nothing and of a text; a web page and an empty
/// file named .zip, a text named .evtx, and one that claims nothing.
fn pile() -> tempfile::TempDir {
    let folder = folder();
    write_logs(HEALTHY, &folder.path().join("logs"));
    let log = fs::read(folder.path().join("logs/Aad_Analytic.evtx")).unwrap();
    fs::remove_dir_all(folder.path().join("logs")).unwrap();
    let empty = evtx::write_log(&[]).unwrap();
    let healthy = zip(&[("a/Aad_Analytic.evtx", &log), ("a/Security.evtx", &empty)]);
    for (name, bytes) in [
        ("PC-1.zip", healthy.clone()),
        (
            "PC-2.zip",
            zip(&[("Security.evtx", &empty), ("x/System.evtx", &empty)]),
        ),
        ("nothing.zip", zip(&[])),
        ("notes.zip", zip(&[("readme.txt", b"nothing")])),
        (
            "outer.zip",
            zip(&[("in.zip", &healthy), ("PC-3.zip", &zip(&[]))]),
        ),
        (
            "customer.zip",
            b"\r\n<!DOCTYPE html><title>Sign in</title>".to_vec(),
        ),
        ("empty.zip", Vec::new()),
        ("false.evtx", b"nothing".to_vec()),
        ("logs.txz", b"nothing".to_vec()),
        ("readme.txt", b"nothing".to_vec()),
        ("Security.evtx", empty.clone()),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

#[test]
fn what_gave_nothing_is_told_in_every_format() {
    let folder = pile();
    let within = folder.path();
    let no_log = "there is no event log (.evtx) in it";
    let expected = [
        (
            "customer.zip",
            "not_a_log",
            "a web page named .zip: a download that failed or needed a sign-in; download it again",
        ),
        (
            "empty.zip",
            "not_a_log",
            "the file is empty: collect it again",
        ),
        (
            "false.evtx",
            "not_a_log",
            "not an event log, though named .evtx: it starts with neither ElfFile nor a chunk; \
             collect it again",
        ),
        (
            "logs.txz",
            "not_a_log",
            "not an archive, though named .txz: download or collect it again",
        ),
        ("notes.zip", "no_evidence", no_log),
        ("nothing.zip", "no_evidence", no_log),
        ("outer.zip!PC-3.zip", "no_evidence", no_log),
        ("PC-2.zip", "no_evidence", "2 event logs without a record"),
    ];
    let named = || {
        file_names(within)
            .into_iter()
            .filter(|name| !matches!(name.as_str(), "readme.txt" | "Security.evtx"))
    };
    let one = vec![".".to_owned()];
    for (arguments, lead, code) in [(one, "./", 0), (named().collect(), "", 3)] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let formatted = |format: &str| {
            let output = run_in(within, &[&["--format", format], &arguments[..]].concat());
            assert_eq!(status(&output), code, "{format} {arguments:?}");
            text(&output.stdout).to_owned()
        };
        let report: Value = serde_json::from_str(&formatted("json")).unwrap();
        let lines = formatted("jsonl");
        let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        assert_eq!(last["inputs"], report["inputs"]);
        assert_eq!(report["totals"]["problems"], expected.len());
        let inputs = report["inputs"].as_array().unwrap();
        let skipped = inputs.iter().filter(|input| !input["skipped"].is_null());
        let mut skipped: Vec<(&str, &str, &str)> = skipped
            .map(|input| {
                let skipped = &input["skipped"];
                assert_eq!(input["events"], 0);
                assert!(skipped["remedy"].as_str().unwrap().len() > 10);
                (
                    input["path"].as_str().unwrap().strip_prefix(lead).unwrap(),
                    skipped["kind"].as_str().unwrap(),
                    skipped["detail"].as_str().unwrap(),
                )
            })
            .collect();
        skipped.sort_by_key(|(path, ..)| path.to_lowercase());
        assert_eq!(skipped, expected);
        // Text, table and timeline name each of them, too.
        let timeline = run_in(within, &[&["timeline"], &arguments[..]].concat());
        for shown in [
            &formatted("text"),
            &formatted("csv"),
            text(&timeline.stdout),
        ] {
            for (path, _, detail) in expected {
                assert!(shown.contains(&format!("{lead}{path}")), "{path}: {shown}");
                let words = detail.split(' ').next().unwrap();
                assert!(shown.contains(words));
            }
        }
    }
}

/// The paths of the inputs that gave nothing, with the kind of each.
fn skipped(folder: &Path, paths: &[&str]) -> Vec<(String, String)> {
    let report = json(&run_in(folder, &[&["--format", "json"], paths].concat()));
    let inputs = report["inputs"].as_array().unwrap().iter();
    let skipped = inputs.filter(|input| !input["skipped"].is_null());
    let words = |value: &Value| value.as_str().unwrap().to_owned();
    skipped
        .map(|input| (words(&input["path"]), words(&input["skipped"]["kind"])))
        .collect()
}

#[test]
fn members_that_are_told_together_are_named_each() {
    let folder = folder();
    write_logs(HEALTHY, &folder.path().join("logs"));
    let log = fs::read(folder.path().join("logs/Aad_Analytic.evtx")).unwrap();
    let names: Vec<String> = (0..5).map(|number| format!("PC-{number}.7z")).collect();
    let mut members: Vec<(&str, &[u8])> = names
        .iter()
        .map(|name| (name.as_str(), &b"7z\xbc\xaf\x27\x1c"[..]))
        .collect();
    members.push(("ok.evtx", &log));
    fs::write(folder.path().join("a.zip"), zip(&members)).unwrap();
    let expected: Vec<(String, String)> = names
        .iter()
        .map(|name| (format!("a.zip!{name}"), "unsupported".to_owned()))
        .collect();
    assert_eq!(skipped(folder.path(), &["a.zip"]), expected);
    let table = run_in(folder.path(), &["--format", "csv", "a.zip"]);
    for name in names {
        assert!(text(&table.stdout).contains(&format!("a.zip!{name}")));
    }
}

#[test]
fn an_input_that_gave_events_is_not_told_as_one_that_gave_none() {
    let folder = folder();
    write_logs(HEALTHY, &folder.path().join("logs"));
    let log = fs::read(folder.path().join("logs/Aad_Analytic.evtx")).unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&log).unwrap();
    let mut packed = packed.finish().unwrap();
    // Its checksum is wrong, and all of the log is there.
    let end = packed.len();
    packed[end - 8] ^= 1;
    fs::write(folder.path().join("crc.gz"), packed).unwrap();
    let output = run_in(folder.path(), &["--format", "json", "crc.gz"]);
    assert_eq!(json(&output)["totals"]["events"], 2);
    assert_eq!(json(&output)["totals"]["problems"], 1);
    assert_eq!(skipped(folder.path(), &["crc.gz"]), []);
}

#[cfg(unix)]
#[test]
fn a_path_that_is_named_twice_is_told_twice() {
    use std::os::unix::ffi::OsStrExt;
    let folder = folder();
    write_logs(HEALTHY, &folder.path().join("logs"));
    let at = |name: &str| folder.path().join(name);
    fs::copy(at("logs/Aad_Analytic.evtx"), at("log.evtx")).unwrap();
    std::os::unix::fs::symlink("log.evtx", at("link.evtx")).unwrap();
    let report = json(&run_in(
        folder.path(),
        &["--format", "json", "log.evtx", "link.evtx", "log.evtx"],
    ));
    let inputs = report["inputs"].as_array().unwrap();
    let told: Vec<(&Value, &Value)> = inputs
        .iter()
        .map(|of| (&of["path"], &of["events"]))
        .collect();
    assert_eq!(
        told,
        [
            (&"link.evtx".into(), &2.into()),
            (&"log.evtx".into(), &2.into())
        ]
    );
    assert_eq!(report["totals"]["events"], 2);
    // Names that are shown alike are two all the same.
    let [good, bad] = [&b"\xff.evtx"[..], b"\xfe.evtx"].map(OsStr::from_bytes);
    fs::copy(at("log.evtx"), folder.path().join(good)).unwrap();
    fs::write(folder.path().join(bad), "nothing").unwrap();
    let output = run_in(
        folder.path(),
        &[OsStr::new("--format"), OsStr::new("json"), good, bad],
    );
    assert_eq!(status(&output), 3);
    assert_eq!(json(&output)["inputs"].as_array().unwrap().len(), 2);
}

#[test]
fn an_input_says_what_it_is_and_what_it_gave() {
    let folder = pile();
    let arguments = ["--format", "json", "PC-1.zip", "outer.zip", "PC-2.zip", "."];
    let report = json(&run_in(folder.path(), &arguments));
    let channels = ["Microsoft-Windows-AAD/Analytic"];
    let given = |path: &str, kind: &str, records: u64| {
        let bytes = fs::metadata(folder.path().join(path)).unwrap().len();
        serde_json::json!({
            "path": path, "kind": kind, "bytes": bytes, "collector": null, "channels": channels,
            "machines": ["PC-1.contoso.com"], "records": records, "events": 2,
            "first": "2026-03-02T08:00:00.0000000Z", "last": "2026-03-02T08:00:01.0000000Z",
            "skipped": null
        })
    };
    let inputs = report["inputs"].as_array().unwrap();
    let of = |path: &str| inputs.iter().find(|input| input["path"] == path).unwrap();
    assert_eq!(*of("PC-1.zip"), given("PC-1.zip", "zip", 2));
    assert_eq!(*of("outer.zip"), given("outer.zip", "zip", 2));
    // What gave events is named for itself, so the folder did not give nothing.
    assert_eq!(of(".")["kind"], "folder");
    assert_eq!(of(".")["skipped"], Value::Null);
    let empty = of("PC-2.zip");
    assert_eq!(empty["channels"], Value::from(Vec::<Value>::new()));
    assert_eq!(
        (&empty["first"], &empty["records"]),
        (&Value::Null, &0.into())
    );
    let paths: Vec<&str> = inputs
        .iter()
        .map(|input| input["path"].as_str().unwrap())
        .collect();
    assert!(paths.is_sorted());
    assert!(!paths.contains(&"./readme.txt") && !paths.contains(&"./Security.evtx"));
}

#[test]
fn a_log_without_events_of_ours_says_so() {
    let folder = folder();
    fs::write(
        folder.path().join("none.evtx"),
        evtx::write_log(&[]).unwrap(),
    )
    .unwrap();
    let output = run_in(folder.path(), &["none.evtx"]);
    assert!(text(&output.stdout).starts_with(
        "No event of the providers Microsoft-Windows-AAD and Microsoft-Windows-User\n\
         Device Registration was found. Collect AAD/Operational, AAD/Analytic (off by\n\
         default) and User Device Registration/Admin, as Microsoft's Auth scripts do.\n"
    ));
    // Nothing is to be collected where there is something, of another time.
    write_logs(HEALTHY, folder.path());
    let output = run_in(folder.path(), &["--at", "1999-01-01T00:00:00Z", "."]);
    assert!(text(&output.stdout).starts_with(
        "No sign-in or device registration of the time or user asked for was found.\n"
    ));
}

/// Jörg, whose windows name the UPN in capitals or the SID, on a machine that also failed to
/// register; and Ada on another such machine.
fn two_users() -> tempfile::TempDir {
    let folder = folder();
    let run =
        "07:00:00 304 ExitCode=0x801c001d DebugOutput=\"errorPhase: discover\\r\\n\" @pid=7820\n";
    let jörg = "computer PC-1.contoso.com\n\
        08:00:00 1006\n\
        08:00:01 1144 value=1 Method=JÖRG@contoso.com @sid=S-1-5-21-1-2-3-1001\n\
        08:00:02 1007 Status=0xC000006D\n\
        09:00:00 1250 Result=0xc000006d UserIdentity=\"\" CredentialType=1 CorrelationID=11111111-2222-3333-4444-555555555555 @sid=S-1-5-21-1-2-3-1001\n";
    let ada = "computer PC-2.contoso.com\n\
        08:00:00 1006\n\
        08:00:01 1144 value=1 Method=ada@contoso.com\n\
        08:00:02 1007 Status=0xC000006D\n";
    write_logs(&[jörg, run].concat(), &folder.path().join("1"));
    write_logs(&[ada, run].concat(), &folder.path().join("2"));
    folder
}

#[test]
fn a_user_is_found_by_every_name_and_spelling() {
    let folder = two_users();
    let mut reports = Vec::new();
    for name in [
        "JÖRG@contoso.com",
        "jörg@contoso.com",
        "Jörg@CONTOSO.com",
        "S-1-5-21-1-2-3-1001",
        "s-1-5-21-1-2-3-1001",
    ] {
        let arguments = ["--format", "json", "--user", name, "."];
        let output = run_in(folder.path(), &arguments);
        assert_eq!(status(&output), 1, "{name}");
        reports.push(json(&output));
    }
    let report = &reports[0];
    assert!(reports.iter().all(|other| other == report));
    let machines = report["machines"].as_array().unwrap();
    assert_eq!(machines.len(), 1);
    assert_eq!(machines[0]["name"], "PC-1.contoso.com");
    assert_eq!(machines[0]["users"].as_array().unwrap().len(), 1);
    assert_eq!(machines[0]["users"][0]["user"], "jörg@contoso.com");
    assert_eq!(machines[0]["diagnosis"]["state"], "failing");
    assert_eq!(report["totals"]["windows_failed"], 2);
    // Registration is the device's, and so the user's.
    assert_eq!(report["totals"]["registrations_failed"], 1);
}

#[test]
fn a_user_is_known_by_the_sid_of_every_machine() {
    let folder = folder();
    let machine = |name: &str, sid: &str| {
        format!(
            "computer {name}\n08:00:00 1006\n08:00:01 1144 value=1 Method=anna@contoso.com{sid}\n\
             08:00:02 1007 Status=0xC000006D\n"
        )
    };
    for (name, sid) in [
        ("PC-A", " @sid=S-1-5-21-1-2-3-1001"),
        ("PC-B", ""),
        ("PC-C", " @sid=S-1-5-21-1-2-3-2002"),
    ] {
        write_logs(&machine(name, sid), &folder.path().join(name));
    }
    for (sid, machine) in [
        ("S-1-5-21-1-2-3-1001", "PC-A"),
        ("S-1-5-21-1-2-3-2002", "PC-C"),
    ] {
        let output = run_in(folder.path(), &["--format", "json", "--user", sid, "."]);
        assert_eq!(status(&output), 1, "{sid}");
        let machines = json(&output)["machines"].clone();
        assert_eq!(machines.as_array().unwrap().len(), 1);
        assert_eq!(machines[0]["name"], machine);
    }
    refused(
        &run_in(folder.path(), &["--user", "S-1-5-21-1-2-3-1002", "."]),
        "no user is named S-1-5-21-1-2-3-1002; similar: S-1-5-21-1-2-3-1001, S-1-5-21-1-2-3-2002",
    );
}

#[test]
fn narrowing_keeps_failures_outside_windows_and_token_requests() {
    let folder = folder();
    let sid = "S-1-5-21-1-2-3-1001";
    let events = format!(
        "computer PC-1\ndate 2026-03-02\n\
         10:00:00 1006\n10:00:02 1007 Status=0\n\
         15:00:00 344 ExitCode=0x8009000d @pid=800\n\
         15:00:01 1098 Error=0xCAA2000C ErrorMessage=x AdditionalInformation=x @sid={sid} @task=103 @pid=4000\n\
         16:00:00 1098 Error=0xCAA2000C ErrorMessage=x AdditionalInformation=x @sid=S-1-5-21-1-2-3-9 @task=103 @pid=4000\n"
    );
    write_logs(&events, folder.path());
    for (narrow, events, failures, requests) in [
        (["--at", "2026-03-02 15:00:30"], 2, 2, 1),
        (["--at", "2026-03-02 10:00:00"], 2, 0, 0),
        (["--user", sid], 1, 1, 1),
    ] {
        let report = json(&run_in(
            folder.path(),
            &[&["--format", "json"], &narrow[..], &["."]].concat(),
        ));
        let timeline = json(&run_in(
            folder.path(),
            &[&["timeline", "--format", "json"], &narrow[..], &["."]].concat(),
        ));
        assert_eq!(report["totals"]["events"], events, "{narrow:?}");
        assert_eq!(timeline["totals"], report["totals"], "{narrow:?}");
        let machine = &report["machines"][0];
        let list = |value: &Value| value.as_array().map_or(0, Vec::len);
        assert_eq!(list(&machine["other_failures"]), failures, "{narrow:?}");
        let users = machine["users"].as_array().unwrap().iter();
        let found: usize = users.map(|user| list(&user["token_requests"])).sum();
        assert_eq!(found, requests, "{narrow:?}");
        let output = run_in(folder.path(), &[&narrow[..], &["."]].concat());
        let nothing = "No sign-in or device registration";
        assert!(!text(&output.stdout).contains(nothing), "{narrow:?}");
    }
}

#[test]
fn a_user_whom_nobody_knows_is_refused_in_every_format() {
    let folder = two_users();
    for format in ["text", "json", "jsonl", "csv"] {
        let arguments = ["--format", format, "--user", "jorg@contoso.com", "."];
        refused(
            &run_in(folder.path(), &arguments),
            "no user is named jorg@contoso.com; similar: jörg@contoso.com",
        );
    }
    let output = run_in(
        folder.path(),
        &["timeline", "--user", "zz@fabrikam.com", "."],
    );
    refused(
        &output,
        "no user is named zz@fabrikam.com; there are 2 users in the logs, none of a similar name",
    );
    // Of the machines that are asked for.
    let paths = ["--machine", "pc-1", "--user", "ada@contoso.com", "."];
    refused(
        &run_in(folder.path(), &paths),
        "no user is named ada@contoso.com; the one user in the logs has another name",
    );
}

#[test]
fn what_cannot_be_read_is_one_line_that_says_what_and_where() {
    let folder = folder();
    let make = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    fs::create_dir(folder.path().join("nologs")).unwrap();
    fs::create_dir(folder.path().join("zips")).unwrap();
    make("nologs/notes.txt", b"nothing");
    make("notes.evtx", b"nothing");
    make("zero.evtx", b"");
    make("logs.zip", b"PK\x03\x04....");
    make("zips/logs.zip", b"PK\x03\x04....");
    make(
        "nologs.zip",
        b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    );
    make("logs.cab", b"MSCF\0\0\0\0....");
    make("logs.7z", b"7z\xbc\xaf\x27\x1c");
    make("logs.xz", b"\xfd7zXZ\0");
    let cut = "it ends inside the header of a member: copy it again";
    let unsupported = "a 7z archive, which is not read: unpack it and name the folder";
    let no_log = "there is no event log (.evtx) in it";
    for (arguments, message) in [
        (
            &["missing"][..],
            "missing: no such file or directory: check the path".to_owned(),
        ),
        (
            &["missing/x.evtx"],
            "missing/x.evtx: no such file or directory: check the path".to_owned(),
        ),
        (
            &["logs.xz"],
            "logs.xz: an xz archive, which is not read: unpack it and name the folder".to_owned(),
        ),
        (&["empty"], format!("empty: {no_log}")),
        (&["nologs"], format!("nologs: {no_log}")),
        (
            &["notes.evtx"],
            "notes.evtx: not an event log, though named .evtx: it starts with neither ElfFile nor a \
             chunk; collect it again"
                .to_owned(),
        ),
        (
            &["zero.evtx"],
            "zero.evtx: the file is empty: collect it again".to_owned(),
        ),
        (&["logs.zip"], format!("logs.zip: {cut}")),
        (&["zips"], format!("zips: {cut} (zips/logs.zip)")),
        (&["nologs.zip"], format!("nologs.zip: {no_log}")),
        (
            &["logs.cab"],
            "logs.cab: the start of the cabinet is cut or damaged: copy it again".to_owned(),
        ),
        (&["logs.7z"], format!("logs.7z: {unsupported}")),
        (
            &["empty", "nologs"],
            format!("no event log was found in 2 inputs; the first of them, empty: {no_log}"),
        ),
    ] {
        refused(&run_in(folder.path(), arguments), &message);
        let mut explicit = vec!["analyze", "--format", "json"];
        explicit.extend(arguments);
        refused(&run_in(folder.path(), &explicit), &message);
    }
}

#[cfg(unix)]
#[test]
fn a_link_to_itself_is_unreadable() {
    let folder = folder();
    std::os::unix::fs::symlink("loop.evtx", folder.path().join("loop.evtx")).unwrap();
    let output = run_in(folder.path(), &["loop.evtx"]);
    let message = text(&output.stderr);
    assert!(message.starts_with("prtrace: loop.evtx: too many levels of symbolic links"));
    assert_eq!(message.lines().count(), 1);
    assert!(!message.contains("os error"));
    assert_eq!(status(&output), 2);
}

/// Whoever runs the tests, this file can be opened and not be read.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_fails_to_read_is_unreadable() {
    refused(
        &run(&["/proc/self/mem"]),
        "/proc/self/mem: input/output error",
    );
}

#[test]
fn without_arguments_it_shows_its_help() {
    let output = run::<&str>(&[]);
    assert_eq!(status(&output), 2);
    assert_eq!(text(&output.stdout), "");
    assert!(text(&output.stderr).contains("Usage: prtrace [OPTIONS] [PATH]..."));
    let help = run(&["--help"]);
    assert_eq!(status(&help), 0);
    assert_eq!(text(&help.stderr), "");
    assert!(text(&help.stdout).contains("Usage: prtrace [OPTIONS] [PATH]..."));
    let version = run(&["--version"]);
    assert_eq!(
        text(&version.stdout),
        concat!("prtrace ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn wrong_arguments_are_refused_and_named() {
    for (arguments, named) in [
        (
            &["--threads", "0", "samples"][..],
            "'0' for '--threads <N>'",
        ),
        (&["--threads", "x", "samples"], "'x' for '--threads <N>'"),
        (
            &["--threads", "1.5", "samples"],
            "'1.5' for '--threads <N>'",
        ),
        (&["--threads=-1", "samples"], "'-1' for '--threads <N>'"),
        (&["--threads=", "samples"], "--threads <N>"),
        (
            &["--threads", "99999", "samples"],
            "'99999' for '--threads <N>'",
        ),
        (
            &["--format", "xml", "samples"],
            "'xml' for '--format <FORMAT>'",
        ),
        (&["--colour", "samples"], "'--colour'"),
        (&["--format", "json"], "<PATH>..."),
        (&["analyze"], "<PATH>..."),
        (&["schema", "samples"], "'samples'"),
    ] {
        let output = run(arguments);
        assert_eq!(status(&output), 2, "{arguments:?}");
        assert_eq!(text(&output.stdout), "");
        assert!(text(&output.stderr).contains(named), "{arguments:?}");
    }
}

#[test]
fn a_misspelled_command_is_not_taken_for_a_path() {
    for (word, command) in [
        ("timelin", "timeline"),
        ("explian", "explain"),
        ("shcema", "schema"),
        ("analyse", "analyze"),
    ] {
        refused(
            &run(&[word, "samples/wrong-password"]),
            &format!("{word}: no such file or directory; the command is spelled {command}"),
        );
    }
    // What is there is a path, and so is what no command is like.
    let folder = folder();
    fs::create_dir(folder.path().join("timelin")).unwrap();
    for (path, message) in [
        ("timelin", "there is no event log (.evtx) in it"),
        ("times", "no such file or directory: check the path"),
    ] {
        let output = run_in(folder.path(), &[path]);
        refused(&output, &format!("{path}: {message}"));
    }
}

#[test]
fn analyze_is_the_command_that_need_not_be_named() {
    for options in [&[][..], &["--all"], &["--format", "json", "--threads", "1"]] {
        let short = [options, &["samples/wrong-password"]].concat();
        let long = [&["analyze"], options, &["samples/wrong-password"]].concat();
        let (short, long) = (run(&short), run(&long));
        assert_eq!(status(&short), 1);
        assert_eq!(status(&long), 1);
        assert_eq!(text(&short.stdout), text(&long.stdout));
    }
}

#[test]
fn a_folder_named_like_a_command_can_be_reached() {
    let folder = folder();
    write_logs(FAILING, &folder.path().join("schema"));
    write_logs(FAILING, &folder.path().join("analyze"));
    let reached: &[&[&str]] = &[
        &["./schema"],
        &["analyze", "schema"],
        &["analyze", "analyze"],
        &["./analyze"],
    ];
    for arguments in reached {
        let output = run_in(folder.path(), arguments);
        assert_eq!(status(&output), 1, "{arguments:?}");
        assert!(text(&output.stdout).starts_with("PC-2.contoso.com: "));
    }
    let schema = run_in(folder.path(), &["schema"]);
    assert_eq!(status(&schema), 0);
    assert!(json(&schema)["$schema"].is_string());
}

#[test]
fn output_goes_to_a_file_that_appears_whole_or_not_at_all() {
    let folder = folder();
    write_logs(FAILING, &folder.path().join("logs"));
    let report = folder.path().join("report.json");
    let printed = run_in(folder.path(), &["--format", "json", "logs"]);

    // Nothing is written where there is nothing to report.
    let to_file = |path: &str| {
        let arguments = ["--format", "json", "--output", "report.json", path];
        run_in(folder.path(), &arguments)
    };
    refused(
        &to_file("missing"),
        "missing: no such file or directory: check the path",
    );
    assert!(!report.exists());

    for _ in 0..2 {
        let output = to_file("logs");
        assert_eq!(status(&output), 1);
        assert_eq!((text(&output.stdout), text(&output.stderr)), ("", ""));
        assert_eq!(text(&fs::read(&report).unwrap()), text(&printed.stdout));
    }
    // What was there stays if the job cannot be done.
    refused(
        &to_file("missing"),
        "missing: no such file or directory: check the path",
    );
    assert_eq!(text(&fs::read(&report).unwrap()), text(&printed.stdout));
    // And nothing else was left behind.
    assert_eq!(file_names(folder.path()), ["logs", "report.json"]);

    let schema = run_in(folder.path(), &["schema", "--output", "schema.json"]);
    assert_eq!(status(&schema), 0);
    assert_eq!(
        fs::read(folder.path().join("schema.json")).unwrap(),
        run(&["schema"]).stdout
    );
}

#[test]
fn a_wrong_argument_is_told_in_plain_words() {
    for (arguments, message) in [
        (
            &["--queit", "samples"][..],
            "unknown option '--queit' (did you mean '--quiet'?)",
        ),
        (
            &["--format", "xml", "samples"],
            "invalid value 'xml' for '--format <FORMAT>': it takes text, json, jsonl or csv",
        ),
        (
            &["--threads", "x", "samples"],
            "invalid value 'x' for '--threads <N>': not a whole number from 1 to 1024",
        ),
        (
            &["--max-members", "1e6", "samples"],
            "invalid value '1e6' for '--max-members <N>': not a whole number",
        ),
        (
            &["--quiet=3", "samples"],
            "'--quiet' takes no value, but got '3'",
        ),
        (&["samples", "--output"], "'--output <FILE>' needs a value"),
        (
            &["--threads=1", "--threads=2", "samples"],
            "'--threads <N>' is given more than once",
        ),
        (&["help", "nothing"], "unknown command 'nothing'"),
        (
            &["schema", "samples"],
            "unexpected argument 'samples' of prtrace schema",
        ),
    ] {
        refused(&run(arguments), &format!("{message}; --help says more"));
    }
}

#[test]
fn options_may_come_before_the_command() {
    let sample = "samples/wrong-password";
    let log = folder();
    let file = log.path().join("out").to_str().unwrap().to_owned();
    for (before, after) in [
        (
            &["--format", "json", "explain", "12002"][..],
            &["explain", "--format", "json", "12002"][..],
        ),
        (
            &["--format=json", "explain", "-2147012889"],
            &["explain", "--format=json", "-2147012889"],
        ),
        (&["-q", "timeline", sample], &["timeline", "-q", sample]),
        (
            &[
                "--threads",
                "1",
                "-q",
                "--at",
                "2026-03-02T08:15",
                "timeline",
                sample,
            ],
            &[
                "timeline",
                "--threads",
                "1",
                "-q",
                "--at",
                "2026-03-02T08:15",
                sample,
            ],
        ),
        (&["--all", "analyze", sample], &["analyze", "--all", sample]),
        (&["--lines", "schema"], &["schema", "--lines"]),
        // No command, but the value of an option.
        (
            &["--output", &file, sample],
            &["analyze", sample, "--output", &file],
        ),
        (&["-q", "help", "schema"], &["schema", "--help"]),
    ] {
        let (before, after) = (run(before), run(after));
        assert_eq!(text(&before.stderr), text(&after.stderr));
        assert_eq!(text(&before.stdout), text(&after.stdout));
        assert_eq!(status(&before), status(&after));
        assert_ne!(status(&before), 2);
    }
    for (arguments, message) in [
        (
            &["--format", "csv", "explain", "12002"][..],
            "invalid value 'csv' for '--format <FORMAT>' of prtrace explain: it takes text or json; \
             --help says more",
        ),
        (
            &["--all", "timeline", sample],
            "unknown option '--all' of prtrace timeline; --help says more",
        ),
        (
            &["-q", "schema"],
            "unknown option '-q' of prtrace schema; --help says more",
        ),
        (
            &[sample, "explain", "12002"],
            "explain: no such file or directory; as a command it comes before the paths",
        ),
        (
            &["--", "explain"],
            "explain: no such file or directory: check the path",
        ),
    ] {
        refused(&run(arguments), message);
    }
}

#[test]
fn the_help_lists_what_everyone_needs_before_the_limits() {
    for command in [&[][..], &["analyze"], &["timeline"]] {
        let help = run(&[command, &["--help"]].concat());
        let help = text(&help.stdout);
        let limits = help.find("\nLimits on archives:\n").unwrap();
        let behind: Vec<&str> = help[limits..]
            .lines()
            .filter_map(|line| line.trim().split_once("--"))
            .map(|(_, option)| option.split(' ').next().unwrap())
            .filter(|option| !option.starts_with("max-"))
            .collect();
        assert_eq!(behind, Vec::<&str>::new(), "{command:?}");
        assert!(help[..limits].contains("\n      --format <FORMAT>\n"));
    }
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let folder = folder();
    write_logs(HEALTHY, &folder.path().join("logs"));
    fs::create_dir(folder.path().join("taken")).unwrap();
    let into = |output: &str| run_in(folder.path(), &["--output", output, "logs"]);
    for output in ["missing/report.json", "taken"] {
        for result in [
            into(output),
            run_in(folder.path(), &["schema", "--output", output]),
        ] {
            let message = text(&result.stderr);
            assert!(message.starts_with(&format!("prtrace: {output}: ")));
            assert_eq!(message.lines().count(), 1);
            assert_eq!(text(&result.stdout), "");
            assert_eq!(status(&result), 2);
        }
    }
    assert_eq!(file_names(folder.path()), ["logs", "taken"]);
    assert_eq!(file_names(&folder.path().join("taken")), [""; 0]);
}

#[test]
fn an_input_is_not_replaced_by_the_report() {
    let folder = folder();
    write_logs(FAILING, &folder.path().join("logs"));
    write_logs(HEALTHY, &folder.path().join("others"));
    let at = |name: &str| folder.path().join(name);
    let log = "logs/Aad_Analytic.evtx";
    fs::write(at("list"), "others\n").unwrap();
    fs::write(at("logs/notes.txt"), "notes").unwrap();
    let before = fs::read(at(log)).unwrap();
    let mut outputs = vec![log, "./logs/../logs/Aad_Analytic.evtx", "logs/notes.txt"];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(log, at("link")).unwrap();
        fs::hard_link(at(log), at("hard")).unwrap();
        outputs.extend(["link", "hard"]);
    }
    for output in outputs {
        let found = match output {
            "logs/notes.txt" => output,
            _ => log,
        };
        let message =
            format!("{output}: the output would replace the input {found}; write it to a new file");
        for command in ["analyze", "timeline"] {
            refused(
                &run_in(
                    folder.path(),
                    &[command, "--output", output, "others", "logs"],
                ),
                &message,
            );
        }
        let paths = ["--output", output, found];
        refused(&run_in(folder.path(), &paths), &message);
    }
    let arguments = ["--output", "list", "--files-from", "list"];
    refused(
        &run_in(folder.path(), &arguments),
        "list: the output would replace the input list; write it to a new file",
    );
    assert!(fs::read(at(log)).unwrap() == before);
    assert_eq!(fs::read(at("logs/notes.txt")).unwrap(), b"notes");
    // A new file in the folder replaces nothing.
    let output = run_in(folder.path(), &["--output", "logs/report.txt", "logs"]);
    assert_eq!((status(&output), text(&output.stderr)), (1, ""));
    assert!(at("logs/report.txt").exists());
}

#[cfg(unix)]
#[test]
fn an_output_among_the_inputs_is_refused_however_it_is_named() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = folder();
    write_logs(FAILING, &folder.path().join("logs"));
    write_logs(FAILING, &folder.path().join("elsewhere"));
    let at = |name: &str| folder.path().join(name);
    let unchanged = |name: &str| {
        let log = fs::read(at(name)).unwrap();
        assert!(log.starts_with(b"ElfFile"), "{name}");
    };
    // A link in an input folder is told as an input, and what it leads to is evidence.
    symlink("../elsewhere/Aad_Analytic.evtx", at("logs/link.evtx")).unwrap();
    let refusal = |output: &str, input: &str| {
        format!("{output}: the output would replace the input {input}; write it to a new file")
    };
    let arguments = ["logs", "--output", "logs/link.evtx"];
    refused(
        &run_in(folder.path(), &arguments),
        &refusal("logs/link.evtx", "logs/link.evtx"),
    );
    unchanged("elsewhere/Aad_Analytic.evtx");
    // What may be written and not be read is an input all the same. (Who may do everything reads it.)
    let log = at("logs/Aad_Analytic.evtx");
    fs::set_permissions(&log, fs::Permissions::from_mode(0o222)).unwrap();
    let arguments = ["logs", "--output", "logs/Aad_Analytic.evtx"];
    refused(
        &run_in(folder.path(), &arguments),
        &refusal("logs/Aad_Analytic.evtx", "logs/Aad_Analytic.evtx"),
    );
    fs::set_permissions(&log, fs::Permissions::from_mode(0o666)).unwrap();
    unchanged("logs/Aad_Analytic.evtx");
    // Nobody writes to this pipe: looking at it must not wait for that.
    assert!(
        Command::new("mkfifo")
            .arg(at("pipe"))
            .status()
            .unwrap()
            .success()
    );
    fs::write(at("report"), "before").unwrap();
    let output = run_in(folder.path(), &["pipe", "logs", "--output", "report"]);
    assert_eq!((status(&output), text(&output.stderr)), (1, ""));
    // What comes on standard input is an input, too.
    fs::write(at("codes"), "AADSTS50126").unwrap();
    let mut command = prtrace();
    command
        .current_dir(folder.path())
        .args(["explain", "--output", "codes"]);
    let output = command.stdin(fs::File::open(at("codes")).unwrap()).output();
    refused(&output.unwrap(), &refusal("codes", "-"));
    assert_eq!(fs::read(at("codes")).unwrap(), b"AADSTS50126");
}

#[cfg(target_os = "linux")]
#[test]
fn the_file_behind_a_descriptor_is_written_on_and_not_replaced() {
    let folder = folder();
    write_logs(FAILING, &folder.path().join("logs"));
    let printed = run_in(folder.path(), &["logs"]).stdout;
    let notes = folder.path().join("notes");
    for output in ["/dev/stdout", "/proc/self/fd/1", "/dev/fd/1"] {
        fs::write(&notes, "notes\n").unwrap();
        let mut command = prtrace();
        command
            .current_dir(folder.path())
            .args(["logs", "--output", output]);
        let file = fs::File::options().append(true).open(&notes).unwrap();
        assert_eq!(command.stdout(file).status().unwrap().code(), Some(1));
        let written = fs::read(&notes).unwrap();
        assert!(written == [b"notes\n", &printed[..]].concat(), "{output}");
        // A pipe takes it as it comes.
        assert!(run_in(folder.path(), &["logs", "--output", output]).stdout == printed);
    }
}

#[test]
fn a_log_is_not_taken_for_a_list_of_paths() {
    let folder = folder();
    write_logs(FAILING, folder.path());
    refused(
        &run_in(folder.path(), &["--files-from", "Aad_Analytic.evtx"]),
        "Aad_Analytic.evtx: an event log, not a list of paths: name it without --files-from",
    );
}

#[test]
fn a_dash_as_output_is_standard_output() {
    let folder = folder();
    write_logs(FAILING, &folder.path().join("logs"));
    for arguments in [
        &["analyze", "logs"][..],
        &["timeline", "logs"],
        &["schema"],
        &["explain", "12007"],
    ] {
        let printed = run_in(folder.path(), arguments);
        let dashed = run_in(folder.path(), &[arguments, &["--output", "-"]].concat());
        assert!(!printed.stdout.is_empty());
        assert_eq!(text(&dashed.stdout), text(&printed.stdout));
        assert_eq!(status(&dashed), status(&printed));
    }
    assert_eq!(file_names(folder.path()), ["logs"]);
}

#[cfg(unix)]
#[test]
fn an_output_file_keeps_its_mode_and_a_link_stays_a_link() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = folder();
    write_logs(FAILING, &folder.path().join("logs"));
    let at = |name: &str| folder.path().join(name);
    let printed = run_in(folder.path(), &["logs"]).stdout;
    for mode in [0o600, 0o640, 0o755] {
        fs::write(at("report"), "before").unwrap();
        fs::set_permissions(at("report"), fs::Permissions::from_mode(mode)).unwrap();
        let output = run_in(folder.path(), &["--output", "report", "logs"]);
        assert_eq!((status(&output), text(&output.stderr)), (1, ""));
        assert!(fs::read(at("report")).unwrap() == printed);
        let now = fs::metadata(at("report")).unwrap().permissions().mode();
        assert_eq!(now & 0o777, mode);
    }
    // One link leads to a file, one to nothing yet, one there over another, one in a circle.
    fs::create_dir(at("folder")).unwrap();
    for (link, leads_to) in [
        ("good", "report"),
        ("dangling", "folder/new"),
        ("second", "third"),
        ("third", "folder/newer"),
        ("loop", "loop"),
    ] {
        symlink(leads_to, at(link)).unwrap();
    }
    for (link, target) in [
        ("good", "report"),
        ("dangling", "folder/new"),
        ("second", "folder/newer"),
    ] {
        let output = run_in(folder.path(), &["--output", link, "logs"]);
        assert_eq!((status(&output), text(&output.stderr)), (1, ""), "{link}");
        assert!(at(link).symlink_metadata().unwrap().is_symlink(), "{link}");
        assert!(fs::read(at(target)).unwrap() == printed, "{link}");
    }
    let output = run_in(folder.path(), &["--output", "loop", "logs"]);
    assert!(text(&output.stderr).starts_with("prtrace: loop: cannot write the output: "));
    assert_eq!(status(&output), 2);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_standard_output_is_an_error() {
    for arguments in [&["samples/healthy"][..], &["schema"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = prtrace();
        let output = command.args(arguments).stdout(full).output().unwrap();
        let message = text(&output.stderr);
        assert!(message.starts_with("prtrace: standard output: "));
        assert_eq!(message.lines().count(), 1);
        assert_eq!(status(&output), 2);
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    // More than a pipe holds, so that the program is still writing when the reader leaves.
    let arguments = ["--format", "json", "samples"];
    assert!(run(&arguments).stdout.len() > 100_000);
    let mut child = prtrace()
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stderr), "");
    assert_eq!(status(&output), 1);
}

#[test]
fn one_bad_path_costs_nothing_but_itself() {
    let folder = folder();
    write_logs(FAILING, &folder.path().join("logs"));
    fs::write(folder.path().join("notes.evtx"), b"nothing").unwrap();
    fs::write(folder.path().join("logs.zip"), b"PK\x03\x04").unwrap();
    let alone = json(&run_in(folder.path(), &["--format", "json", "logs"]));
    let paths = ["missing", "logs", "notes.evtx", "logs.zip"];
    let arguments = [&["--format", "json"], &paths[..]].concat();
    let output = run_in(folder.path(), &arguments);
    assert_eq!(status(&output), 1);
    assert_eq!(text(&output.stderr), "");
    let report = json(&output);
    assert_eq!(report["machines"], alone["machines"]);
    let problems: Vec<(&Value, &Value)> = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| (&problem["path"], &problem["kind"]))
        .collect();
    assert_eq!(
        problems,
        [
            (&"logs.zip".into(), &"truncated".into()),
            (&"logs.zip".into(), &"truncated".into()),
            (&"missing".into(), &"unreadable".into()),
            (&"notes.evtx".into(), &"not_a_log".into()),
        ]
    );
    assert_eq!(report["totals"]["problems"], 4);
    let output = run_in(folder.path(), &paths);
    let shown = text(&output.stdout);
    assert!(shown.starts_with("PC-2.contoso.com: "));
    assert!(shown.contains("\nProblems: 4\n"));
    assert!(shown.contains("\n  missing\n    no such file or directory: check the path\n"));
}

#[test]
fn in_a_folder_other_files_are_counted_and_no_problem() {
    let folder = folder();
    write_logs(HEALTHY, folder.path());
    fs::write(folder.path().join("notes.txt"), b"nothing").unwrap();
    fs::write(folder.path().join("zero.dat"), b"").unwrap();
    let report = json(&run_in(folder.path(), &["--format", "json", "."]));
    assert_eq!(report["totals"]["other_files"], 2);
    assert_eq!(report["totals"]["problems"], 0);
}

#[cfg(unix)]
#[test]
fn links_and_pipes_in_a_folder_are_told_and_not_followed() {
    let folder = folder();
    write_logs(HEALTHY, &folder.path().join("logs"));
    write_logs(FAILING, &folder.path().join("outside"));
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, folder.path().join(name)).unwrap();
    };
    link("../outside", "logs/folder");
    link("../outside/Aad_Analytic.evtx", "logs/file.evtx");
    link(".", "logs/loop");
    link("nowhere", "logs/broken");
    let pipe = folder.path().join("logs/pipe.evtx");
    assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());

    let output = run_in(folder.path(), &["--format", "json", "logs"]);
    assert_eq!(status(&output), 0);
    let report = json(&output);
    assert_eq!(report["totals"]["machines"], 1);
    assert_eq!(report["totals"]["logs"], 1);
    let problems: Vec<(&Value, &Value)> = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| (&problem["path"], &problem["kind"]))
        .collect();
    let not_followed = Value::from("not_followed");
    assert_eq!(
        problems,
        [
            (&"logs/broken".into(), &not_followed),
            (&"logs/file.evtx".into(), &not_followed),
            (&"logs/folder".into(), &not_followed),
            (&"logs/loop".into(), &not_followed),
            (&"logs/pipe.evtx".into(), &not_followed),
        ]
    );
    // A link that the user names is followed, a pipe is not waited for.
    assert_eq!(status(&run_in(folder.path(), &["logs/folder"])), 1);
    assert_eq!(status(&run_in(folder.path(), &["logs/file.evtx"])), 1);
    assert_eq!(status(&run_in(folder.path(), &["logs/pipe.evtx"])), 2);
}

/// Characters that begin escape sequences, move the cursor or disguise what stands around them.
fn steers(character: char) -> bool {
    match character {
        '\n' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        '\u{200b}'..='\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => true,
        other => other.is_control(),
    }
}

/// A folder of logs that try everything, and a log and a damaged one with such names.
fn hostile_folder() -> tempfile::TempDir {
    let folder = folder();
    write_logs(&hostile(), folder.path());
    let log = fs::read(folder.path().join("Other.evtx")).unwrap();
    let name = if cfg!(unix) {
        "copy\u{1b}]52;c;aGk=\u{7}\u{9b}2J\u{202e}\nprtrace: all is well\r.evtx"
    } else {
        // No controls in file names here.
        "copy\u{202e}.evtx"
    };
    fs::write(folder.path().join(name), &log).unwrap();
    fs::write(folder.path().join(format!("cut {name}")), &log[..5000]).unwrap();
    folder
}

const ALL_FORMATS: [&[&str]; 3] = [&[], &["--all"], &["--format", "json"]];

#[test]
fn nothing_from_a_log_or_a_file_name_steers_the_terminal() {
    let folder = hostile_folder();
    for options in ALL_FORMATS {
        let output = run_in(folder.path(), &[options, &["."]].concat());
        assert_eq!(text(&output.stderr), "");
        let shown = text(&output.stdout);
        let found: Vec<char> = shown.chars().filter(|c| steers(*c)).collect();
        assert_eq!(found, [], "{options:?}");
        // No line of the text begins with what a log or a name put after a line end.
        let forged = shown.lines().find(|line| {
            let line = line.trim_start();
            line.starts_with("prtrace: all is well") || line.starts_with("forged")
        });
        assert_eq!(forged, None);
    }
    // It is shown, not dropped: a C1 control and a turned text in each format.
    let all = run_in(folder.path(), &["--all", "."]);
    assert!(text(&all.stdout).contains(r"EVIL\u{202e}CP.contoso.com"));
    assert!(text(&all.stdout).contains(r"AAD/Operational\u{9b}2K, record 1, "));
    let output = run_in(folder.path(), &["--format", "json", "."]);
    assert!(text(&output.stdout).contains(r#""EVIL\u202eCP.contoso.com""#));
    let report = json(&output);
    assert_eq!(report["machines"][0]["name"], "EVIL\u{202e}CP.contoso.com");
    assert_eq!(
        report["machines"][0]["also_known_as"],
        Value::from(vec!["WIN-OLD\u{9b}31m"])
    );
}

#[test]
fn no_token_is_in_any_output_and_the_text_around_it_is() {
    let folder = hostile_folder();
    // The scenario has them, or the test would say nothing.
    for secret in ["SECRET4", "eyJ", "Tr0ub4dor", "c2lnbmF0dXJl"] {
        assert!(hostile().contains(secret));
    }
    for options in ALL_FORMATS {
        let output = run_in(folder.path(), &[options, &["."]].concat());
        let shown = text(&output.stdout);
        for secret in ["SECRET", "eyJ", "Tr0ub4dor", "c2lnbmF0dXJl", "U0VDUkVU"] {
            assert!(!shown.contains(secret), "{options:?}: {secret}");
        }
        let kept: &[&str] = match options {
            // The events of the newest failed window only.
            [] => &[],
            _ => &[
                "kept-url",
                "kept-fault",
                "kept-answer",
                "kept-enterprise",
                "kept-value",
                "kept-service",
                "kept-debug",
                "kept-lookup",
                "kept-adal",
                "kept-log",
            ],
        };
        for word in kept {
            assert!(shown.contains(word), "{options:?}: {word}");
        }
    }
}

#[test]
fn no_event_holds_a_token() {
    let folder = hostile_folder();
    let paths = [folder.path().to_path_buf()];
    let scan = prtrace::machine::scan(&paths, Default::default()).unwrap();
    let events = || scan.machines.iter().flat_map(|machine| &machine.events);
    for (name, value) in events().flat_map(|event| event.data().iter()) {
        assert!(
            !value.contains("SECRET") && !value.contains("eyJ"),
            "{name}"
        );
    }
    let field = |event_id: u32, name: &str| {
        let event = events().find(|event| event.event_id == event_id).unwrap();
        event.data().get(name).unwrap().to_string()
    };
    assert_eq!(field(103, "AuthToken"), "[masked]");
    assert_eq!(field(303, "AuthToken"), "[masked]");
    assert_eq!(field(303, "Email"), "anna@contoso.com");
    assert_eq!(
        field(304, "DebugOutput"),
        "kept-debug Authorization: Bearer [masked]\r\n\
         tenantId: 3f6d2b90-81c4-4e57-a0d9-72be15c8f400\r\nerrorPhase: join\r\n"
    );
    assert_eq!(
        field(1098, "AdditionalInformation"),
        r#"kept-broker {"refresh_token":"[masked]"} and [masked]"#
    );
}

/// The lines of a ticket, its label and blanks aside, for the events of one machine.
#[track_caller]
fn ticket(events: &str) -> Vec<String> {
    let folder = folder();
    write_logs(
        &format!("computer PC-1\ndate 2026-01-01\n{events}"),
        folder.path(),
    );
    let output = run(&[folder.path()]);
    let (_, ticket) = text(&output.stdout)
        .split_once("  Ticket\n")
        .expect("a ticket");
    let lines = ticket.lines().take_while(|line| !line.is_empty());
    let words = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    words.collect()
}

#[test]
fn a_ticket_says_what_the_events_support_and_no_more() {
    // The server refused a sign-in of which no correlation ID is left.
    let refused = "08:00:00 1006\n\
        08:00:01 1144 value=1 Method=ada@contoso.com\n\
        08:00:02 1081 Error=invalid_grant ErrorDescription=\"AADSTS50126: wrong\"\n\
        08:00:03 1007 Status=0xC000006D\n";
    assert_eq!(
        ticket(refused),
        [
            "device PC-1",
            "user ada@contoso.com",
            "time (UTC) 2026-01-01T08:00:03.0000000Z",
            "codes AADSTS50126, 0xc000006d",
            "look up at Entra admin center > Diagnose and solve problems >",
            "Sign-in diagnostic: enter the user and the time",
        ]
    );
    // Neither the user nor an ID: there is nothing to enter anywhere.
    assert_eq!(
        ticket("08:00:00 1006\n08:00:01 1007 Status=0xC000006D\n"),
        [
            "device PC-1",
            "user (not in the logs)",
            "time (UTC) 2026-01-01T08:00:01.0000000Z",
            "codes 0xc000006d",
        ]
    );
    // The token for the registration was refused: the token service's side and its IDs. The device
    // and its tenant were named before; what came after the run says nothing of it.
    let run = "09:00:00 250 Attribute=x TenantId=11111111-0000-4000-8000-000000000001 DeviceId=11111111-0000-4000-8000-000000000002 JoinType=0 JoinTypeName=x RequestId=11111111-0000-4000-8000-000000000003\n\
        10:00:00 305 ExitCode=0xcaa20003 @pid=7820 ServerErrorMessage=\"AdalMessage: AADSTS50076: MFA. Trace ID: 22222222-0000-4000-8000-000000000001 Correlation ID: 22222222-0000-4000-8000-000000000002\\r\\nAdalError: interaction_required\\r\\nAdalErrorCode: 0xcaa20003\\r\\nAdalCorrelationId: {22222222-0000-4000-8000-000000000002}\\r\\n\" TenantType=Managed TenantName=contoso.com\n\
        10:00:01 304 ExitCode=0xcaa20003 @pid=7820 TenantType=Managed JoinType=fed DebugOutput=\"errorPhase: auth\\r\\n\"\n\
        11:00:00 250 Attribute=x TenantId=33333333-0000-4000-8000-000000000001 DeviceId=33333333-0000-4000-8000-000000000002 JoinType=0 JoinTypeName=x RequestId=33333333-0000-4000-8000-000000000003\n";
    assert_eq!(
        ticket(run),
        [
            "device PC-1",
            "device ID 11111111-0000-4000-8000-000000000002",
            "tenant 11111111-0000-4000-8000-000000000001",
            "time (UTC) 2026-01-01T10:00:01.0000000Z",
            "correlation ID 22222222-0000-4000-8000-000000000002",
            "trace ID 22222222-0000-4000-8000-000000000001",
            "codes AADSTS50076, 0xcaa20003",
            "look up at Entra admin center > Diagnose and solve problems >",
            "Sign-in diagnostic: enter the correlation ID and the time",
        ]
    );
    // The token is healthy and an application's requests fail: the last of them. The user's window
    // names the SID, so the name is known; the tenant stands in the authority.
    let signed_in = "08:00:00 1250 Result=0 UserIdentity=ada@contoso.com CredentialType=1 CorrelationID=44444444-0000-4000-8000-000000000001 @sid=S-1-5-21-1-2-3-1001\n";
    let request = |time: &str, id: &str| {
        format!(
            "{time} 1098 Error=0xCAA2000C ErrorMessage=x AdditionalInformation=\"Description: AADSTS53000: not compliant. Trace ID: 44444444-0000-4000-8000-000000000002 Correlation ID: {id}\\r\\nRequest: authority: https://login.microsoftonline.com/11111111-0000-4000-8000-000000000001, client: 44444444-0000-4000-8000-000000000003, redirect URI: x, resource: https://mail.contoso.com, correlation ID (request): {id}\" @sid=S-1-5-21-1-2-3-1001\n"
        )
    };
    let first = request("09:00:00", "44444444-0000-4000-8000-000000000004");
    let last = request("10:00:00", "44444444-0000-4000-8000-000000000005");
    assert_eq!(
        ticket(&[signed_in, &first, &last].concat()),
        [
            "device PC-1",
            "user ada@contoso.com",
            "tenant 11111111-0000-4000-8000-000000000001",
            "time (UTC) 2026-01-01T10:00:00.0000000Z",
            "correlation ID 44444444-0000-4000-8000-000000000005",
            "trace ID 44444444-0000-4000-8000-000000000002",
            "client 44444444-0000-4000-8000-000000000003",
            "resource https://mail.contoso.com",
            "codes AADSTS53000, 0xcaa2000c",
            "look up at Entra admin center > Diagnose and solve problems >",
            "Sign-in diagnostic: enter the correlation ID, the user",
            "and the time",
        ]
    );
    // The broker's code alone, of an account that no window names: a SID is of no use there.
    let alone = "10:00:00 1098 Error=0xCAA2000C ErrorMessage=\"Correlation ID: 44444444-0000-4000-8000-000000000006\" AdditionalInformation=\"\" @sid=S-1-5-21-1-2-3-1001\n";
    let signed_in = signed_in.replace(" @sid=S-1-5-21-1-2-3-1001", "");
    assert_eq!(
        ticket(&[&signed_in, alone].concat()),
        [
            "device PC-1",
            "user S-1-5-21-1-2-3-1001",
            "time (UTC) 2026-01-01T10:00:00.0000000Z",
            "correlation ID 44444444-0000-4000-8000-000000000006",
            "codes 0xcaa2000c",
            "look up at Entra admin center > Diagnose and solve problems >",
            "Sign-in diagnostic: enter the correlation ID and the time",
            "(no answer to the sign-in is in these events, so it may",
            "not be listed there)",
        ]
    );
}

#[test]
fn the_events_shown_are_those_of_the_failure_that_is_told() {
    let folder = folder();
    // Ada still fails; what Bo failed with later is made up for.
    let events = "computer PC-1
09:00:00 1006 @tid=1
09:00:01 1144 value=1 Method=ada@contoso.com @tid=1
09:00:02 1007 Status=0xC000006D @tid=1
10:00:00 1006 @tid=2
10:00:01 1144 value=1 Method=bo@contoso.com @tid=2
10:00:02 1007 Status=0xC000006D @tid=2
11:00:00 1006 @tid=2
11:00:01 1144 value=1 Method=bo@contoso.com @tid=2
11:00:02 1007 Status=0 @tid=2
";
    write_logs(events, folder.path());
    let output = run(&[folder.path()]);
    let shown = text(&output.stdout);
    assert!(shown.starts_with("PC-1: PRT acquisition of ada@contoso.com FAILED at"));
    let stop =
        |hour: u32| shown.contains(&format!("    {hour:02}:00:02.000Z ! 1007 GetToken stop"));
    assert_eq!([stop(9), stop(10)], [true, false]);
}

#[test]
fn token_requests_that_fail_are_told_before_what_is_made_up_for() {
    let folder = folder();
    let events = "computer PC-1
07:00:00 1250 Result=0xc000006d UserIdentity=ada@contoso.com CredentialType=1 CorrelationID=44444444-0000-4000-8000-000000000001
08:00:00 1250 Result=0 UserIdentity=ada@contoso.com CredentialType=1 CorrelationID=44444444-0000-4000-8000-000000000002 @sid=S-1-5-21-1-2-3-1001
09:00:00 1098 Error=0xCAA2000C ErrorMessage=\"AADSTS53000: not compliant\" AdditionalInformation=\"\" @sid=S-1-5-21-1-2-3-1001
";
    write_logs(events, folder.path());
    let output = run(&[folder.path()]);
    let shown = text(&output.stdout);
    assert!(
        shown.starts_with("PC-1: 2 PRT windows, 1 succeeded, 1 failed\n"),
        "{shown}"
    );
    assert!(shown.contains("    codes              AADSTS53000, 0xcaa2000c\n"));
    assert!(shown.contains("Windows of PC-1: 1 failed of 2\n"));
}
