//! Reads a scenario, a text that lists events, and makes event logs of it.
//!
//! ```text
//! # Blank lines and lines that start with # count for nothing.
//! computer LAPTOP-01.contoso.com      from here on; so are the other directives:
//! date 2026-03-02                     pid 696   tid 5160   sid S-1-5-18|none   activity GUID|none
//! 08:00:01.1234567 1007 Status=0xC000006D @tid=5204
//! 08:00:02 1081 Error=invalid_grant ErrorDescription="AADSTS50126: ...\r\nTrace ID: ..."
//! ```
//!
//! (One directive a line.) An event line is a UTC time, an event ID (1000 to 2000: AAD; else User
//! Device Registration), its fields and its attributes. Types, level, channel and so on come from
//! the table of events; fields that are not given are empty, 0, or the null GUID. Attributes:
//!
//! - `@pid= @tid= @sid= @activity= @computer= @level= @task=` instead of what holds otherwise
//! - `@channel=` Analytic, Operational, Admin, Debug, or the full name of any channel
//! - `@file=` the log's file name; otherwise the channel says
//! - `@record=` the record ID; the log's records count on from it
//! - `@repeat=` so many times, 1 ms apart
//! - `@noexec` without process and thread
//! - `@only` exactly the given fields in the given order; of names that the table does not know,
//!   texts. Only so can an event be written that the table does not have.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

use super::evtx::{
    FILETIME_OF_UNIX_EPOCH, Guid, Record, Shape, Value, parse_guid, sid_bytes, write_log,
};

const EVENTS: &str = include_str!("../../src/facts/events.tsv");
const AAD: &str = "Microsoft-Windows-AAD";
const AAD_GUID: &str = "4de9bc9c-b27a-43c9-8994-0915f1a5e24f";
const UDR: &str = "Microsoft-Windows-User Device Registration";
const UDR_GUID: &str = "23b8d46b-67dd-40a3-b636-d43e50552c6d";

/// The logs of a scenario: file name to bytes. An error names the line it is about.
pub fn logs(scenario: &str) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut logs = BTreeMap::new();
    for (file, records) in records(scenario)? {
        let bytes = write_log(&records).map_err(|problem| format!("{file}: {problem}"))?;
        logs.insert(file, bytes);
    }
    Ok(logs)
}

/// Writes the logs of a scenario into a folder, which is made if there is none.
pub fn write_to(scenario: &str, folder: &Path) -> io::Result<()> {
    let logs =
        logs(scenario).map_err(|problem| io::Error::new(io::ErrorKind::InvalidInput, problem))?;
    fs::create_dir_all(folder)?;
    for (file, bytes) in logs {
        fs::write(folder.join(file), bytes)?;
    }
    Ok(())
}

/// The records of a scenario by file name, for tests that change them before they are written.
pub fn records(scenario: &str) -> Result<BTreeMap<String, Vec<Record>>, String> {
    let mut defaults = Defaults {
        computer: String::new(),
        date: NaiveDate::from_ymd_opt(2026, 3, 2).ok_or("the default date is none")?,
        pid: 696,
        tid: 5160,
        sid: Some("S-1-5-18".to_owned()),
        activity: None,
    };
    let mut logs = BTreeMap::new();
    for (text, number) in scenario.lines().zip(1..) {
        let text = text.trim();
        if !text.is_empty() && !text.starts_with('#') {
            read_line(text, &mut defaults, &mut logs)
                .map_err(|problem| format!("line {number}: {problem}"))?;
        }
    }
    Ok(logs)
}

/// What the directives set.
struct Defaults {
    computer: String,
    date: NaiveDate,
    pid: u32,
    tid: u32,
    sid: Option<String>,
    activity: Option<Guid>,
}

/// A row of the table of events.
struct Template {
    level: u8,
    channel: &'static str,
    task: u16,
    opcode: u8,
    keywords: u64,
    fields: Vec<(&'static str, &'static str)>,
    older_fields: Vec<(&'static str, &'static str)>,
}

type Logs = BTreeMap<String, Vec<Record>>;

fn read_line(text: &str, defaults: &mut Defaults, logs: &mut Logs) -> Result<(), String> {
    let words = words(text)?;
    let Some((first, rest)) = words.split_first() else {
        return Ok(());
    };
    if first.key.starts_with(|c: char| c.is_ascii_digit()) {
        return read_event(first, rest, defaults, logs);
    }
    let [argument] = rest else {
        return Err(format!("{} wants one argument", first.key));
    };
    let argument = &argument.key;
    match first.key.as_str() {
        "computer" => defaults.computer.clone_from(argument),
        "date" => {
            let date = argument.parse();
            defaults.date = date.map_err(|_| format!("{argument} is not a date"))?;
        }
        "pid" => defaults.pid = number(argument, 32)? as u32,
        "tid" => defaults.tid = number(argument, 32)? as u32,
        "sid" => defaults.sid = sid_or_none(argument)?,
        "activity" => defaults.activity = guid_or_none(argument)?,
        other => return Err(format!("{other} is neither a directive nor a time")),
    }
    Ok(())
}

