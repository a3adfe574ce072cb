//! What a collector's bundle says of the machine that it was collected on, beside its logs: asked
//! only where records have lost the computer's name.
//!
//! The texts are told by their names, since nothing in them says what they are.

use crate::base::encoding::decode;
use crate::base::identity::folded;
use crate::base::problem::{Problem, ProblemKind};
use crate::base::terminal::is_unsafe;
use crate::event::batch::Batch;
use crate::event::{Event, Header, Headers};
use crate::scan::Log;
use std::collections::BTreeMap;
use std::sync::Arc;

/// As much of a text as is looked at.
pub(crate) const TEXT: usize = 0x1_0000;

/// What texts beside the logs say of the computers that they are from: of each unit the surest.
#[derive(Debug, Default)]
pub(crate) struct Hints(BTreeMap<String, Hint>);

/// A computer's name, and what says so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Hint {
    text: Text,
    /// Nothing if two equally sure ones differ.
    name: Option<String>,
    /// The file that says so, as the report prints it.
    path: String,
}

impl Hints {
    /// Takes a hint over, in whatever order they come.
    fn add(&mut self, unit: String, hint: Hint) {
        let of = self.0.entry(unit).or_insert_with(|| hint.clone());
        let lower = |hint: &Hint| hint.name.as_ref().map(|name| folded(name));
        if hint.text == of.text && lower(&hint) != lower(of) {
            of.name = None;
        } else if hint < *of {
            *of = hint;
        }
    }

    pub(crate) fn extend(&mut self, others: Hints) {
        for (unit, hint) in others.0 {
            self.add(unit, hint);
        }
    }

    /// Learns the computer's name from a text, if one of this name tells it; says whether it does.
    pub(crate) fn learn(
        &mut self,
        path: &str,
        source: &str,
        read: impl FnOnce() -> Vec<u8>,
    ) -> bool {
        let hint = hint(path, read);
        let found = hint.is_some();
        if let Some(hint) = hint {
            self.add(unit(path, source), hint);
        }
        found
    }
}

/// What is taken to be of one computer, before its logs are compared: an archive, or a folder in a
/// folder that was named.
pub(crate) fn unit(path: &str, source: &str) -> String {
    let below = path.strip_prefix(source).unwrap_or(path);
    match below.trim_start_matches('/').split_once('/') {
        Some((folder, _)) if !below.starts_with('!') => format!("{source}/{folder}"),
        _ => source.to_owned(),
    }
}

/// Texts that name the computer, the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Text {
    /// A record of another log. No text at all.
    Record,
    /// `Build.txt`: the first word of its first line.
    Build,
    /// `Env.txt`, `set.txt`: the environment.
    Environment,
    /// `client_info.json`: whom the collector ran on.
    Client,
    /// `DeviceHash_NAME.csv`.
    DeviceHash,
    /// `DeviceInfo.txt` and what dsregcmd printed.
    DeviceState,
}

/// The computer's name out of a text, if one of this name tells it.
fn hint(path: &str, read: impl FnOnce() -> Vec<u8>) -> Option<Hint> {
    let file = path.rsplit(['/', '!']).next()?.to_lowercase();
    let text = match file.as_str() {
        "build.txt" => Text::Build,
        "env.txt" | "set.txt" => Text::Environment,
        "client_info.json" | "collection_context.json" => Text::Client,
        "deviceinfo.txt" => Text::DeviceState,
        _ if file.starts_with("devicehash_") && file.ends_with(".csv") => Text::DeviceHash,
        _ if file.contains("dsregcmd") => Text::DeviceState,
        _ => return None,
    };
    let name = match text {
        Text::DeviceHash => {
            let file = path.rsplit(['/', '!']).next()?;
            let name = file.get("devicehash_".len()..file.len() - ".csv".len())?;
            name.to_owned()
        }
        _ => name_in(text, &decode(&read()))?,
    };
    is_host(&name).then(|| Hint {
        text,
        name: Some(name),
        path: path.to_owned(),
    })
}

fn name_in(text: Text, content: &str) -> Option<String> {
    let after = |key: &str, separator: char| {
        content.lines().find_map(|line| {
            let (name, value) = line.split_once(separator)?;
            let value = value.trim().trim_matches([',', '"']);
            let name = name.trim().trim_matches('"');
            (name.eq_ignore_ascii_case(key) && !value.is_empty()).then(|| value.to_owned())
        })
    };
    match text {
        // An old form is registry output, which names no computer.
        Text::Build => {
            let line = content.lines().next()?;
            let name = line.split_whitespace().next()?;
            // The command `ver` begins its line so.
            let names_none = name == "Microsoft";
            (line.contains("Version") && !names_none).then(|| name.to_owned())
        }
        Text::Environment => after("COMPUTERNAME", '='),
        Text::Client => {
            let client: serde_json::Value = serde_json::from_str(content).ok()?;
            let names = ["Hostname", "hostname", "Fqdn", "fqdn"];
            let name = names.iter().find_map(|name| client.get(name)?.as_str())?;
            Some(name.to_owned())
        }
        Text::DeviceState => after("Device Name", ':'),
        Text::Record | Text::DeviceHash => None,
    }
}

