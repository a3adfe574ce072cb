//! Archives that are made to fill the memory, the report or the day: each costs a bounded number of
//! lines, whatever stands beside it is reported, and nothing is written.

#[path = "support/archive.rs"]
mod archive;
#[path = "support/program.rs"]
mod program;
mod support;

use archive::{member, stored, zip};
use program::prtrace;
use prtrace::input::archive::{Budget, Bytes, Limits, RefusalKind, zip::Zip};
use serde_json::{Value, json};
use std::fs;
use std::process::Output;
use support::{file_names, scenario};

const FAILING: &str = "computer PC-2.contoso.com\n08:00:00 1006\n08:00:01 1007 Status=0xC000006D\n";

/// A folder with these archives and a log, and beside it one for what is temporary.
struct Folder {
    folder: tempfile::TempDir,
    names: Vec<String>,
}

impl Folder {
    fn of(archives: &[(&str, &[u8])]) -> Folder {
        let folder = tempfile::tempdir().unwrap();
        let logs = scenario::logs(FAILING).unwrap();
        fs::create_dir(folder.path().join("temporary")).unwrap();
        let within = folder.path().join("in");
        fs::create_dir(&within).unwrap();
        fs::write(within.join("good.evtx"), logs.values().next().unwrap()).unwrap();
        for (name, bytes) in archives {
            fs::write(within.join(name), bytes).unwrap();
        }
        let names = file_names(&within);
        Folder { folder, names }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let path = self.folder.path();
        let mut command = prtrace();
        for variable in ["TMPDIR", "TEMP", "TMP"] {
            command.env(variable, path.join("temporary"));
        }
        command.current_dir(path.join("in")).args(arguments);
        command.output().unwrap()
    }

    /// What the program prints in this format, whatever the number of threads. The log's failure is
    /// in it, and nothing was written.
    fn printed(&self, format: &str, more: &[&str]) -> String {
        let arguments = [&["--format", format, "."], more].concat();
        let [one, four] = ["1", "4"].map(|threads| {
            let output = self.run(&[&["--threads", threads], arguments.as_slice()].concat());
            assert_eq!(str::from_utf8(&output.stderr), Ok(""));
            assert_eq!(output.status.code(), Some(1), "a window failed");
            String::from_utf8(output.stdout).unwrap()
        });
        assert!(one == four, "{format}: it depends on the threads");
        assert_eq!(file_names(&self.folder.path().join("in")), self.names);
        let temporary = self.folder.path().join("temporary");
        assert_eq!(file_names(&temporary), Vec::<String>::new());
        one
    }

    /// Path, kind and lost bytes of every problem, and the words of the first.
    fn problems(&self, more: &[&str]) -> (Vec<Value>, String) {
        let text = self.printed("json", more);
        let report: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(report["totals"]["logs"], 1);
        assert_eq!(report["totals"]["windows_failed"], 1);
        let problems = report["problems"].as_array().unwrap();
        let first = problems.first().map(|problem| &problem["detail"]);
        let first = first.and_then(Value::as_str).unwrap_or_default();
        let brief =
            |problem: &Value| json!([problem["path"], problem["kind"], problem["lost_bytes"]]);
        (problems.iter().map(brief).collect(), first.to_owned())
    }
}

/// A member of this many MiB of zeros, whose checksum nobody comes to see.
fn bomb(mebibytes: usize) -> archive::Member {
    let mut bomb = archive::zeros("zeros.evtx", 1);
    // A block of one MiB that ends at a byte, again and again, and an empty last one.
    bomb.packed.truncate(bomb.packed.len() - 2);
    bomb.packed = bomb.packed.repeat(mebibytes);
    bomb.packed.extend([3, 0]);
    bomb.packed_size = bomb.packed.len() as u64;
    bomb.size = (mebibytes as u64) << 20;
    bomb.large = true;
    bomb
}

/// An archive without members whose directory names this many, by their numbers, each of 5 bytes.
fn named_only(count: usize) -> Vec<u8> {
    let mut gone = member("000000", b"gone!");
    gone.at = Some(0x7fff_ffff);
    let mut parts = archive::zip_parts(&[gone]);
    let mut header = parts.bytes[parts.directory..parts.end].to_vec();
    parts.bytes.truncate(parts.directory);
    // The name is the last in a header without extra fields.
    let name = header.len() - 6;
    for number in 0..count {
        header[name..].copy_from_slice(format!("{number:06}").as_bytes());
        parts.bytes.extend(&header);
    }
    let size = header.len() * count;
    let start = parts.directory as u64;
    archive::large_end(&mut parts.bytes, count as u64, size as u64, start);
    parts.bytes
}