fn read_event(
    time: &Word,
    rest: &[Word],
    defaults: &Defaults,
    logs: &mut Logs,
) -> Result<(), String> {
    let time = NaiveTime::parse_from_str(&time.key, "%H:%M:%S%.f")
        .map_err(|_| format!("{} is not a time", time.key))?;
    let (id, rest) = rest.split_first().ok_or("the event has no ID")?;
    let id: u16 = (id.key.parse()).map_err(|_| format!("{} is not an event ID", id.key))?;
    let (fields, attributes): (Vec<&Word>, Vec<&Word>) =
        rest.iter().partition(|word| !word.key.starts_with('@'));

    let only = attributes.iter().any(|word| word.key == "@only");
    let aad = (1000..=2000).contains(&id);
    let template = match find_template(aad, id)? {
        Some(template) => template,
        None if only => unknown_event(aad),
        None => return Err(format!("event {id} is not in the table; it needs @only")),
    };
    let (provider, provider_guid) = if aad {
        (AAD, AAD_GUID)
    } else {
        (UDR, UDR_GUID)
    };
    let mut record = Record {
        time_filetime: filetime(defaults.date.and_time(time))?,
        record_id: 0,
        provider_name: provider.to_owned(),
        provider_guid: parse_guid(provider_guid).ok_or("the provider's GUID is none")?,
        event_id: id,
        version: 0,
        level: template.level,
        task: template.task,
        opcode: template.opcode,
        keywords: template.keywords,
        channel: format!("{provider}/{}", template.channel),
        computer: defaults.computer.clone(),
        process_id: Some(defaults.pid),
        thread_id: Some(defaults.tid),
        activity_id: defaults.activity,
        user_sid: defaults.sid.clone(),
        data: data(&template, &fields, only)?,
        shape: Shape::Template,
    };

    let mut file = None;
    let mut record_id = None;
    let mut repeat = 1;
    for attribute in attributes {
        let value = attribute.value.as_deref();
        let wanted = || value.ok_or_else(|| format!("{} wants a value", attribute.key));
        match attribute.key.as_str() {
            "@pid" => record.process_id = Some(number(wanted()?, 32)? as u32),
            "@tid" => record.thread_id = Some(number(wanted()?, 32)? as u32),
            "@sid" => record.user_sid = sid_or_none(wanted()?)?,
            "@activity" => record.activity_id = guid_or_none(wanted()?)?,
            "@computer" => record.computer = wanted()?.to_owned(),
            "@level" => record.level = number(wanted()?, 8)? as u8,
            "@task" => record.task = number(wanted()?, 16)? as u16,
            "@channel" => record.channel = channel(provider, wanted()?),
            "@file" => file = Some(file_name(wanted()?)?),
            "@record" => record_id = Some(number(wanted()?, 64)?),
            "@repeat" => {
                let count = wanted()?.parse::<u16>();
                repeat = count.map_err(|_| "@repeat wants a number up to 65535")?;
            }
            "@noexec" | "@only" if value.is_some() => {
                return Err(format!("{} takes no value", attribute.key));
            }
            // What these two do stands above and below.
            "@noexec" | "@only" => {}
            other => return Err(format!("unknown attribute {other}")),
        }
    }
    if rest.iter().any(|word| word.key == "@noexec") {
        (record.process_id, record.thread_id) = (None, None);
    }
    if record.computer.is_empty() {
        return Err("no computer: the scenario needs a computer directive before it".to_owned());
    }

    let file = file.unwrap_or_else(|| default_file(&record.channel));
    let log = logs.entry(file).or_default();
    let next = log.last().map_or(1, |last| last.record_id.wrapping_add(1));
    record.record_id = record_id.unwrap_or(next);
    for _ in 0..repeat {
        log.push(record.clone());
        record.record_id = record.record_id.wrapping_add(1);
        record.time_filetime = record.time_filetime.wrapping_add(10_000);
    }
    Ok(())
}

