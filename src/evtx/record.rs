//! The records of a chunk as [`Event`]s: straight from their typed values where those have the
//! usual shape, else out of the XML that the evtx crate makes of them.

use crate::base::xml::push_entity;
use crate::event::secret;
use crate::event::{Collector, Event, FieldNames, Header, Headers, Level, Meaning, Values, guid};
use crate::evtx::chunk::{RECORD_HEADER_SIZE, RECORD_MAGIC, SMALLEST_RECORD, Span};
use crate::evtx::typed::{self, Templates};
use crate::facts::Provider;
use chrono::{DateTime, Utc};
use evtx::{EvtxChunk, EvtxChunkHeader, ParserSettings};
use quick_xml::events::{BytesStart, Event as Xml};
use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// Where a chunk's header holds the offsets of the strings in it.
const STRING_TABLE: std::ops::Range<usize> = 128..384;

/// The decoded records of a chunk.
#[derive(Debug, Default)]
pub struct Decoded {
    /// The events of the selected providers, in their order.
    pub events: Vec<Event>,
    /// The number of each one's record in the file. It differs from the event's record ID where the
    /// record was written by another computer and forwarded.
    pub numbers: Vec<u64>,
    /// The records that could not be decoded.
    pub failed: Vec<Undecodable>,
}

/// A record that could not be decoded.
#[derive(Debug)]
pub struct Undecodable {
    /// Where it stands in the chunk.
    pub span: Span,
    /// What the parser said.
    pub detail: String,
}

/// What the records of a log have in common: one `Arc` for each of the few names and headers that
/// its events share, and its templates.
#[derive(Debug, Default)]
pub struct Names {
    pub(crate) strings: HashSet<Arc<str>>,
    pub(crate) headers: Headers,
    /// Where the values of a chunk are collected, and where its events may be.
    values: Collector,
    pub(crate) spare: Vec<Event>,
    pub(crate) templates: Templates,
}

impl Names {
    fn get(&mut self, name: &str) -> Arc<str> {
        intern(&mut self.strings, name)
    }
}

pub(crate) fn intern(strings: &mut HashSet<Arc<str>>, text: &str) -> Arc<str> {
    if let Some(known) = strings.get(text) {
        return Arc::clone(known);
    }
    // A name from a hostile log may hold a secret as well as any value.
    let masked = secret::mask(text);
    if let Some(known) = strings.get(&*masked) {
        return Arc::clone(known);
    }
    let new: Arc<str> = masked.into();
    strings.insert(Arc::clone(&new));
    new
}

/// The names of an event's fields: one that stands twice gets `#2`, `#3`, …
pub(crate) fn unique_names(names: Vec<Arc<str>>) -> FieldNames {
    let mut known: HashSet<Arc<str>> = HashSet::new();
    let mut counts: HashMap<Arc<str>, usize> = HashMap::new();
    let unique = names.into_iter().map(|name| {
        let mut key = Arc::clone(&name);
        while known.contains(&key) {
            let count = counts.entry(Arc::clone(&name)).or_insert(1);
            *count += 1;
            // Not interned: a hostile log has any number of them.
            key = format!("{name}#{count}").into();
        }
        known.insert(Arc::clone(&key));
        key
    });
    FieldNames(unique.collect())
}

/// Decodes these records of the chunk and keeps those of the selected providers. `slot` may be
/// changed: where the evtx crate is asked, everything else in it is covered up, so that the crate
/// walks these records only.
pub fn decode(slot: &mut [u8], records: &[Span], names: &mut Names) -> Decoded {
    let mut values = std::mem::take(&mut names.values);
    let mut events = std::mem::take(&mut names.spare);
    // Nearly every record is one of ours, and read right away.
    events.reserve_exact(records.len());
    let mut reader = typed::Reader::new(slot, names);
    let mut decoded = Decoded {
        events,
        numbers: Vec::with_capacity(records.len()),
        failed: Vec::new(),
    };
    let mut unusual = Vec::new();
    for record in records {
        match reader.event(record, &mut values) {
            Some(event) => decoded.add(record, event),
            None => unusual.push((decoded.events.len(), *record)),
        }
    }
    if !unusual.is_empty() {
        let asked: Vec<Span> = unusual.iter().map(|(_, record)| *record).collect();
        let found = through_xml(slot, records, &asked, names, &mut values);
        decoded.insert(unusual, found);
    }
    decoded.found_in(values.collected());
    names.values = values;
    decoded
}

