//! Bundles as they arrive: archives in any nesting give what their unpacked folders give, and
//! hostile ones cost a line each.

#[path = "support/program.rs"]
mod program;
mod support;

use program::prtrace;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Output;
use support::{file_names, json_bytes, scenario};
use zip::write::SimpleFileOptions;

fn report(paths: &[&Path]) -> Value {
    serde_json::from_slice(&json_bytes(paths, 2)).unwrap()
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = prtrace();
    command.current_dir(folder).args(arguments);
    command.output().unwrap()
}

fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// A zip of these members.
fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn cab(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = cab::CabinetBuilder::new();
    let folder = builder.add_folder(cab::CompressionType::MsZip);
    for (name, _) in members {
        folder.add_file(name.replace('/', "\\"));
    }
    let mut cabinet = builder.build(std::io::Cursor::new(Vec::new())).unwrap();
    for (_, bytes) in members {
        let mut file = cabinet.next_file().unwrap().unwrap();
        file.write_all(bytes).unwrap();
    }
    cabinet.finish().unwrap().into_inner()
}

/// The logs of a scenario, in a folder as a collector names it.
fn logs(scenario: &str) -> Vec<(String, Vec<u8>)> {
    let logs = scenario::logs(scenario).unwrap().into_iter();
    logs.map(|(name, bytes)| (format!("authlogs/{name}"), bytes))
        .collect()
}

fn members(logs: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    logs.iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect()
}

const FAILING: &str = "computer PC-1.contoso.com\n\
    08:00:00 1006\n\
    08:00:00.1 1081 Error=invalid_grant ErrorDescription=AADSTS50126\n\
    08:00:00.2 1007 Status=0xC000006D\n";

/// A report without what differs between an archive and its folder: how paths are spelled, and what
/// the input itself is.
fn plain(report: &Value, archives: &[&str]) -> Value {
    let mut text = report.to_string();
    for (archive, folder) in archives.iter().map(|pair| pair.split_once('=').unwrap()) {
        text = text.replace(archive, folder);
    }
    let mut report: Value = serde_json::from_str(&text).unwrap();
    for input in report["inputs"].as_array_mut().unwrap() {
        for key in ["kind", "bytes"] {
            input.as_object_mut().unwrap().remove(key).unwrap();
        }
    }
    report
}

#[test]
fn an_archive_of_any_kind_gives_what_its_folder_gives() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let logs = logs(FAILING);
    let members = members(&logs);
    scenario::write_to(FAILING, &at("folder/authlogs")).unwrap();
    let expected = run(folder.path(), &["--format", "json", "folder"]);
    let expected: Value = serde_json::from_slice(&expected.stdout).unwrap();
    assert_eq!(expected["totals"]["windows_failed"], 1);
    let expected = plain(&expected, &[]);

    let backslashes: Vec<(String, &[u8])> = members
        .iter()
        .map(|(name, bytes)| (name.replace('/', "\\"), *bytes))
        .collect();
    let backslashes: Vec<(&str, &[u8])> = backslashes
        .iter()
        .map(|(name, bytes)| (name.as_str(), *bytes))
        .collect();
    let zipped = zip(&members);
    for (name, bytes, inside) in [
        ("a.zip", zipped.clone(), "a.zip!"),
        ("b.zip", zip(&backslashes), "b.zip!"),
        // The name says nothing.
        ("c.dat", zipped.clone(), "c.dat!"),
        ("d.cab", cab(&members), "d.cab!"),
        ("e.tar", tar(&members), "e.tar!"),
        ("f.tar.gz", gzip(&tar(&members)), "f.tar.gz!"),
        ("g.zip", zip(&[("in/h.zip", &zipped)]), "g.zip!in/h.zip!"),
        ("i.zip", zip(&[("j.cab", &cab(&members))]), "i.zip!j.cab!"),
        ("k.tar", tar(&[("l.zip", &zipped)]), "k.tar!l.zip!"),
        (
            "m.zip",
            zip(&[("n.tar.gz", &gzip(&tar(&members)))]),
            "m.zip!n.tar.gz!",
        ),
    ] {
        fs::write(at(name), bytes).unwrap();
        let output = run(folder.path(), &["--format", "json", name]);
        assert_eq!(stderr(&output), "", "{name}");
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let source = inside.trim_end_matches('!');
        assert_eq!(found["machines"][0]["sources"], json!([source]), "{name}");
        let kind = match name.rsplit_once('.').unwrap().1 {
            "gz" => "gzip",
            "dat" => "zip",
            other => other,
        };
        assert_eq!(found["inputs"][0]["kind"], kind, "{name}");
        let renames = [
            format!("{inside}=folder/"),
            format!("\"{source}\"=\"folder\""),
            format!("\"{name}\"=\"folder\""),
        ];
        let renames: Vec<&str> = renames.iter().map(String::as_str).collect();
        assert_eq!(plain(&found, &renames), expected, "{name}");
    }
    // A single log, compressed, keeps its name.
    let (_, log) = &logs[0];
    fs::write(at("Aad.evtx.gz"), gzip(log)).unwrap();
    let found = report(&[&at("Aad.evtx.gz")]);
    let path = found["machines"][0]["logs"][0]["path"].as_str().unwrap();
    assert!(path.ends_with("/Aad.evtx.gz"), "{path}");
}