/// The fields of an event with their values, in the order to write them.
fn data(template: &Template, given: &[&Word], only: bool) -> Result<Vec<(String, Value)>, String> {
    for (index, word) in given.iter().enumerate() {
        if word.value.is_none() {
            return Err(format!("{} has no value", word.key));
        }
        if given[..index].iter().any(|before| before.key == word.key) {
            return Err(format!("{} is given twice", word.key));
        }
        if !only && !template.fields.iter().any(|(name, _)| *name == word.key) {
            let names: Vec<&str> = template.fields.iter().map(|(name, _)| *name).collect();
            let names = names.join(" ");
            return Err(format!(
                "the event has no field {}; it has: {names}",
                word.key
            ));
        }
    }
    let field = |name: &str, kind: &str, text: Option<&str>| {
        let value = typed(kind, text).map_err(|problem| format!("{name}: {problem}"))?;
        Ok((name.to_owned(), value))
    };
    if only {
        let known = || template.fields.iter().chain(&template.older_fields);
        let kind = |name: &str| {
            known()
                .find(|(known, _)| *known == name)
                .map(|(_, kind)| *kind)
        };
        let text = |word: &&Word| {
            let kind = kind(&word.key).unwrap_or("UnicodeString");
            field(&word.key, kind, word.value.as_deref())
        };
        return given.iter().map(text).collect();
    }
    let text = |name: &str| given.iter().find(|word| word.key == name)?.value.as_deref();
    let fields = template.fields.iter();
    fields
        .map(|(name, kind)| field(name, kind, text(name)))
        .collect()
}

/// A value of a manifest's type; without a text, the empty one.
fn typed(kind: &str, text: Option<&str>) -> Result<Value, String> {
    let number = |bits| text.map_or(Ok(0), |text| number(text, bits));
    Ok(match kind {
        "UnicodeString" => Value::Unicode(text.unwrap_or_default().to_owned()),
        "AnsiString" => Value::Ansi(text.unwrap_or_default().to_owned()),
        "UInt8" => Value::UInt8(number(8)? as u8),
        "UInt16" => Value::UInt16(number(16)? as u16),
        "Int32" => Value::Int32(number(32)? as i32),
        "UInt32" => Value::UInt32(number(32)? as u32),
        "HexInt32" => Value::HexInt32(number(32)? as u32),
        "Int64" => Value::Int64(number(64)? as i64),
        "UInt64" => Value::UInt64(number(64)?),
        "HexInt64" => Value::HexInt64(number(64)?),
        "Pointer" => Value::Pointer(number(64)?),
        "FILETIME" => Value::FileTime(match text.map(|text| text.trim_end_matches('Z')) {
            Some(text) if text.contains('T') => {
                let time = text.parse().map_err(|_| format!("{text} is not a time"))?;
                filetime(time)?
            }
            _ => number(64)?,
        }),
        "Boolean" => match text.unwrap_or("false") {
            "true" | "1" => Value::Boolean(true),
            "false" | "0" => Value::Boolean(false),
            other => return Err(format!("{other} is neither true nor false")),
        },
        "GUID" => match text {
            None => Value::Guid([0; 16]),
            Some(text) => Value::Guid(guid(text)?),
        },
        "SID" => match text.unwrap_or("S-1-0-0") {
            text if sid_bytes(text).is_some() => Value::Sid(text.to_owned()),
            text => return Err(format!("{text} is not a SID")),
        },
        "Binary" => Value::Binary(bytes_of_hex(text.unwrap_or_default())?),
        other => return Err(format!("the type {other} can't be written")),
    })
}

/// A number, decimal or hex. Negative ones become the two's complement of so many bits: a
/// signed field takes `0x80072ee7`, and an unsigned one `-2147012889`.
fn number(text: &str, bits: u32) -> Result<u64, String> {
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) if digits.starts_with(['+', '-']) => None,
        Some(digits) => i128::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    let number = number.ok_or_else(|| format!("{text} is not a number"))?;
    if !(-(1_i128 << (bits - 1))..1_i128 << bits).contains(&number) {
        return Err(format!("{text} does not fit into {bits} bits"));
    }
    Ok((number & ((1_i128 << bits) - 1)) as u64)
}

fn filetime(time: NaiveDateTime) -> Result<u64, String> {
    let time = time.and_utc();
    let ticks = i128::from(time.timestamp()) * 10_000_000
        + i128::from(time.timestamp_subsec_nanos() / 100)
        + i128::from(FILETIME_OF_UNIX_EPOCH);
    u64::try_from(ticks).map_err(|_| format!("{time} is no FILETIME"))
}

fn guid(text: &str) -> Result<Guid, String> {
    parse_guid(text).ok_or_else(|| format!("{text} is not a GUID"))
}

fn guid_or_none(text: &str) -> Result<Option<Guid>, String> {
    if text == "none" {
        Ok(None)
    } else {
        guid(text).map(Some)
    }
}

fn sid_or_none(text: &str) -> Result<Option<String>, String> {
    match text {
        "none" => Ok(None),
        text if sid_bytes(text).is_some() => Ok(Some(text.to_owned())),
        text => Err(format!("{text} is not a SID")),
    }
}