#[test]
fn a_bomb_is_one_line() {
    let bytes = zip(&[bomb(4096)]);
    assert!(bytes.len() < 5 << 20);
    let (problems, detail) = Folder::of(&[("bomb.zip", &bytes)]).problems(&[]);
    let expected = json!(["./bomb.zip!zeros.evtx", "limit_reached", 4_u64 << 30]);
    assert_eq!(problems, [expected]);
    assert!(detail.contains("--max-ratio"), "{detail}");
}

#[test]
fn bombs_in_archives_in_archives_are_a_line_each() {
    let mut bytes = zip(&[bomb(65)]);
    for _ in 0..2 {
        let four = ["0.zip", "1.zip", "2.zip", "3.zip"];
        bytes = zip(&four.map(|name| member(name, &bytes)));
    }
    let (problems, detail) = Folder::of(&[("bomb.zip", &bytes)]).problems(&[]);
    let mut expected = Vec::new();
    for outer in 0..4 {
        for inner in 0..4 {
            let path = format!("./bomb.zip!{outer}.zip!{inner}.zip!zeros.evtx");
            expected.push(json!([path, "limit_reached", 65 << 20]));
        }
    }
    assert_eq!(problems, expected);
    assert!(detail.contains("--max-ratio"), "{detail}");
}

#[test]
fn a_claim_that_deflate_cannot_keep_is_not_followed() {
    let mut liar = stored("liar.evtx", &vec![7; 1 << 20]);
    liar.method = 8;
    liar.size = 4 << 30;
    liar.large = true;
    let bytes = zip(&[liar]);
    let (problems, detail) = Folder::of(&[("liar.zip", &bytes)]).problems(&[]);
    // A byte gives 1032 at most: more cannot be lost.
    let expected = json!(["./liar.zip!liar.evtx", "damaged_archive", 1032_u64 << 20]);
    assert_eq!(problems, [expected]);
    assert!(detail.contains("do not trust it"), "{detail}");
}

#[test]
fn nesting_is_followed_as_deep_as_it_may_go() {
    let mut bytes = zip(&[member("deepest.txt", b"nothing")]);
    for _ in 0..100 {
        bytes = zip(&[member("in.zip", &bytes)]);
    }
    let folder = Folder::of(&[("deep.zip", &bytes)]);
    for (more, depth) in [(&[][..], 8), (&["--max-depth", "64"], 64)] {
        let (problems, detail) = folder.problems(more);
        let path = format!("./deep.zip{}", "!in.zip".repeat(depth));
        assert_eq!(problems, [json!([path, "limit_reached", 0])]);
        assert!(detail.contains("--max-depth"), "{detail}");
    }
}

#[test]
fn of_members_that_are_refused_a_hundred_are_listed() {
    let bytes = named_only(200_000);
    let folder = Folder::of(&[("many.zip", &bytes)]);
    // Each of the 200 000 would have given 5 bytes.
    let json = folder.printed("json", &[]);
    // Once as a problem, once as an input that gave nothing.
    assert!(json.len() < 96 * 1024, "{}", json.len());
    let (problems, detail) = folder.problems(&[]);
    let (rest, listed) = problems.split_first().unwrap();
    assert_eq!(*rest, json!(["./many.zip", "truncated", 5 * 199_900]));
    assert!(detail.starts_with("and 199900 more: "), "{detail}");
    let first: Vec<Value> = (0..100)
        .map(|number| json!([format!("./many.zip!{number:06}"), "truncated", 5]))
        .collect();
    assert_eq!(listed, first);

    // 101 are more than are listed in the text: one line for the kind, three for each of three
    // examples at most, one for the others.
    let text = folder.printed("text", &[]);
    assert!(text.len() < 4096, "{}", text.len());
    let (_, problems) = text.split_once("\nProblems: ").unwrap();
    let (problems, _) = problems.split_once("\n\n").unwrap();
    assert!(problems.starts_with("101\n  truncated: 101 (1,000,000 bytes lost)\n    ./many.zip: "));
    assert!(problems.ends_with("\n    and 98 more: --format json has all"));
    assert!(problems.lines().count() <= 2 + 3 * 3 + 1);
}