#[test]
fn real_zips_give_what_their_folders_give() {
    let Some(logs) = support::required("PRTRACE_TEST_LOGS") else {
        return;
    };
    let zips = PathBuf::from(logs).join("real");
    let folder = tempfile::tempdir().unwrap();
    let mut outer = zip::ZipWriter::new(File::create(folder.path().join("outer.zip")).unwrap());
    for name in file_names(&zips) {
        let bytes = fs::read(zips.join(&name)).unwrap();
        outer
            .start_file(name.as_str(), SimpleFileOptions::default())
            .unwrap();
        outer.write_all(&bytes).unwrap();
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(&bytes)).unwrap();
        let stem = name.strip_suffix(".zip").unwrap();
        archive
            .extract(folder.path().join("real").join(stem))
            .unwrap();
        fs::create_dir_all(folder.path().join("zips")).unwrap();
        fs::write(folder.path().join("zips").join(&name), bytes).unwrap();
    }
    outer.finish().unwrap();
    let names = file_names(&folder.path().join("real"));
    let folders: Vec<String> = names.iter().map(|name| format!("real/{name}")).collect();
    let mut arguments = vec!["--format", "json"];
    arguments.extend(folders.iter().map(String::as_str));
    let json = |arguments: &[&str]| -> Value {
        serde_json::from_slice(&run(folder.path(), arguments).stdout).unwrap()
    };
    let expected = plain(&json(&arguments), &[]);
    assert_eq!(expected["totals"]["logs"], 508);
    assert_eq!(expected["totals"]["records_read"], 202_778);
    assert_eq!(expected["totals"]["events"], 215);
    let renames = ["zips/=real/", "outer.zip!=real/", ".zip!=/", ".zip\"=\""];
    for path in ["zips", "outer.zip"] {
        let found = json(&["--format", "json", path]);
        let mut found = plain(&found, &renames);
        // One path is named here, and each folder there.
        found["inputs"] = expected["inputs"].clone();
        found["problems"] = expected["problems"].clone();
        found["totals"]["problems"] = expected["totals"]["problems"].clone();
        assert!(found == expected, "{path}");
    }
}

#[test]
fn what_a_hostile_archive_holds_costs_a_line_each() {
    let folder = tempfile::tempdir().unwrap();
    let inside = tempfile::tempdir_in(folder.path()).unwrap();
    let at = |name: &str| inside.path().join(name);
    let logs = logs(FAILING);
    let (name, log) = &logs[0];
    // Names that lead out of the archive are names, no more.
    let hostile = [
        "../../evil.evtx",
        "/evil.evtx",
        "C:\\evil.evtx",
        "a\u{1b}[2J\u{0}.evtx",
    ];
    let mut archive = zip::ZipWriter::new(File::create(at("traversal.zip")).unwrap());
    for name in hostile {
        archive
            .start_file(name, SimpleFileOptions::default())
            .unwrap();
        archive.write_all(log).unwrap();
    }
    archive.finish().unwrap();
    // 100 archives inside each other.
    let mut deep = zip(&[(name, log)]);
    for _ in 0..100 {
        deep = zip(&[("deeper.zip", &deep)]);
    }
    fs::write(at("deep.zip"), deep).unwrap();
    // One that ends early, and one that is no archive behind its first bytes.
    let whole = zip(&[(name, log), ("b.evtx", log)]);
    fs::write(at("cut.zip"), &whole[..whole.len() / 2]).unwrap();
    fs::write(at("none.cab"), b"MSCF\0\0\0\0 and nothing else").unwrap();
    fs::write(at("logs.7z"), b"7z\xbc\xaf\x27\x1c and nothing else").unwrap();
    // Nothing of it is a log, but one is beside it.
    fs::write(at("good.evtx"), log).unwrap();

    let before = file_names(inside.path());
    let output = run(inside.path(), &["--format", "json", "."]);
    assert_eq!(stderr(&output), "");
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    // Five copies of one log are one machine with one window.
    assert_eq!(found["totals"]["windows_failed"], 1);
    let problems: Vec<(&str, &str)> = list(&found["problems"])
        .iter()
        .chain(list(&found["machines"][0]["problems"]))
        .map(|problem| {
            let text = |key: &str| problem[key].as_str().unwrap();
            (text("path"), text("kind"))
        })
        .collect();
    let deep = "./deep.zip".to_owned() + &"!deeper.zip".repeat(8);
    for (path, kind) in [
        ("./cut.zip", "truncated"),
        (deep.as_str(), "limit_reached"),
        ("./none.cab", "truncated"),
        ("./logs.7z", "unsupported"),
    ] {
        let count = problems.iter().filter(|of| **of == (path, kind)).count();
        assert_eq!(count, 1, "{path} {kind} in {problems:#?}");
    }
    // Nothing was written, here or above.
    assert_eq!(file_names(inside.path()), before);
    assert_eq!(file_names(folder.path()).len(), 1);
    assert!(!Path::new("/evil.evtx").exists());
    // And no name steers the terminal.
    let output = run(inside.path(), &["--all", "traversal.zip"]);
    assert!(
        output
            .stdout
            .iter()
            .all(|byte| *byte >= 0x20 || *byte == b'\n')
    );
}