fn bytes_of_hex(text: &str) -> Result<Vec<u8>, String> {
    let not_hex = || format!("{text} is not a list of hex bytes");
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(not_hex());
    }
    let pairs = (0..text.len()).step_by(2);
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| not_hex());
    pairs.map(byte).collect()
}

fn channel(provider: &str, name: &str) -> String {
    match name {
        "Analytic" | "Operational" | "Admin" | "Debug" => format!("{provider}/{name}"),
        full => full.to_owned(),
    }
}

/// The names that Microsoft's collection script gives the logs.
fn default_file(channel: &str) -> String {
    match channel {
        "Microsoft-Windows-AAD/Operational" => "Aad_Oper.evtx".to_owned(),
        "Microsoft-Windows-AAD/Analytic" => "Aad_Analytic.evtx".to_owned(),
        "Microsoft-Windows-User Device Registration/Admin" => "UsrDeviceReg_Adm.evtx".to_owned(),
        "Microsoft-Windows-User Device Registration/Debug" => "UsrDeviceReg_Dbg.evtx".to_owned(),
        other => format!("{}.evtx", other.replace(['/', '\\'], "-")),
    }
}

/// A file name, and no way out of the folder.
fn file_name(text: &str) -> Result<String, String> {
    match text {
        "" | "." | ".." => Err(format!("{text:?} is not a file name")),
        text if text.contains(['/', '\\']) => Err(format!("{text} is not a file name but a path")),
        text => Ok(text.to_owned()),
    }
}

fn unknown_event(aad: bool) -> Template {
    Template {
        level: 4,
        channel: if aad { "Operational" } else { "Admin" },
        task: 0,
        opcode: 0,
        keywords: if aad {
            0x4000_0000_0000_0000
        } else {
            0x8000_0000_0000_0000
        },
        fields: Vec::new(),
        older_fields: Vec::new(),
    }
}

fn find_template(aad: bool, id: u16) -> Result<Option<Template>, String> {
    let provider = if aad { "aad" } else { "udr" };
    let id = id.to_string();
    for line in EVENTS.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&'static str> = line.split('\t').collect();
        let [
            of,
            event,
            level,
            channel,
            task,
            opcode,
            keywords,
            _,
            fields,
            older,
        ] = columns[..]
        else {
            continue;
        };
        if of == provider && event == id {
            return Ok(Some(Template {
                level: number(level, 8)? as u8,
                channel,
                task: number(task, 16)? as u16,
                opcode: number(opcode, 8)? as u8,
                keywords: number(keywords, 64)?,
                fields: template_fields(fields),
                older_fields: template_fields(older),
            }));
        }
    }
    Ok(None)
}

/// `Name:Type` or `Name:Type:role` each, `-` if none.
fn template_fields(list: &'static str) -> Vec<(&'static str, &'static str)> {
    let field = |field: &'static str| {
        let mut parts = field.split(':');
        Some((parts.next()?, parts.next()?))
    };
    list.split(' ').filter_map(field).collect()
}

/// `key`, `key=value` or `key="value"`.
struct Word {
    key: String,
    value: Option<String>,
}

fn words(line: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_whitespace() {
            continue;
        }
        let mut key = String::from(c);
        while let Some(c) = chars.next_if(|c| !c.is_whitespace() && *c != '=') {
            key.push(c);
        }
        if chars.next_if_eq(&'=').is_none() {
            words.push(Word { key, value: None });
            continue;
        }
        let mut value = String::new();
        if chars.next_if_eq(&'"').is_some() {
            loop {
                match chars
                    .next()
                    .ok_or_else(|| format!("{key}: the quote is not closed"))?
                {
                    '"' => break,
                    '\\' => value.push(escaped(&mut chars)?),
                    c => value.push(c),
                }
            }
            if chars.peek().is_some_and(|c| !c.is_whitespace()) {
                return Err(format!("{key}: a blank is missing after the closing quote"));
            }
        } else {
            while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
                value.push(c);
            }
        }
        words.push(Word {
            key,
            value: Some(value),
        });
    }
    Ok(words)
}

/// What an escape stands for, after its backslash.
fn escaped(chars: &mut impl Iterator<Item = char>) -> Result<char, String> {
    match chars.next() {
        Some(c @ ('"' | '\\')) => Ok(c),
        Some('n') => Ok('\n'),
        Some('r') => Ok('\r'),
        Some('t') => Ok('\t'),
        Some('u') if chars.next() == Some('{') => {
            let digits: String = chars.take_while(|c| *c != '}').collect();
            let code = u32::from_str_radix(&digits, 16).ok();
            let c = code.and_then(char::from_u32);
            c.ok_or_else(|| format!("\\u{{{digits}}} is not a character"))
        }
        Some(other) => Err(format!("unknown escape \\{other}")),
        None => Err("the line ends within an escape".to_owned()),
    }
}