/// Whether Windows takes this for a computer's name: letters of any script and most signs, but not
/// digits alone.
fn is_host(name: &str) -> bool {
    let is_part = |c: char| !c.is_whitespace() && !is_unsafe(c) && !r#"\/:*?"<>|,;="#.contains(c);
    (1..=255).contains(&name.len())
        && !name.starts_with('.')
        && name.chars().all(is_part)
        && name.chars().any(char::is_alphabetic)
}

/// Gives events whose records name no computer the name that the rest of their bundle has for it,
/// and says so.
pub(crate) fn give_lost_names(logs: &mut [Log], mut hints: Hints) {
    let is_lost = |log: &Log| log.computers().any(|computer| computer.is_empty());
    if !logs.iter().any(is_lost) {
        return;
    }
    for log in logs.iter() {
        let mut last = "";
        for event in log.events.iter().flat_map(|batch| &batch.events) {
            let name = &*event.computer;
            if !name.is_empty() && name != last {
                let hint = Hint {
                    text: Text::Record,
                    name: Some(name.to_owned()),
                    path: log.path.clone(),
                };
                hints.add(unit(&log.path, &log.source), hint);
                last = name;
            }
        }
    }
    for log in logs.iter_mut().filter(|log| is_lost(log)) {
        let said = scopes(&log.path, &log.source).find_map(|scope| hints.0.get(&scope));
        let found = match said {
            // Two that differ tell nothing, and what is further off still less.
            Some(Hint { name, path, .. }) => {
                name.clone().map(|name| (name, format!("as {path} says")))
            }
            None => name_in_path(&log.path, &log.root)
                .map(|name| (name.to_owned(), "as its path says".to_owned())),
        };
        let Some((name, why)) = found else {
            continue;
        };
        let computer: Arc<str> = name.as_str().into();
        let mut headers = Headers::default();
        let mut count = 0_u64;
        for batch in &mut log.events {
            let mut events = std::mem::take(&mut batch.events);
            let nameless = |event: &&mut Event| event.computer.is_empty();
            for event in events.iter_mut().filter(nameless) {
                event.header = headers.get(Header {
                    computer: Arc::clone(&computer),
                    ..(*event.header).clone()
                });
                count += 1;
            }
            *batch = Batch::of(events, batch.forwarded);
        }
        log.problems.push(Problem {
            path: log.path.clone(),
            offset: None,
            kind: ProblemKind::NameLost,
            detail: match count {
                1 => format!("an event of it names no computer: taken for {name}, {why}"),
                _ => format!("{count} of its events name no computer: taken for {name}, {why}"),
            },
            lost_bytes: 0,
        });
    }
}

/// What a file's own place says holds before what its source says, and what the archives say that
/// it lies in. What else lies in these may be another computer's.
fn scopes(path: &str, source: &str) -> impl Iterator<Item = String> {
    let own = [unit(path, source), source.to_owned()];
    let around = source.match_indices('!').rev();
    let around: Vec<String> = around
        .map(|(at, _)| source.get(..at).unwrap_or_default().to_owned())
        .collect();
    own.into_iter().chain(around)
}

/// The computer's name in the names of a file, its folders and its archives, as collectors put it
/// there. The nearest name counts. Where the root lies is the reader's own affair.
fn name_in_path<'p>(path: &'p str, root: &str) -> Option<&'p str> {
    let above = root.trim_end_matches('/').rfind('/').map_or(0, |at| at + 1);
    let parts: Vec<&str> = path.get(above..)?.split(['/', '!']).collect();
    let is_disk = |pair: &[&str]| match pair {
        [disk, folder] => is_drive(disk) && folder.eq_ignore_ascii_case("Windows"),
        _ => false,
    };
    // What is in front of a disk's own tree: NAME.zip!C/Windows/…, NAME/C/Windows/…
    let disk = parts.windows(2).position(is_disk);
    let before_disk = disk.and_then(|at| at.checked_sub(1));
    let mut found = parts.iter().enumerate().rev().filter_map(|(at, part)| {
        let name = stem(part);
        // A folder that was named may be where a disk is mounted.
        let is_before = Some(at) == before_disk
            && !is_of_collector(name)
            && (at > 0 || name.len() < part.len());
        named_by_collector(name).or_else(|| is_before.then_some(name))
    });
    found.next().filter(|name| is_host(name))
}

/// Folders of a collector in front of a disk: Velociraptor's, named after how it read the disk.
fn is_of_collector(name: &str) -> bool {
    ["auto", "file", "ntfs", "lazy_ntfs", "uploads"].contains(&name)
}

/// `C`, `C:`, and `C%3A` as collectors escape it.
fn is_drive(part: &str) -> bool {
    let mut characters = part.chars();
    let letter = characters.next();
    letter.is_some_and(|letter| letter.is_ascii_alphabetic())
        && matches!(characters.as_str(), "" | ":" | "%3A")
}