#[test]
fn a_limit_that_is_passed_is_named_with_the_option_that_raises_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let logs = logs(FAILING);
    let inner = zip(&members(&logs));
    // Not stored: what is stored in an archive is read where it stands.
    let outer = zip(&[("a/x.zip", &inner), ("b/x.zip", &inner)]);
    fs::write(at("outer.zip"), &outer).unwrap();
    fs::write(at("good.evtx"), &logs[0].1).unwrap();
    for (limit, named) in [
        (
            ["--max-members", "2"],
            "it holds more than 2 members: unpack it first, or raise --max-members if you trust it",
        ),
        (
            ["--max-members", "1"],
            "it holds more than 1 member: unpack it first, or raise --max-members if you trust it",
        ),
        (
            ["--max-bytes", "2K"],
            "it unpacks to more than 2 KiB: unpack it first, or raise --max-bytes if you trust it",
        ),
        (
            ["--max-depth", "1"],
            "an archive inside 1 other, which is not read: unpack it first, or raise --max-depth",
        ),
        (
            ["--max-nested", "1"],
            "a nested archive larger than 1 byte: unpack it first, or raise --max-nested",
        ),
    ] {
        let mut arguments = vec!["--format", "json", "outer.zip", "good.evtx"];
        arguments.extend(limit);
        let output = run(folder.path(), &arguments);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let problems = list(&found["problems"]);
        assert!(!problems.is_empty(), "{limit:?}");
        for problem in problems {
            assert_eq!(problem["kind"], "limit_reached");
            let detail = problem["detail"].as_str().unwrap();
            assert_eq!(detail, named);
        }
        // The rest is reported.
        assert_eq!(found["totals"]["logs"], 1, "{limit:?}");
    }
}

/// Threads may meet either cap first.
#[test]
fn of_two_caps_that_are_passed_the_same_one_is_named_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let logs = logs(FAILING);
    let inner = zip(&members(&logs));
    let names: Vec<String> = (0..12).map(|number| format!("{number}.zip")).collect();
    let nested = names.iter().map(|name| (name.as_str(), inner.as_slice()));
    fs::write(
        folder.path().join("outer.zip"),
        zip(&nested.collect::<Vec<_>>()),
    )
    .unwrap();
    fs::write(folder.path().join("good.evtx"), &logs[0].1).unwrap();
    let with = |threads: &str| {
        let arguments = [
            "--format",
            "json",
            "outer.zip",
            "good.evtx",
            "--threads",
            threads,
        ];
        let caps = ["--max-members", "20", "--max-bytes", "500K"];
        run(folder.path(), &[&arguments[..], &caps].concat()).stdout
    };
    let expected = with("1");
    let found: Value = serde_json::from_slice(&expected).unwrap();
    let [problem] = list(&found["problems"]) else {
        panic!("{:#?}", found["problems"]);
    };
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("raise --max-"), "{detail}");
    for _ in 0..10 {
        assert!(with("8") == expected);
    }
}