/// The same out of the evtx crate's XML alone: what [`decode`] falls back to, and has to agree with.
pub fn decode_through_xml(slot: &mut [u8], records: &[Span], names: &mut Names) -> Decoded {
    let mut values = Collector::default();
    let found = through_xml(slot, records, records, names, &mut values);
    let mut decoded = Decoded::default();
    decoded.insert(records.iter().map(|record| (0, *record)).collect(), found);
    decoded.found_in(values.collected());
    decoded
}

/// Events by the offsets of their records; nothing of a record that another provider wrote.
type Found = HashMap<usize, Result<Option<Event>, String>>;

impl Decoded {
    fn add(&mut self, record: &Span, event: Event) {
        self.events.push(event);
        self.numbers.push(record.number);
    }

    fn extend(&mut self, more: impl Iterator<Item = (Event, u64)>) {
        for (event, number) in more {
            self.events.push(event);
            self.numbers.push(number);
        }
    }

    /// Puts what was found of these records among the events, each behind as many of those that
    /// are there as it says.
    fn insert(&mut self, records: Vec<(usize, Span)>, mut found: Found) {
        let known = std::mem::take(&mut self.events).into_iter();
        let mut known = known.zip(std::mem::take(&mut self.numbers));
        let mut passed = 0;
        for (behind, record) in records {
            self.extend(known.by_ref().take(behind - passed));
            passed = behind;
            match found.remove(&record.start) {
                Some(Ok(Some(event))) => self.add(&record, event),
                Some(Ok(None)) => {}
                Some(Err(detail)) => self.failed.push(unreached(&record, Some(detail))),
                None => self.failed.push(unreached(&record, None)),
            }
        }
        self.extend(known);
        // All of these are held for long.
        self.events.shrink_to_fit();
    }

    fn found_in(&mut self, values: Values) {
        let values = Arc::new(values);
        for event in &mut self.events {
            event.found_in(&values);
        }
    }
}

/// What the evtx crate makes of some of these records, by their offset.
fn through_xml(
    slot: &mut [u8],
    records: &[Span],
    asked: &[Span],
    names: &mut Names,
    values: &mut Collector,
) -> Found {
    let untouched = slot.to_vec();
    let Some(mut header) = cover(slot, records) else {
        return HashMap::new();
    };
    let mut found = parse(slot, &header, asked, names, values);
    // A record whose values or template run over what was covered may come out as another
    // provider's, or not at all. No sound one does: those are asked again in the untouched chunk.
    let doubtful: Vec<Span> = asked
        .iter()
        .filter(|record| !matches!(found.get(&record.start), Some(Ok(Some(_)))))
        .copied()
        .collect();
    let ends =
        std::iter::once(crate::evtx::chunk::CHUNK_HEADER_SIZE).chain(records.iter().map(|r| r.end));
    let anything_covered = records
        .iter()
        .zip(ends)
        .any(|(record, end)| record.start != end);
    if anything_covered && !doubtful.is_empty() {
        let absent = |id: &u64| memchr::memmem::find(&untouched, &id.to_le_bytes()).is_none();
        let stop = (0..=u64::MAX).rev().find(absent);
        header.last_event_record_id = stop.unwrap_or(u64::MAX);
        let again = parse(&untouched, &header, &doubtful, names, values);
        found.extend(again.into_iter().filter(|(_, result)| result.is_ok()));
    }
    found
}

fn unreached(record: &Span, detail: Option<String>) -> Undecodable {
    Undecodable {
        span: *record,
        detail: detail.unwrap_or_else(|| "not reached by the parser".to_owned()),
    }
}