/// A name without an archive's ending.
fn stem(name: &str) -> &str {
    let ending = |ending: &&str| {
        let at = name.len().checked_sub(ending.len());
        at.and_then(|at| name.get(at..))
            .is_some_and(|end| end.eq_ignore_ascii_case(ending))
    };
    let endings = [".zip", ".cab", ".tar.gz", ".tgz", ".tar", ".gz"];
    let found = endings.iter().find(|of| ending(of));
    name.get(..name.len() - found.map_or(0, |of| of.len()))
        .unwrap_or(name)
}

/// The computer's name in a name that a collector made: `TSS_NAME_240215-091200_…`,
/// `NAME_240215-091200_Aad_Oper.evtx`, `NAME-Microsoft-Windows-…`, `DiagLogs-NAME-20260114T…`,
/// `NAME_CollectedData_…`, `Collection-NAME-2026-01-14T…`, `NAME-C.1352adc54e292a23-F.…`.
fn named_by_collector(name: &str) -> Option<&str> {
    let before = |name: &'_ str, mark: &str| Some(name.find(mark)?).filter(|at| *at > 0);
    if let Some(rest) = name.strip_prefix("DiagLogs-") {
        return before_stamp(rest, "-dddddddd");
    }
    if let Some(rest) = name.strip_prefix("Collection-") {
        return before_stamp(rest, "-dddd-dd-dd");
    }
    let rest = ["TSSv2_", "TSS_"]
        .iter()
        .find_map(|of| name.strip_prefix(of));
    if let Some(host) = before_stamp(rest.unwrap_or(name), "_dddddd-dddddd") {
        return Some(host);
    }
    let marks = [
        "-Microsoft-Windows-",
        "_Microsoft-Windows-",
        "_CollectedData_",
        "-C.",
    ];
    let at = marks.iter().find_map(|mark| before(name, mark))?;
    name.get(..at)
}

/// What stands before the last place that looks like this, where `d` is a digit.
fn before_stamp<'n>(name: &'n str, stamp: &str) -> Option<&'n str> {
    let fits = |at: &usize| {
        let here = name.as_bytes().get(*at..*at + stamp.len());
        let mut pairs = here.into_iter().flatten().zip(stamp.bytes());
        here.is_some()
            && pairs.all(|(found, wanted)| match wanted {
                b'd' => found.is_ascii_digit(),
                other => *found == other,
            })
    };
    let at = (1..name.len()).rev().find(fits)?;
    name.get(..at)
}

#[cfg(test)]
mod tests {
    use super::{is_host, name_in_path};

    #[test]
    fn the_nearest_name_in_a_path_counts() {
        const LOGS: &str = "Windows/System32/winevt/Logs/AAD.evtx";
        for (before, expected) in [
            ("in/PC-042/C/", Some("PC-042")),
            ("PC-042.zip!C/", Some("PC-042")),
            ("in/Ünlü/C/", Some("Ünlü")),
            ("SRV.tar!Ünlü/C/", Some("Ünlü")),
            ("TSS_SRV_240215-091200_x.zip!Ünlü/C%3A/", Some("Ünlü")),
            ("TSS_SRV_240215-091200_x.zip!PC-042/C/", Some("PC-042")),
            ("SRV.zip!KÖLN#1/D:/", Some("KÖLN#1")),
            // The nearest is no name: another one would be a guess.
            ("TSS_SRV_240215-091200_x.zip!My PC/C/", None),
            ("SRV.zip!2026/C/", None),
            // No drive.
            ("SRV.tar!Ünlü/", None),
            ("SRV.tar!", None),
            ("SRV.tar!/", None),
            ("mnt/C/", None),
            // How a collector read the disk.
            (
                "Collection-PC-042-2026-01-14T10_15_00Z.zip!uploads/auto/C%3A/",
                Some("PC-042"),
            ),
            ("evidence.zip!uploads/auto/C%3A/", None),
        ] {
            let path = format!("/cases/{before}{LOGS}");
            let root = before.split(['/', '!']).next().unwrap();
            let root = match before {
                "mnt/C/" => "/cases/mnt/C".to_owned(),
                _ => format!("/cases/{root}"),
            };
            assert_eq!(name_in_path(&path, &root), expected, "{path}");
        }
    }

    #[test]
    fn names_are_those_that_windows_takes() {
        for name in [
            "PC-042",
            "pc-042.contoso.com",
            "MÜNCHEN_3",
            "サーバー1",
            "A$(1)",
            "R&D'S-PC",
        ] {
            assert!(is_host(name), "{name}");
        }
        for name in [
            "",
            "123",
            "2026-01-14",
            ".PC",
            "A B",
            "A:B",
            "A*",
            "A\u{202e}B",
            "A\nB",
        ] {
            assert!(!is_host(name), "{name}");
        }
    }
}