#[test]
fn members_that_need_a_password_are_told_together() {
    let folder = tempfile::tempdir().unwrap();
    let logs = logs(FAILING);
    let names: Vec<String> = (0..5).map(|number| format!("{number}.evtx")).collect();
    let members: Vec<(&str, &[u8])> = names
        .iter()
        .map(|name| (name.as_str(), logs[0].1.as_slice()))
        .collect();
    let mut bytes = zip(&members);
    // The flag says so in front of each member and in the directory.
    for (magic, flags) in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)] {
        for at in memchr::memmem::find_iter(&bytes.clone(), magic) {
            bytes[at + flags] |= 1;
        }
    }
    fs::write(folder.path().join("locked.zip"), bytes).unwrap();
    fs::write(folder.path().join("good.evtx"), &logs[0].1).unwrap();
    let found = run(folder.path(), &["--format", "json", "."]);
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    let [problem] = list(&found["problems"]) else {
        panic!("{:#?}", found["problems"]);
    };
    assert_eq!(problem["kind"], "encrypted");
    assert_eq!(problem["path"], "./locked.zip");
    assert_eq!(
        problem["detail"],
        "5 members, 0.evtx the first: encrypted: unpack it with its password and name the folder"
    );
}

/// The names of the machines and the inputs they were found in.
fn machines(report: &Value) -> Vec<(String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    list(&report["machines"])
        .iter()
        .map(|machine| {
            let sources = list(&machine["sources"]).iter();
            let base = |path: String| path.rsplit('/').next().unwrap().to_owned();
            (
                text(&machine["name"]),
                sources.map(|source| base(text(source))).collect(),
            )
        })
        .collect()
}

fn named(name: &str, sources: &[&str]) -> (String, Vec<String>) {
    let sources = sources.iter().map(|source| (*source).to_owned());
    (name.to_owned(), sources.collect())
}

/// Bundles of the scenarios, as zips in a folder.
fn bundles(scenarios: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, scenario) in scenarios {
        let logs = logs(scenario);
        fs::write(folder.path().join(name), zip(&members(&logs))).unwrap();
    }
    folder
}

#[test]
fn a_machine_in_several_bundles_is_one_unless_they_are_to_be_kept_apart() {
    let later = FAILING
        .replace("08:", "09:")
        .replace(" 1006", " 1006 @record=900");
    let later = later
        .replace(" 1081", " 1081 @record=901")
        .replace(" 1007", " 1007 @record=902");
    let folder = bundles(&[("monday.zip", FAILING), ("tuesday.zip", &later)]);
    let found = report(&[folder.path()]);
    let both = ["monday.zip", "tuesday.zip"];
    assert_eq!(machines(&found), [named("PC-1.contoso.com", &both)]);
    assert_eq!(found["totals"]["windows_failed"], 2);

    let output = run(
        folder.path(),
        &["--separate-bundles", "--format", "json", "."],
    );
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        machines(&found),
        [
            named("PC-1.contoso.com", &both[..1]),
            named("PC-1.contoso.com", &both[1..]),
        ]
    );
}

#[test]
fn machines_of_one_name_stay_apart_if_their_logs_contradict_each_other() {
    // The same record numbers at other times: two computers of one name.
    let other = FAILING.replace("08:", "09:");
    let folder = bundles(&[
        ("a.zip", FAILING),
        ("b.zip", &other),
        // Another copy of the first, to which it belongs.
        ("c.zip", FAILING),
    ]);
    assert_eq!(
        machines(&report(&[folder.path()])),
        [
            named("PC-1.contoso.com", &["a.zip", "c.zip"]),
            named("PC-1.contoso.com", &["b.zip"]),
        ]
    );

    // And text says which is which.
    let text = run(folder.path(), &["a.zip", "b.zip"]);
    let text = String::from_utf8(text.stdout).unwrap();
    for name in ["PC-1.contoso.com (a.zip): ", "PC-1.contoso.com (b.zip): "] {
        assert!(text.contains(name), "{text}");
    }

    // Other devices, as their events say, whatever the record numbers.
    let device = |hour: u32, id: &str| {
        format!(
            "computer DESKTOP-7QX12AB\n{hour:02}:00:00 250 @record={hour} Attribute=name \
             TenantId=11111111-2222-3333-4444-555555555555 DeviceId={id}\n"
        )
    };
    let first = "aaaaaaaa-0000-4000-8000-000000000001";
    let second = "aaaaaaaa-0000-4000-8000-000000000002";
    let folder = bundles(&[
        ("a.zip", &device(8, first)),
        ("b.zip", &device(9, second)),
        ("c.zip", &device(10, first)),
    ]);
    assert_eq!(
        machines(&report(&[folder.path()])),
        [
            named("DESKTOP-7QX12AB", &["a.zip", "c.zip"]),
            named("DESKTOP-7QX12AB", &["b.zip"]),
        ]
    );
    // As folders of one folder, too.
    let pile = tempfile::tempdir().unwrap();
    scenario::write_to(&device(8, first), &pile.path().join("a")).unwrap();
    scenario::write_to(&device(9, second), &pile.path().join("b")).unwrap();
    assert_eq!(machines(&report(&[pile.path()])).len(), 2);
    // An archive is one bundle: there the device was registered anew.
    let (before, after) = (logs(&device(8, first)), logs(&device(9, second)));
    let (before, after) = (&before[0].1, &after[0].1);
    let one = zip(&[("before/x.evtx", before), ("after/x.evtx", after)]);
    fs::write(pile.path().join("../one.zip"), &one).unwrap();
    let found = report(&[&pile.path().join("../one.zip")]);
    fs::remove_file(pile.path().join("../one.zip")).unwrap();
    assert_eq!(machines(&found).len(), 1);
    for named in [".", "./", "a", "a/"] {
        let found = run(pile.path(), &["--format", "json", named]);
        let found: Value = serde_json::from_slice(&found.stdout).unwrap();
        let machines = machines(&found).len();
        assert_eq!(
            machines,
            if named.starts_with('a') { 1 } else { 2 },
            "{named}"
        );
    }
}