/// What the evtx crate makes of these records, by their offset.
fn parse(
    slot: &[u8],
    header: &EvtxChunkHeader,
    records: &[Span],
    names: &mut Names,
    values: &mut Collector,
) -> Found {
    let mut found = HashMap::new();
    let mut errors: HashMap<u64, String> = HashMap::new();
    // Errors that do not say whose they are.
    let mut nameless: Vec<String> = Vec::new();
    let settings = Arc::new(ParserSettings::new().indent(false));
    match EvtxChunk::new(slot, header, settings) {
        Err(error) => {
            let error = describe(&error);
            let all = records.iter();
            return all
                .map(|record| (record.start, Err(error.clone())))
                .collect();
        }
        Ok(mut parsed) => {
            for record in parsed.iter() {
                let record = match record {
                    Ok(record) => record,
                    Err(evtx::err::EvtxError::FailedToParseRecord { record_id, source }) => {
                        errors.insert(record_id, describe(&*source));
                        continue;
                    }
                    Err(error) => {
                        nameless.push(describe(&error));
                        continue;
                    }
                };
                let start = record.binxml_offset as usize - RECORD_HEADER_SIZE;
                let wanted = records.binary_search_by_key(&start, |record| record.start);
                if wanted.is_err() {
                    continue;
                }
                let event = match record.into_xml() {
                    Err(error) => Err(describe(&error)),
                    Ok(xml) => event_from_xml(&xml.data, names, values),
                };
                found.insert(start, event);
            }
        }
    }
    let mut lost = Vec::new();
    for record in records {
        if let Entry::Vacant(place) = found.entry(record.start) {
            match errors.get(&record.number) {
                Some(error) => _ = place.insert(Err(error.clone())),
                None => lost.push(record.start),
            }
        }
    }
    // Of one of several it cannot be told which of them it is about.
    if let ([start], [error]) = (lost.as_slice(), nameless.as_slice()) {
        found.insert(*start, Err(error.clone()));
    }
    found
}

/// Covers everything in a chunk but these records with empty ones, and returns the chunk's header
/// with a live part that ends with the last of the records: what [`decode`] has the evtx crate
/// walk. Nothing if there is no chunk, or the records are not in their order.
///
/// Covering overwrites record headers only: the template definitions in what is covered stay
/// readable.
pub fn cover(slot: &mut [u8], records: &[Span]) -> Option<EvtxChunkHeader> {
    // The table of strings only saves time, and a damaged one fails the whole chunk: names are
    // read where they stand.
    if let Some(table) = slot.get_mut(STRING_TABLE) {
        table.fill(0);
    }
    let mut header = EvtxChunkHeader::from_bytes(slot).ok()?;
    let mut at = crate::evtx::chunk::CHUNK_HEADER_SIZE;
    for record in records {
        let gap = record.start.checked_sub(at)?;
        // Where no record fits the parser finds the next one by itself.
        if gap >= SMALLEST_RECORD {
            put(slot, at, RECORD_MAGIC);
            put(slot, at + 4, &(gap as u32).to_le_bytes());
            // A number that ends nothing, a time that is one, and a lone end-of-stream token.
            put(slot, at + 8, &[0; RECORD_HEADER_SIZE - 8 + 1]);
        }
        at = record.end;
    }
    header.free_space_offset = at as u32;
    // What the parser searches for the next record where it finds none.
    header.first_event_record_id = 0;
    header.last_event_record_data_offset = at as u32;
    // The parser stops at this ID; the free space alone says where the records end.
    let unused = |id: &u64| records.iter().all(|record| record.number != *id);
    header.last_event_record_id = (0..=u64::MAX).rev().find(unused)?;
    Some(header)
}

fn put(slot: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = slot.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// The error and what caused it, in one line.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text.replace(['\r', '\n'], " ")
}

/// Where in a record's XML we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    System,
    /// `EventData`, or `UserData` as a forwarder may write it.
    Payload,
    Other,
}

impl Section {
    fn named(name: &str) -> Section {
        match name {
            "System" => Section::System,
            "EventData" | "UserData" => Section::Payload,
            _ => Section::Other,
        }
    }
}

