//! The JSON report is what serde_json makes of it, but for escapes that every reader takes for the
//! same characters.

mod support;

use prtrace::report::Report;
use prtrace::{machine, report, scan};
use std::fmt::Write;
use std::fs;
use support::{evtx, hostile, samples, scenario};

/// Characters that JSON lets stand and a terminal would obey, or show in another's place.
fn must_be_escaped(character: char) -> bool {
    matches!(character,
        '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

fn by_serde_json(report: &Report<'_>) -> String {
    let mut escaped = String::new();
    for character in serde_json::to_string_pretty(report).unwrap().chars() {
        match must_be_escaped(character) {
            true => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(escaped, "\\u{unit:04x}").unwrap();
                }
            }
            false => escaped.push(character),
        }
    }
    escaped + "\n"
}

/// More windows than several threads write at a time. Each holds values with a character in another
/// place, events of few kinds and of many, and names that it shares with others.
fn nasty() -> String {
    let characters = r#"\" \\ \n \r \t / ~ ö € 😀 \u{1} \u{8} \u{c} \u{1f} \u{7f} \u{80} \u{9b} \u{ad} \u{202e}
        \u{2028} \u{feff} \u{fffd} \u{e0041} \u{10ffff}"#;
    let characters: Vec<&str> = characters.split_whitespace().collect();
    let mut scenario = "computer PC-1\n".to_owned();
    for number in 0..600 {
        let character = characters[number % characters.len()];
        let ahead = "a".repeat(number / characters.len());
        let value = format!("{ahead}{character}{character}b{character}");
        let (minute, hour) = (number % 60, number / 60);
        let correlation = format!("{number:08}-2222-3333-4444-555555555555");
        let status = ["0xC000006D", "0", "0xC000023C"][number % 3];
        let mut event = |second: &str, text: &str| {
            writeln!(scenario, "{hour:02}:{minute:02}:{second} {text}").unwrap();
        };
        event("00", "1006");
        event("01", &format!("1018 value={correlation}"));
        event("02", &format!("1022 value=\"https://contoso.com/{value}\""));
        event(
            "03",
            &format!("1144 Method=\"{value}\" EndpointUri=\"{value}{value}\""),
        );
        event(
            "04",
            &format!("1999 x=\"{value}\" x1=1 y=\"\" x2=\"{value}\" @task=101 @only"),
        );
        // One ID with a name of its own each time, and at another level.
        let level = number % 6;
        event(
            "05",
            &format!("1998 n{number}=\"{value}\" @task=101 @only @level={level}"),
        );
        if number % 3 == 0 {
            event(
                "06",
                &format!("1081 Error=\"{value}\" ErrorDescription=\"AADSTS50126: {value}\""),
            );
        }
        event("07", &format!("1007 Status={status}"));
        event(
            "08",
            &format!("1087 Status={status} CorrelationID={correlation}"),
        );
    }
    scenario
}

#[test]
fn it_is_what_serde_json_makes_of_it() {
    let folder = tempfile::tempdir().unwrap();
    for name in samples() {
        let text = fs::read_to_string(format!("tests/samples/{name}.txt")).unwrap();
        scenario::write_to(&text, &folder.path().join(&name)).unwrap();
    }
    scenario::write_to(&hostile(), &folder.path().join("hostile")).unwrap();
    for (file, mut records) in scenario::records(&nasty()).unwrap() {
        for record in &mut records {
            for (name, _) in &mut record.data {
                if record.event_id == 1999 {
                    // A name that stands three times.
                    name.truncate(1);
                }
            }
        }
        fs::write(folder.path().join(file), evtx::write_log(&records).unwrap()).unwrap();
    }
    for threads in [1, 2, 3] {
        let options = scan::Options::default().threads(threads);
        let written = scan::in_threads(options, || {
            let scan = machine::scan(&[folder.path().to_path_buf()], options).unwrap();
            let analyses = report::analyze(&scan);
            for report in [
                Report::new(&scan, &analyses),
                Report::with_all_events(&scan, &analyses),
            ] {
                let mut bytes = Vec::new();
                report::json::write(&report, &mut bytes).unwrap();
                let (written, expected) =
                    (String::from_utf8(bytes).unwrap(), by_serde_json(&report));
                let different = written.lines().zip(expected.lines()).find(|(a, b)| a != b);
                assert_eq!(different, None);
                assert!(written == expected, "one is longer");
                assert!(report.totals.windows >= 600);
            }
        });
        written.unwrap();
    }
}