#[test]
fn a_name_that_the_records_lost_comes_from_the_rest_of_the_bundle() {
    let nameless: Vec<(String, Vec<u8>)> = {
        let mut logs = Vec::new();
        for (name, mut records) in scenario::records(FAILING).unwrap() {
            for record in &mut records {
                record.computer.clear();
            }
            let bytes = support::evtx::write_log(&records).unwrap();
            logs.push((format!("authlogs/{name}"), bytes));
        }
        logs
    };
    let utf16 = |text: &str| {
        let units = text.encode_utf16().flat_map(u16::to_le_bytes);
        [0xff, 0xfe].into_iter().chain(units).collect::<Vec<u8>>()
    };
    let build = b"PC-042 Windows 11 Client Version:10.0 24H2 Build:26100.1\r\n".to_vec();
    let env = utf16("ALLUSERSPROFILE=C:\\ProgramData\r\nCOMPUTERNAME=PC-042\r\n");
    let status = b"|  Device State |\r\n   Device Name : PC-042.contoso.com\r\n".to_vec();
    let client = br#"{"Hostname": "PC-042", "os": "windows"}"#.to_vec();
    for (zip_name, text, expected) in [
        ("logs.zip", Some(("authlogs/Build.txt", build)), "PC-042"),
        ("logs.zip", Some(("authlogs/Env.txt", env)), "PC-042"),
        (
            "logs.zip",
            Some(("authlogs/PreTraceLogs/DsRegCmdStatus.txt", status)),
            "PC-042.contoso.com",
        ),
        ("logs.zip", Some(("client_info.json", client)), "PC-042"),
        (
            "logs.zip",
            Some(("DeviceHash_PC-042.csv", Vec::new())),
            "PC-042",
        ),
        ("TSS_PC-042_240215-091200_ADS_Auth.zip", None, "PC-042"),
        ("DiagLogs-PC-042-20260114T101500Z.zip", None, "PC-042"),
        ("Collection-PC-042-2026-01-14T10_15_00Z.zip", None, "PC-042"),
        (
            "PC-042_CollectedData_01_14_2026_10_15_UTC+1.ZIP",
            None,
            "PC-042",
        ),
        ("PC-042-C.1352adc54e292a23-F.ABC.zip", None, "PC-042"),
        // Nothing says it.
        ("logs.zip", None, "(name lost)"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut members = members(&nameless);
        if let Some((name, bytes)) = &text {
            members.push((name, bytes));
        }
        let path = folder.path().join(zip_name);
        fs::write(&path, zip(&members)).unwrap();
        let found = report(&[&path]);
        assert_eq!(
            found["machines"][0]["name"], expected,
            "{zip_name} {text:?}"
        );
        let lost = list(&found["machines"][0]["problems"]).iter();
        let lost = lost.filter(|problem| problem["kind"] == "name_lost");
        let said = expected != "(name lost)";
        assert_eq!(lost.count() > 0, said, "{zip_name}");
    }
}

#[test]
fn paths_come_from_lists_and_from_patterns_that_the_shell_left_alone() {
    let folder = bundles(&[("a.zip", FAILING), ("b c.zip", FAILING)]);
    fs::write(folder.path().join("list.txt"), "a.zip\r\nb c.zip\r\n").unwrap();
    let expected = run(folder.path(), &["--format", "json", "a.zip", "b c.zip"]);
    assert_eq!(expected.status.code(), Some(1));
    for arguments in [
        &["--files-from", "list.txt"][..],
        &["*.zip"],
        &["?.zip", "b c.zip"],
    ] {
        let arguments = [&["--format", "json"], arguments].concat();
        let output = run(folder.path(), &arguments);
        assert!(output.stdout == expected.stdout, "{arguments:?}");
        assert_eq!(stderr(&output), "");
    }
    // A pattern that finds nothing is a path that is not there.
    let output = run(folder.path(), &["*.7z"]);
    assert_eq!(
        stderr(&output),
        "prtrace: *.7z: no such file or directory: check the path\n"
    );
    let output = run(folder.path(), &["-"]);
    assert!(stderr(&output).starts_with("prtrace: -: logs are not read from standard input: "));
    let output = run(folder.path(), &["--files-from", "missing.txt"]);
    assert_eq!(
        stderr(&output),
        "prtrace: missing.txt: cannot read the list of paths: no such file or directory\n"
    );
    fs::write(folder.path().join("empty.txt"), "\n").unwrap();
    let output = run(folder.path(), &["--files-from", "empty.txt"]);
    assert_eq!(
        stderr(&output),
        "prtrace: empty.txt: the list has no path in it: write one path per line\n"
    );
}

#[test]
fn each_input_can_be_accounted_for() {
    let folder = bundles(&[("a.zip", FAILING), ("b.zip", FAILING)]);
    let output = run(folder.path(), &["-v", "a.zip", "b.zip"]);
    let lines: Vec<&str> = stderr(&output).lines().collect();
    assert_eq!(lines.len(), 3);
    // Two logs of one chunk each, three records of ours.
    for (line, name) in lines.iter().zip(["a.zip", "b.zip"]) {
        let start = format!("{name}: 2 logs, 136.00 KiB, 3 records (3 of ours), 0 other files, ");
        assert!(line.starts_with(&start), "{line}");
    }
    assert!(lines[2].starts_with("read 4 logs, 272.00 KiB in "));
    // One of everything.
    let (_, log) = &logs(FAILING)[0];
    fs::write(folder.path().join("one.evtx"), log).unwrap();
    fs::create_dir(folder.path().join("one")).unwrap();
    fs::write(folder.path().join("one/one.evtx"), log).unwrap();
    fs::write(folder.path().join("one/notes.txt"), "x").unwrap();
    let output = run(folder.path(), &["-v", "one"]);
    let lines: Vec<&str> = stderr(&output).lines().collect();
    assert!(lines[0].starts_with("one: 1 log, 68.00 KiB, "), "{lines:?}");
    assert!(lines[0].contains(", 1 other file, "), "{lines:?}");
    assert!(lines[1].starts_with("read 1 log, "), "{lines:?}");
}

#[test]
fn a_token_that_a_collector_picked_up_is_not_even_opened() {
    let folder = tempfile::tempdir().unwrap();
    scenario::write_to(FAILING, folder.path()).unwrap();
    let secret = folder.path().join("AzureVMAccessToken.txt");
    // It would be read as a log if it were.
    fs::copy(folder.path().join("Aad_Analytic.evtx"), &secret).unwrap();
    let found = report(&[folder.path()]);
    assert_eq!(found["totals"]["logs"], 2);
    assert_eq!(found["totals"]["other_files"], 1);
}

/// What the machines' problems of a kind say, by machine.
fn told(report: &Value, kind: &str) -> Vec<Vec<String>> {
    let of_kind = |problem: &&Value| problem["kind"] == kind;
    let detail = |problem: &Value| problem["detail"].as_str().unwrap().to_owned();
    list(&report["machines"])
        .iter()
        .map(|machine| {
            list(&machine["problems"])
                .iter()
                .filter(of_kind)
                .map(detail)
                .collect()
        })
        .collect()
}

#[test]
fn what_fits_several_computers_of_one_name_is_kept_apart_and_says_so() {
    let analytic = "computer PC-1.contoso.com\n12:00:00 1006 @record=1\n12:00:01 1007 Status=0\n";
    let folder = bundles(&[
        ("a.zip", FAILING),
        ("b.zip", &FAILING.replace("08:", "09:")),
        // Its analytic log proves nothing, and it has no other.
        ("c.zip", analytic),
    ]);
    let found = report(&[folder.path()]);
    assert_eq!(
        machines(&found),
        [
            named("PC-1.contoso.com", &["a.zip"]),
            named("PC-1.contoso.com", &["b.zip"]),
            named("PC-1.contoso.com", &["c.zip"]),
        ]
    );
    let told = told(&found, "same_name");
    assert!(told[0][0].contains("contradict") && told[1][0].contains("contradict"));
    assert!(told[2][0].contains("nothing tells which of them this is"));
}

#[test]
fn a_rename_in_one_bundle_does_not_rename_another_computer() {
    let renamed = "computer WIN-OLD1\n08:00:00 1016 @record=1\n\
        computer PC-A.contoso.com\n08:01:00 1016\n";
    let not = "computer WIN-OLD1\n09:00:00 1016 @record=1\n";
    let folder = bundles(&[("a.zip", renamed), ("b.zip", not)]);
    // 1016 is in the analytic channel, of which record numbers prove nothing: one machine.
    assert_eq!(
        machines(&report(&[folder.path()])),
        [named("PC-A.contoso.com", &["a.zip", "b.zip"])]
    );
    let output = run(
        folder.path(),
        &["--separate-bundles", "--format", "json", "."],
    );
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        machines(&found),
        [
            named("PC-A.contoso.com", &["a.zip"]),
            named("WIN-OLD1", &["b.zip"]),
        ]
    );
}