/// An event out of a record's XML; nothing if another provider wrote it.
fn event_from_xml(
    xml: &str,
    names: &mut Names,
    values: &mut Collector,
) -> Result<Option<Event>, String> {
    let mut fields = Fields::default();
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut depth = 0_usize;
    let mut section = Section::Other;
    let mut text = String::new();
    let mut data: Vec<(Arc<str>, String)> = Vec::new();
    loop {
        let xml = reader.read_event();
        match xml {
            Ok(Xml::Start(ref element) | Xml::Empty(ref element)) => {
                let name = element.local_name();
                let name = name.as_ref();
                match (depth, section) {
                    (1, _) => section = Section::named(name),
                    (2, Section::System) => fields.start(name, element),
                    (2, Section::Payload) => {
                        data.push((field_name(name, element, names), String::new()));
                    }
                    _ => {}
                }
                if matches!(xml, Ok(Xml::Start(_))) {
                    depth += 1;
                    text.clear();
                }
            }
            Ok(Xml::Text(part)) => text.push_str(&part),
            Ok(Xml::CData(part)) => text.push_str(&part),
            Ok(Xml::GeneralRef(entity)) => push_entity(&mut text, &entity),
            Ok(Xml::End(_)) => {
                match (depth, section) {
                    // Deeper elements of a payload are one value: the field's.
                    (3.., Section::Payload) => {
                        if let Some((_, value)) = data.last_mut() {
                            value.push_str(&text);
                        }
                    }
                    (3, Section::System) => fields.text(&text),
                    (2, Section::System) if !fields.done => {
                        if !fields.named {
                            return Err("the record names no provider".to_owned());
                        }
                        // What another provider wrote is not read on.
                        if fields.provider.is_none() {
                            return Ok(None);
                        }
                        // Only the first System part counts.
                        fields.done = true;
                    }
                    _ => {}
                }
                text.clear();
                depth = depth.saturating_sub(1);
            }
            Ok(Xml::Eof) => break,
            Ok(_) => {}
            Err(error) => return Err(format!("the record's XML is broken: {error}")),
        }
    }
    let Some(provider) = fields.provider.filter(|_| fields.done) else {
        return Err("the record is no event: it has no System part".to_owned());
    };
    fields.into_event(provider, data, names, values).map(Some)
}

/// A value's name: `<Data Name="…">`, else the element's own.
fn field_name(element_name: &str, element: &BytesStart<'_>, names: &mut Names) -> Arc<str> {
    match attribute(element, "Name") {
        Some(name) => names.get(&name),
        None => names.get(element_name),
    }
}

fn attribute<'e>(element: &'e BytesStart<'_>, name: &str) -> Option<Cow<'e, str>> {
    let attribute = element.try_get_attribute(name).ok()??;
    Some(match attribute.value {
        Cow::Borrowed(value) => quick_xml::escape::unescape(value).ok()?,
        Cow::Owned(value) => quick_xml::escape::unescape(&value)
            .ok()?
            .into_owned()
            .into(),
    })
}

/// An element of the System part whose text is wanted.
#[derive(Clone, Copy, Debug, Default)]
enum Leaf {
    EventId,
    Version,
    Level,
    Task,
    Opcode,
    Keywords,
    RecordId,
    Channel,
    Computer,
    #[default]
    Other,
}

impl Leaf {
    fn named(name: &str) -> Leaf {
        match name {
            "EventID" => Leaf::EventId,
            "Version" => Leaf::Version,
            "Level" => Leaf::Level,
            "Task" => Leaf::Task,
            "Opcode" => Leaf::Opcode,
            "Keywords" => Leaf::Keywords,
            "EventRecordID" => Leaf::RecordId,
            "Channel" => Leaf::Channel,
            "Computer" => Leaf::Computer,
            _ => Leaf::Other,
        }
    }
}

