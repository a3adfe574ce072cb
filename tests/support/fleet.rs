//! A fleet of crafted machines: eight causes, some machines that recovered, some that are healthy.
//!
//! Twenty machines repeat the same twenty scenarios of `tests/samples`, each with its own name, user,
//! GUIDs and times, so that what triage must say of a fleet follows from [`SCENARIOS`] by counting.

use super::scenario;

/// A scenario: how many of twenty machines play it, the user whose name becomes the machine's own,
/// and the one group that its failures belong to, with whether they still stand.
struct Scenario {
    of_twenty: usize,
    text: &'static str,
    user: &'static str,
    group: Option<(&'static str, bool)>,
}

macro_rules! sample {
    ($name:literal) => {
        include_str!(concat!("../samples/", $name, ".txt"))
    };
}

const SCENARIOS: [Scenario; 10] = [
    Scenario {
        of_twenty: 4,
        text: sample!("scp-missing"),
        user: "",
        group: Some(("registration/discover/0x801c001d/307", true)),
    },
    Scenario {
        of_twenty: 3,
        text: sample!("device-rejected"),
        user: "kim",
        group: Some(("acquire/AADSTS50155/1081", true)),
    },
    Scenario {
        of_twenty: 2,
        text: sample!("name-not-resolved"),
        user: "dana",
        group: Some(("acquire/0x80072ee7/1084", true)),
    },
    Scenario {
        of_twenty: 2,
        text: sample!("user-unknown"),
        user: "pat",
        group: Some(("acquire/AADSTS50034/1081", true)),
    },
    Scenario {
        of_twenty: 1,
        text: sample!("device-not-synced"),
        user: "",
        group: Some(("registration/join/DirectoryError/204", true)),
    },
    Scenario {
        of_twenty: 1,
        text: sample!("realm-unknown"),
        user: "user",
        group: Some(("acquire/0xc000005f/1086", true)),
    },
    Scenario {
        of_twenty: 1,
        text: sample!("wstrust-fault"),
        user: "sam",
        group: Some(("acquire/FailedAuthentication/1088", true)),
    },
    Scenario {
        of_twenty: 1,
        text: sample!("refresh-fails"),
        user: "tom",
        group: Some(("refresh/0x80072ee2/1084", true)),
    },
    Scenario {
        of_twenty: 1,
        text: sample!("wrong-password"),
        user: "lee",
        group: Some(("acquire/AADSTS50126/1081", false)),
    },
    Scenario {
        of_twenty: 4,
        text: sample!("healthy"),
        user: "joe",
        group: None,
    },
];

/// The scenario that a machine plays; machines are numbered from 0.
fn played(machine: usize) -> &'static Scenario {
    let twenty = SCENARIOS
        .iter()
        .flat_map(|scenario| std::iter::repeat_n(scenario, scenario.of_twenty));
    twenty.cycle().nth(machine % 20).unwrap()
}

/// The name of a machine.
pub fn name(machine: usize) -> String {
    format!("FLEET-{:04}.contoso.com", machine + 1)
}

/// The machines of a fleet: each one's name, and its logs with their file names.
pub fn fleet(machines: usize) -> impl Iterator<Item = (String, Vec<(String, Vec<u8>)>)> {
    (0..machines).map(|machine| {
        let logs = scenario::logs(&text(machine)).unwrap();
        (name(machine), logs.into_iter().collect())
    })
}

/// A group as it must come out: signature, machines in their order, how many of them still fail.
pub type Expected = (&'static str, Vec<String>, usize);

/// The groups of a fleet, by number of machines, then signature.
pub fn expected(machines: usize) -> Vec<Expected> {
    let mut groups: Vec<Expected> = Vec::new();
    for scenario in &SCENARIOS {
        let Some((signature, stands)) = scenario.group else {
            continue;
        };
        let of = (0..machines).filter(|machine| std::ptr::eq(played(*machine), scenario));
        let names: Vec<String> = of.map(name).collect();
        let failing = if stands { names.len() } else { 0 };
        if !names.is_empty() {
            groups.push((signature, names, failing));
        }
    }
    groups.sort_by_key(|(signature, names, _)| (std::cmp::Reverse(names.len()), *signature));
    groups
}

/// A machine's scenario: with its own name, user, GUIDs, day and time of day.
pub fn text(machine: usize) -> String {
    let Scenario { text, user, .. } = played(machine);
    let later = machine * 7919 % 36_000;
    let mut own = String::with_capacity(text.len());
    for line in text.lines() {
        let line = match line.split_once(' ') {
            Some(("computer", _)) => format!("computer {}", name(machine)),
            Some(("date", _)) => format!("date 2026-03-{:02}", machine % 28 + 1),
            Some((time, rest)) if time.starts_with(|c: char| c.is_ascii_digit()) => {
                let part = |at: usize| time[at..at + 2].parse::<usize>().unwrap();
                let seconds = (part(0) * 60 + part(3)) * 60 + part(6) + later;
                let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
                format!(
                    "{hours:02}:{minutes:02}:{:02}{} {rest}",
                    seconds % 60,
                    &time[8..]
                )
            }
            _ => line.to_owned(),
        };
        own.push_str(&line);
        own.push('\n');
    }
    if !user.is_empty() {
        for at in ["@", "%40"] {
            let named = format!("user{:04}{at}", machine + 1);
            own = own.replace(&format!("{user}{at}"), &named);
        }
    }
    with_own_guids(&own, machine)
}

/// The text with the first part of each GUID changed by the machine's number, in its own case.
fn with_own_guids(text: &str, machine: usize) -> String {
    let mut own = text.as_bytes().to_vec();
    let change = (machine as u32).wrapping_mul(0x9e37_79b1);
    let is_guid = |at: usize| {
        text.as_bytes().get(at..at + 36).is_some_and(|guid| {
            guid.iter().enumerate().all(|(place, byte)| match place {
                8 | 13 | 18 | 23 => *byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            })
        })
    };
    for (dash, _) in text.match_indices('-') {
        let Some(at) = dash.checked_sub(8).filter(|at| is_guid(*at)) else {
            continue;
        };
        let guid = &text[at..at + 36];
        let first = u32::from_str_radix(&guid[..8], 16).unwrap() ^ change;
        let first = match guid.contains(|c: char| c.is_ascii_uppercase()) {
            true => format!("{first:08X}"),
            false => format!("{first:08x}"),
        };
        own[at..at + 8].copy_from_slice(first.as_bytes());
    }
    String::from_utf8(own).unwrap()
}