#[test]
fn a_log_that_has_nothing_of_a_name_between_two_others_splits_no_machine() {
    let text = "computer WIN-AN5\n08:00:00 1104 API=x Result=0xC00484B2\n08:00:00 304 ExitCode=1\n\
        computer DESKTOP-23\n09:00:00 1104 API=x Result=0xC00484B2\n\
        computer DESKTOP-23.contoso.com\n10:00:00 1104 API=x Result=0xC00484B2\n\
        10:00:00 304 ExitCode=1\n";
    let folder = bundles(&[("a.zip", text)]);
    assert_eq!(
        machines(&report(&[folder.path()])),
        [named("DESKTOP-23.contoso.com", &["a.zip"])]
    );
}

/// The logs of the failing machine, whose records have lost its name.
fn nameless() -> Vec<(String, Vec<u8>)> {
    let records = scenario::records(FAILING).unwrap().into_iter();
    records
        .map(|(name, mut records)| {
            records
                .iter_mut()
                .for_each(|record| record.computer.clear());
            let bytes = support::evtx::write_log(&records).unwrap();
            (format!("authlogs/{name}"), bytes)
        })
        .collect()
}

#[test]
fn a_lost_name_is_not_a_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let other = FAILING.replace("PC-1", "PC-B").replace("08:", "09:");
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("zips")).unwrap();
    let nameless = nameless();
    fs::write(
        at("zips/TSS_PC-A_240215-091200_ADS_Auth.zip"),
        zip(&members(&nameless)),
    )
    .unwrap();
    fs::write(at("zips/b.zip"), zip(&members(&logs(&other)))).unwrap();
    let names = |report: &Value| {
        let mut names: Vec<String> = machines(report).into_iter().map(|of| of.0).collect();
        names.sort();
        names
    };
    let expected = ["PC-A", "PC-B.contoso.com"];
    assert_eq!(names(&report(&[&at("zips")])), expected);
    // The same as folders of one folder, and as zips in a zip.
    for (name, bytes) in &nameless {
        let path = at("folders/TSS_PC-A_240215-091200_ADS_Auth").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    scenario::write_to(&other, &at("folders/b")).unwrap();
    assert_eq!(names(&report(&[&at("folders")])), expected);
    let inner = |name: &str| fs::read(at("zips").join(name)).unwrap();
    let tss = "TSS_PC-A_240215-091200_ADS_Auth.zip";
    let outer = zip(&[(tss, &inner(tss)), ("b.zip", &inner("b.zip"))]);
    fs::write(at("outer.zip"), outer).unwrap();
    assert_eq!(names(&report(&[&at("outer.zip")])), expected);
}