#[test]
fn each_limit_is_named_where_it_is_passed_and_can_be_raised() {
    let inner = zip(&[stored("a.txt", &[b'a'; 100_000]), member("b.txt", b"b")]);
    let files = zip(&[member("c.txt", b"c"), member("in.zip", &inner)]);
    // Right but for its checksum, which stands at its end.
    let bombs = zip(&[bomb(65)]);
    for (bytes, option, low, high) in [
        (&files, "--max-members", "3", "4"),
        // The archive in it comes to some 100 000 bytes, and what is in that is looked into.
        (&files, "--max-bytes", "64K", "128K"),
        (&files, "--max-depth", "1", "2"),
        (&files, "--max-nested", "64K", "128K"),
        (&bombs, "--max-ratio", "1000", "2000"),
    ] {
        let folder = Folder::of(&[("a.zip", bytes)]);
        let (problems, detail) = folder.problems(&[option, low]);
        assert_eq!(problems.len(), 1, "{option}: {problems:?}");
        assert_eq!(problems[0][1], "limit_reached", "{option}");
        assert!(detail.contains(option), "{option}: {detail}");
        // There is no log in it, and that is all.
        let (problems, _) = folder.problems(&[option, high]);
        let mut kinds = problems.iter().map(|problem| &problem[1]);
        let nothing = |kind: &Value| kind == "no_evidence" || kind == "not_a_log";
        assert!(kinds.all(nothing), "{option}");
    }
}

#[test]
fn a_budget_counts_what_a_directory_names_whether_it_is_read_or_not() {
    let limits = Limits {
        members: 1000,
        ..Limits::default()
    };
    let refused: Bytes = named_only(400).into();
    let budget = Budget::new(limits, refused.size());
    for _ in 0..2 {
        let zip = Zip::open(refused.clone(), &budget).unwrap();
        assert_eq!(zip.parts(), 1);
        let refusals = zip.read_part(0, &budget, &mut |_| panic!("none is there"));
        assert_eq!(refusals.len(), 101);
    }
    assert!(!budget.exhausted());
    let refusal = Zip::open(refused, &budget).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Limit);
    assert!(budget.exhausted());

    // Those that are read count once, and folders with them.
    let mut members = vec![stored("folder/", b"")];
    members.extend((0..399).map(|number| stored(&number.to_string(), b"x")));
    let sound: Bytes = zip(&members).into();
    let budget = Budget::new(limits, sound.size());
    let archive = Zip::open(sound, &budget).unwrap();
    let mut count = 0;
    for part in 0..archive.parts() {
        let refusals = archive.read_part(part, &budget, &mut |_| count += 1);
        assert_eq!(refusals, []);
    }
    assert_eq!(count, 399);
    assert!((0..600).all(|_| budget.take_member()));
    assert!(!budget.take_member());
}

#[test]
fn runs_of_many_members_are_read_in_order_and_refuse_few() {
    let eight_bytes = stored("x", &[0; 8]);
    let members: Vec<_> = (0..20_480_u64)
        .map(|number| {
            let mut member = eight_bytes.clone();
            member.packed = number.to_le_bytes().to_vec();
            member.crc = crc32fast::hash(&member.packed) ^ u32::from(number >= 10_240);
            member
        })
        .collect();
    let mut parts = archive::zip_parts(&members);
    parts.bytes.truncate(parts.end);
    let size = parts.end - parts.directory;
    archive::large_end(
        &mut parts.bytes,
        20_480,
        size as u64,
        parts.directory as u64,
    );
    let bytes: Bytes = parts.bytes.into();
    let budget = Budget::new(Limits::default(), bytes.size());
    let archive = Zip::open(bytes, &budget).unwrap();
    // Five members each.
    assert_eq!(archive.parts(), 4096);
    let mut next = 0_u64;
    for part in 0..4096 {
        let refusals = archive.read_part(part, &budget, &mut |member| {
            let mut bytes = Vec::new();
            let _ = member.reader.read_to_end(&mut bytes);
            assert_eq!(bytes, next.to_le_bytes());
            next += 1;
        });
        let details: Vec<_> = refusals.iter().map(|refusal| &refusal.detail).collect();
        match part {
            0..2048 => assert_eq!(refusals, []),
            _ => assert!(refusals.len() == 4 && details[3].starts_with("and 2 more: ")),
        }
        let checksum = |kind| kind == RefusalKind::Checksum;
        assert!(refusals.iter().all(|refusal| checksum(refusal.kind)));
    }
    assert_eq!(next, 20_480);
}