/// The System part of an event, as far as it was read.
#[derive(Default)]
struct Fields {
    /// The end of the System part was read.
    done: bool,
    /// A Provider was read: only the first counts.
    provider_read: bool,
    /// It names a provider.
    named: bool,
    /// The element that is being read.
    leaf: Leaf,
    provider: Option<Provider>,
    event_id: Option<u32>,
    version: u8,
    level: u8,
    task: u32,
    opcode: u8,
    keywords: u64,
    time: Option<DateTime<Utc>>,
    record_id: Option<u64>,
    activity_id: Option<Uuid>,
    process_id: Option<u32>,
    thread_id: Option<u32>,
    channel: String,
    computer: String,
    user_sid: Option<String>,
}

impl Fields {
    /// An element of the System part begins.
    fn start(&mut self, name: &str, element: &BytesStart<'_>) {
        if self.done {
            return;
        }
        self.leaf = Leaf::named(name);
        let get = |attribute_name| attribute(element, attribute_name);
        match name {
            "Provider" if !self.provider_read => {
                self.provider_read = true;
                let name = get("Name").filter(|name| !name.is_empty());
                let id = get("Guid").as_deref().and_then(guid);
                self.named = name.is_some() || id.is_some();
                // The GUID speaks where the name was lost.
                self.provider = Provider::ALL.into_iter().find(|provider| match &name {
                    Some(name) => name == provider.name(),
                    None => id == Some(provider.guid()),
                });
            }
            "TimeCreated" => {
                self.time = get("SystemTime")
                    .and_then(|time| DateTime::parse_from_rfc3339(&time).ok())
                    .map(|time| time.to_utc());
            }
            "Correlation" => self.activity_id = get("ActivityID").as_deref().and_then(guid),
            "Execution" => {
                self.process_id = get("ProcessID").and_then(|id| id.parse().ok());
                self.thread_id = get("ThreadID").and_then(|id| id.parse().ok());
            }
            "Security" => {
                let sid = get("UserID").filter(|sid| !sid.is_empty());
                self.user_sid = sid.map(Cow::into_owned);
            }
            _ => {}
        }
    }

    /// The element's text.
    fn text(&mut self, text: &str) {
        if self.done {
            return;
        }
        match self.leaf {
            Leaf::EventId => self.event_id = text.trim().parse().ok(),
            Leaf::Version => self.version = text.parse().unwrap_or(0),
            Leaf::Level => self.level = text.parse().unwrap_or(0),
            Leaf::Task => self.task = text.parse().unwrap_or(0),
            Leaf::Opcode => self.opcode = text.parse().unwrap_or(0),
            Leaf::Keywords => {
                let hex = text.trim_start_matches("0x");
                self.keywords = u64::from_str_radix(hex, 16).unwrap_or(0);
            }
            Leaf::RecordId => self.record_id = text.parse().ok(),
            Leaf::Channel => text.clone_into(&mut self.channel),
            Leaf::Computer => text.clone_into(&mut self.computer),
            Leaf::Other => {}
        }
    }

    fn into_event(
        self,
        provider: Provider,
        fields: Vec<(Arc<str>, String)>,
        names: &mut Names,
        values: &mut Collector,
    ) -> Result<Event, String> {
        let time = self.time.ok_or("the record has no readable time")?;
        let event_id = self.event_id.ok_or("the record has no event ID")?;
        let record_id = self.record_id.ok_or("the record has no record ID")?;
        let (field_names, texts): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
        let field_names = Arc::new(unique_names(field_names));
        let header = Header {
            computer: names.get(&self.computer),
            provider,
            channel: names.get(&self.channel),
            event_id,
            version: self.version,
            level: Level::from_number(self.level),
            task: self.task,
            opcode: self.opcode,
            keywords: self.keywords,
            user_sid: self.user_sid.map(|sid| names.get(&sid)),
            names: Some(field_names),
            meaning: Meaning::default(),
        };
        let event = Event::new(
            time.into(),
            record_id,
            (self.process_id, self.thread_id),
            self.activity_id,
            names.headers.get(header),
            values,
        );
        for (place, value) in texts.iter().enumerate() {
            values.text().extend_from_slice(value.as_bytes());
            match event.meaning.is_secret(place) && !value.is_empty() {
                true => values.end_masked(),
                false => _ = values.end_value(),
            }
        }
        Ok(event)
    }
}