/// A nested archive finds no memory beside the one that it lies in, so its file is read again alone.
#[test]
fn an_archive_that_is_read_again_counts_once_in_the_progress() {
    use prtrace::{machine, scan};
    let folder = tempfile::tempdir().unwrap();
    let logs = logs(FAILING);
    // Packed, so that both must be held.
    let deflated = |members: &[(&str, &[u8])]| {
        let options = SimpleFileOptions::default();
        let options = options.compression_method(zip::CompressionMethod::Deflated);
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, bytes) in members {
            zip.start_file(*name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    };
    let inner = zip(&members(&logs));
    let middle = deflated(&[("inner.zip", &inner)]);
    let outer: Vec<(&str, &[u8])> = [members(&logs), vec![("middle.zip", &middle)]].concat();
    let path = folder.path().join("outer.zip");
    fs::write(&path, deflated(&outer)).unwrap();
    for (nested, problems) in [(1 << 20, 0), (inner.len() as u64, 1)] {
        let limits = prtrace::input::archive::Limits {
            nested,
            ..Default::default()
        };
        let options = scan::Options::default().threads(2).limits(limits);
        let progress = scan::Progress::default();
        let paths = std::slice::from_ref(&path);
        let scan = machine::scan_watched(paths, options, &progress).unwrap();
        assert_eq!(scan.problems.len(), problems);
        assert_eq!(progress.files.into_inner(), 1);
        assert_eq!(progress.logs.into_inner(), scan.logs);
        assert!(progress.bytes.into_inner() <= fs::metadata(&path).unwrap().len());
    }
}

#[test]
fn a_lost_name_is_not_the_archives_where_a_folder_is_nearer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("SRV.tar");
    for (within, expected) in [
        ("Ünlü/Windows/System32/winevt/Logs", "(name lost)"),
        ("Ünlü/C/Windows/System32/winevt/Logs", "Ünlü"),
        ("C/Windows/System32/winevt/Logs", "SRV"),
    ] {
        let logs = nameless().into_iter();
        let logs: Vec<_> = logs
            .map(|(name, bytes)| (name.replace("authlogs", within), bytes))
            .collect();
        fs::write(&path, tar(&members(&logs))).unwrap();
        let found = report(&[&path]);
        assert_eq!(found["machines"][0]["name"], expected, "{within}");
    }
}

#[test]
fn threads_change_nothing_about_archives_texts_and_lost_names() {
    let folder = tempfile::tempdir().unwrap();
    let nameless = nameless();
    let mut inner = Vec::new();
    for number in 0..24 {
        // Two texts that are as sure of it, and spell it in two ways.
        let name = format!("PC-H{number:03}");
        let set = format!("COMPUTERNAME={name}\r\n");
        let env = format!("COMPUTERNAME={}\r\n", name.to_lowercase());
        let mut members = members(&nameless);
        members.push(("set.txt", set.as_bytes()));
        members.push(("Env.txt", env.as_bytes()));
        let bytes = zip(&members);
        inner.push((format!("{number}.zip"), zip(&[("in.zip", &bytes)])));
    }
    fs::write(folder.path().join("outer.zip"), zip(&members(&inner))).unwrap();
    let with = |threads: &str, nested: &str| {
        let output = run(
            folder.path(),
            &[
                "--format",
                "jsonl",
                "--threads",
                threads,
                "--max-nested",
                nested,
                ".",
            ],
        );
        String::from_utf8(output.stdout).unwrap()
    };
    // Room for all, for a few at a time, and for none.
    for nested in ["512M", "20K", "100"] {
        let expected = with("1", nested);
        assert!(expected.lines().count() > 0 || nested == "100");
        for threads in ["2", "4", "8"] {
            assert!(
                with(threads, nested) == expected,
                "{threads} threads, {nested}"
            );
        }
    }
    assert_eq!(with("2", "512M").lines().count(), 24 + 1);
}

#[test]
fn a_log_full_of_damage_costs_a_bounded_number_of_lines() {
    // The smallest records there can be, with a byte of garbage behind each, up to the end.
    let mut log = logs(FAILING).remove(0).1;
    let chunk = 4096;
    let record: Vec<u8> = [
        b"**\0\0".as_slice(),
        &28_u32.to_le_bytes(),
        &[0; 16],
        &28_u32.to_le_bytes(),
    ]
    .concat();
    log[chunk + 48..chunk + 52].copy_from_slice(&65536_u32.to_le_bytes());
    let mut at = chunk + 512;
    while at + 29 < chunk + 65536 {
        log[at..at + 28].copy_from_slice(&record);
        log[at + 28] = 0xff;
        at += 29;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gaps.evtx");
    fs::write(&path, &log).unwrap();
    let found = report(&[&path]);
    let problems = list(&found["problems"]);
    let of_kind = |kind: &str| problems.iter().filter(|of| of["kind"] == kind).count();
    // A hundred of them, and a line for the others.
    assert_eq!(of_kind("damaged_records"), 101);
    assert!(problems.len() < 400, "{}", problems.len());
    // Nothing of them is lost: each gap is one byte, and there are (65536 - 512) / 29 of them.
    let lost = problems.iter().filter(|of| of["kind"] == "damaged_records");
    let lost: u64 = lost.map(|of| of["lost_bytes"].as_u64().unwrap()).sum();
    assert!((2240..=2280).contains(&lost), "{lost}");
}
